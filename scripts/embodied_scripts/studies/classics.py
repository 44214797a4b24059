"""Problems of the literature, to measure minds with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Stepped = tuple[NDArray, NDArray, NDArray, NDArray]


class Tiger:
    """Behind one of two doors waits a tiger (Kaelbling, Littman & Cassandra 1998); opening a door ends it.

    States `(n, 2)`: where the tiger is, and whether a door is open.
    """

    discount = 0.95
    actions: tuple[Any, ...] = ("listen", "left", "right")
    hears = 0.85

    def initial(self, n: int, rng: np.random.Generator) -> NDArray:
        """The tiger is behind either door."""
        return np.column_stack([rng.integers(0, 2, n), np.zeros(n, int)])

    def step(self, states: NDArray, action: Any, rng: np.random.Generator) -> Stepped:
        """Listening costs 1 and is right 85 times in 100; the tiger costs 100, the other door brings 10."""
        tiger, ended = states[:, 0], states[:, 1] == 1
        if action == "listen":
            heard = np.where(rng.random(len(states)) < self.hears, tiger, 1 - tiger)
            return states, heard, np.where(ended, 0.0, -1.0), ended
        reward = np.where(tiger == ("left", "right").index(action), -100.0, 10.0)
        after = np.column_stack([tiger, np.ones(len(states), int)])
        return after, rng.integers(0, 2, len(states)), np.where(ended, 0.0, reward), np.ones(len(states), bool)

    def likelihood(self, observation: Any, states: NDArray, action: Any) -> NDArray:
        """Probability of hearing the tiger there."""
        if action == "listen":
            return np.where(states[:, 0] == observation, self.hears, 1 - self.hears)
        return np.full(len(states), 0.5)


class SimpleLightDark:
    """A point on a line that is seen well only near 10 and must stop at 0 (Sunberg & Kochenderfer 2018, simplified).

    States `(n,)`: -60 … 60, and `OVER` once it has stopped.
    """

    discount = 0.95
    actions: tuple[Any, ...] = (-10, -1, 0, 1, 10)
    steps = 100
    OVER = 1000.0
    REACH, LIGHT = 60.0, 10.0

    def initial(self, n: int, rng: np.random.Generator) -> NDArray:
        """Anywhere from -30 to 30."""
        return rng.integers(-30, 31, n).astype(np.float64)

    def step(self, states: NDArray, action: Any, rng: np.random.Generator) -> Stepped:
        """Moving costs 1; action 0 ends it, with 100 at 0 and -100 elsewhere."""
        over = states == self.OVER
        if action == 0:
            reward = np.where(over, 0.0, np.where(states == 0, 100.0, -100.0))
            return np.full(len(states), self.OVER), np.zeros(len(states)), reward, np.ones(len(states), bool)
        after = np.where(over, states, np.clip(states + action, -self.REACH, self.REACH))
        return after, rng.normal(after, self._spread(after)), np.where(over, 0.0, -1.0), over

    def likelihood(self, observation: Any, states: NDArray, action: Any) -> NDArray:
        """A Gaussian, the narrower the nearer to the light."""
        if action == 0:
            return np.ones(len(states))
        spread = self._spread(states)
        return np.exp(-0.5 * ((observation - states) / spread) ** 2) / spread

    def _spread(self, states: NDArray) -> NDArray:
        return np.abs(states - self.LIGHT) + 1e-4
