"""The states of a problem, as far as they are found by simulating it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from embodied.mind.problem import Simulator

WANDERING = 12  # random steps, by which states are found where there are too many for all


class StateSet:
    """States that can be met, looked up by the nearest one.

    Args:
        size: up to how many are looked for; sample: how many are drawn if there are more.

    Attributes:
        states: `(M, …)`; complete: whether these are all that can be met.
    """

    def __init__(self, simulator: Simulator, size: int, sample: int, rng: np.random.Generator) -> None:
        self._simulator = simulator
        self._features = getattr(simulator.problem, "features", lambda states: states.reshape(len(states), -1))
        self.states, self.complete = self._gather(size, min(size, sample), rng)
        self._find = self._finder()

    def index(self, states: NDArray) -> NDArray[np.intp]:
        """Which of the states is nearest to each of the given ones, `(n,)`."""
        return self._find(self._flat(states))

    def _flat(self, states: NDArray) -> NDArray[np.float64]:
        return np.asarray(self._features(states), np.float64).reshape(len(states), -1)

    def _gather(self, size: int, sample: int, rng: np.random.Generator) -> tuple[NDArray, bool]:
        """States from the prior, and what can follow from them, until there are no new ones or there are enough."""
        states = newest = self._distinct(self._simulator.problem.initial(2 * sample, rng))
        while len(newest) and len(states) <= size:
            following = np.concatenate([self._all_successors(newest, rng) for _ in range(2)])
            together = self._distinct(np.concatenate([states, following]))
            states, newest = together, together[len(states) :]
        if not len(newest):
            return states, True
        return self._spread(sample, rng), False

    def _distinct(self, states: NDArray) -> NDArray:
        """The first of each kind of state, in the order in which they came."""
        flat = self._flat(states)
        _, first = np.unique(np.round(flat @ _direction(flat), 9), return_index=True)
        return states[np.sort(first)]

    def _spread(self, sample: int, rng: np.random.Generator) -> NDArray:
        """A sample of distinct states from the prior and from wandering about."""
        n = max(sample // 8, 1)
        wanderers = self._simulator.problem.initial(n, rng)
        met = [self._simulator.problem.initial(n, rng), wanderers]
        for _ in range(WANDERING):
            wanderers = self._simulator.step(wanderers, rng.integers(0, len(self._simulator.actions), n), rng)[0]
            met.append(wanderers)
        distinct = self._distinct(np.concatenate(met))
        return distinct[rng.permutation(len(distinct))[:sample]]

    def _all_successors(self, states: NDArray, rng: np.random.Generator) -> NDArray:
        a = len(self._simulator.actions)
        return self._simulator.step(np.repeat(states, a, axis=0), np.tile(np.arange(a), len(states)), rng)[0]

    def _finder(self) -> Callable[[NDArray], NDArray]:
        flat = self._flat(self.states)
        scale = np.where(flat.std(axis=0) > 0, flat.std(axis=0), 1.0)
        if flat.shape[1] == 1 or self.complete:
            return _nearest_on_a_line(flat, _direction(flat))
        # A balanced tree splits just above 0, at a denormal number: without end where torch flushes these to 0.
        tree = cKDTree(flat / scale, balanced_tree=False)
        return lambda given: tree.query(given / scale)[1]


def _direction(points: NDArray) -> NDArray[np.float64]:
    """A direction along which no two states that differ are likely to fall together."""
    return np.random.default_rng(0).uniform(1.0, 2.0, (points.shape[1],))


def _nearest_on_a_line(points: NDArray, direction: NDArray) -> Callable[[NDArray], NDArray]:
    """Finds points `(M, d)` again by where they fall along a direction; enough where no others are asked for."""
    along = points @ direction
    order = np.argsort(along)
    edges = (along[order][1:] + along[order][:-1]) / 2
    return lambda given: order[np.searchsorted(edges, given @ direction)]
