"""What the mind is asked: a partially observed decision problem that can be simulated, many particles at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from embodied.errors import ProblemError


class Problem(Protocol):
    """A generative POMDP, vectorized over particles.

    `states` are arrays with a leading n, and so are observations. Done states absorb: stepping them again changes
    nothing and earns nothing.

    Optional methods, used where they exist:

    - `step_each(states, actions, rng)`: as `step`, with one action per particle.
    - `features(states) -> (n, d)`: by what states are alike, if not by all that they hold.
    - `log_likelihood(observation, states, action) -> (n,)`: in place of `likelihood`, where densities are too small or
      too large for floating point.
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
        ProblemError: the problem has no actions, no sensible discount, or answers with what are no numbers.
    """

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        self.problem = problem
        self.actions = list(problem.actions)
        if not self.actions:
            raise ProblemError("the problem has no actions: `actions` is empty")
        if not 0 < problem.discount <= 1:
            raise ProblemError(f"the discount must be above 0 and at most 1, not {problem.discount}")
        self._step_each = getattr(problem, "step_each", None)
        self._takes_pairs = [self._pairs_agree(action, rng) for action in range(len(self.actions))]

    def step(self, states: NDArray, choice: NDArray, rng: np.random.Generator) -> tuple[NDArray, ...]:
        """Steps each state `(n, …)` by its own action, an index `(n,)`; returns as `Problem.step` does."""
        if self._step_each is not None:
            return _checked(self._step_each(states, [self.actions[i] for i in choice], rng), len(choice))
        parts = [
            (rows, _checked(self.problem.step(states[rows], self.actions[a], rng), len(rows)))
            for a, rows in _groups(choice)
        ]
        return _regrouped(parts, len(choice))

    def log_likelihood(self, observations: NDArray, states: NDArray, choice: NDArray) -> NDArray[np.float64]:
        """ln density of each belief's observation `(K, …)` in its particles `(K, m, …)` after actions `(K,)`."""
        k, m = states.shape[:2]
        density = np.empty((k, m))
        for a, rows in _groups(choice):
            evidence, flat = observations[rows], states[rows].reshape(-1, *states.shape[2:])
            if len(rows) == 1 or _all_alike(evidence):
                density[rows] = log_density(self.problem, evidence[0], flat, self.actions[a]).reshape(-1, m)
            elif self._takes_pairs[a]:
                pairs = np.repeat(evidence, m, axis=0)
                density[rows] = log_density(self.problem, pairs, flat, self.actions[a]).reshape(-1, m)
            else:
                for row in rows:
                    density[row] = log_density(self.problem, observations[row], states[row], self.actions[a])
        return density

    def _pairs_agree(self, action: int, rng: np.random.Generator) -> bool:
        """Tries whether a likelihood gives the same for observations paired with states as for one at a time."""
        n = 23  # unlikely to be the length of an observation
        states = self.problem.initial(n, rng)
        for _ in range(3):
            states = self.step(states, rng.integers(0, len(self.actions), n), rng)[0]
        states, observations, _, _ = self.step(states, np.full(n, action), rng)
        if _all_alike(observations):
            return False  # nothing can be told from these; such observations need no pairs either
        each = np.array([log_density(self.problem, o, states, self.actions[action]) for o in observations])
        shifted = np.roll(np.arange(n), 3)
        try:
            paired = log_density(self.problem, observations[shifted], states, self.actions[action])
        except Exception:  # whatever a likelihood says to what it was not made for
            return False
        wanted = each[shifted, np.arange(n)]
        return paired.shape == wanted.shape and np.allclose(paired, wanted, rtol=1e-9, atol=1e-12)


def log_density(problem: Problem, observation: Any, states: NDArray, action: Any) -> NDArray[np.float64]:
    """ln of the density of an observation in each state, `(n,)`; −∞ where it is impossible.

    Raises:
        ProblemError: the problem's likelihood is not a density for each state.
    """
    own = getattr(problem, "log_likelihood", None)
    if own is not None:
        logs = np.asarray(own(observation, states, action), np.float64)
    else:
        density = np.asarray(problem.likelihood(observation, states, action), np.float64)
        if density.shape != (len(states),) or not (density >= 0).all():
            raise ProblemError("the likelihood must be a density for each state: (n,), not negative, no NaN")
        with np.errstate(divide="ignore"):
            logs = np.log(density)
    if logs.shape != (len(states),) or np.isnan(logs).any() or (logs == np.inf).any():
        raise ProblemError("the likelihood must be a density for each state: (n,), finite, no NaN")
    return logs


def _all_alike(observations: NDArray) -> bool:
    return bool((observations == observations[:1]).all())


def _groups(choice: NDArray) -> Iterator[tuple[int, NDArray]]:
    """Yields each action that was chosen, and the rows that chose it."""
    for a in np.unique(choice):
        yield int(a), np.flatnonzero(choice == a)


def _checked(stepped: tuple, n: int) -> tuple[NDArray, ...]:
    """States, observations, rewards and ends as arrays of `n` rows."""
    states, observations, rewards, done = (np.asarray(part) for part in stepped)
    rewards = np.broadcast_to(np.asarray(rewards, np.float64), (n,))
    if len(states) != n or len(observations) != n or not np.isfinite(rewards).all():
        raise ProblemError(f"a step must return {n} states and observations, and rewards that are finite numbers")
    return states, observations, rewards, np.broadcast_to(np.asarray(done, bool), (n,))


def _regrouped(parts: list[tuple[NDArray, tuple[NDArray, ...]]], n: int) -> tuple[NDArray, ...]:
    """Puts the results for some rows each back into one array of `n` rows per result."""
    if len(parts) == 1:
        return parts[0][1]
    whole = []
    for results in zip(*(results for _, results in parts), strict=True):
        target = np.empty((n, *results[0].shape[1:]), np.result_type(*results))
        for (rows, _), result in zip(parts, results, strict=True):
            target[rows] = result
        whole.append(target)
    return tuple(whole)
