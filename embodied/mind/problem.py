"""What the mind is asked: a partially observed decision problem that can be simulated, many particles at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from embodied.errors import ProblemError


class Problem(Protocol):
    """A generative POMDP, vectorised over particles.

    `states` are arrays with a leading n, and so are observations. Done states absorb: stepping them again changes
    nothing and earns nothing.

    Optional methods, used where they exist:

    - `step_each(states, actions, rng)`: as `step`, with one action per particle.
    - `features(states) -> (n, d)`: by what states are alike, if not by all that they hold.
    - `bounds(states) -> (lower, upper)`, `(n,)` each: between these the return from a state lies.
    - `rollout(states, rng) -> (n,)`: discounted returns of some player who is worth beginning with.
    """

    @property
    def discount(self) -> float:
        """Of rewards, per step, in (0, 1]."""
        ...

    @property
    def actions(self) -> Sequence[Any]:
        """What can be done; the elements themselves are passed around, not their indices."""
        ...

    def initial(self, n: int, rng: np.random.Generator) -> NDArray:
        """Draws `n` states from the prior."""
        ...

    def step(self, states: NDArray, action: Any, rng: np.random.Generator) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Returns states, observations, rewards `(n,)` and done `(n,)`."""
        ...

    def likelihood(self, observation: Any, states: NDArray, action: Any) -> NDArray:
        """Returns the density of an observation in each of the states after `action`, `(n,)`."""
        ...


class Simulator:
    """A problem with one action, and one observation, per row.

    Args:
        problem: anything that follows `Problem`.

    Raises:
        ProblemError: the problem has no actions, or no sensible discount.
    """

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        self.problem = problem
        self.actions = list(problem.actions)
        if not self.actions:
            raise ProblemError("the problem has no actions: `actions` is empty")
        if not 0 < problem.discount <= 1:
            raise ProblemError(f"the discount must be above 0 and at most 1, not {problem.discount}")
        self._step_each = getattr(problem, "step_each", None)
        self._pairs = self._likelihood_takes_pairs(rng)

    def step(self, states: NDArray, choice: NDArray, rng: np.random.Generator) -> tuple[NDArray, ...]:
        """Steps each state `(n, …)` by its own action, an index `(n,)`; returns as `Problem.step` does."""
        if self._step_each is not None:
            stepped = self._step_each(states, [self.actions[i] for i in choice], rng)
            return tuple(np.asarray(part) for part in stepped)
        return _regrouped(
            [(rows, self.problem.step(states[rows], self.actions[a], rng)) for a, rows in _groups(choice)], len(choice)
        )

    def likelihood(self, observations: NDArray, states: NDArray, choice: NDArray) -> NDArray[np.float64]:
        """Density of each belief's observation `(K, …)` in its particles `(K, m, …)` after action `(K,)`; `(K, m)`."""
        k, m = states.shape[:2]
        density = np.empty((k, m))
        for a, rows in _groups(choice):
            if self._pairs:
                flat = states[rows].reshape(-1, *states.shape[2:])
                told = np.repeat(observations[rows], m, axis=0)
                density[rows] = self.problem.likelihood(told, flat, self.actions[a]).reshape(-1, m)
            else:
                for row in rows:
                    density[row] = self.problem.likelihood(observations[row], states[row], self.actions[a])
        return density

    def _likelihood_takes_pairs(self, rng: np.random.Generator) -> bool:
        """Tries whether `likelihood` gives the same for observations paired with states as for one at a time."""
        return all(self._pairs_agree(action, rng) for action in self.actions)

    def _pairs_agree(self, action: Any, rng: np.random.Generator) -> bool:
        n = 7  # unlikely to be the length of an observation
        states, observations, _, _ = self.problem.step(self.problem.initial(n, rng), action, rng)
        one_by_one = np.array([self.problem.likelihood(o, states, action) for o in observations])
        shifted = np.roll(np.arange(n), 3)
        try:
            paired = np.asarray(self.problem.likelihood(observations[shifted], states, action))
        except (ValueError, TypeError, IndexError):
            return False
        wanted = one_by_one[shifted, np.arange(n)]
        return paired.shape == wanted.shape and np.allclose(paired, wanted, rtol=1e-9, atol=0, equal_nan=True)


def _groups(choice: NDArray) -> Iterator[tuple[int, NDArray]]:
    """Yields each action that was chosen, and the rows that chose it."""
    for a in np.unique(choice):
        yield int(a), np.flatnonzero(choice == a)


def _regrouped(parts: list[tuple[NDArray, tuple]], n: int) -> tuple[NDArray, ...]:
    """Puts the results for some rows each back into one array of `n` rows per result."""
    if len(parts) == 1:
        return tuple(np.asarray(result) for result in parts[0][1])
    whole = [np.empty((n, *np.shape(result)[1:]), np.asarray(result).dtype) for result in parts[0][1]]
    for rows, results in parts:
        for target, result in zip(whole, results, strict=True):
            target[rows] = result
    return tuple(whole)
