"""Agents that need no learning."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray


class RandomAgent:
    """Uniform random actions, among those that are allowed."""

    def __init__(self, action_space: spaces.Space) -> None:
        self._space = action_space
        self.allowed: NDArray | None = None

    def initial(self, n: int, seed: int) -> np.random.Generator:
        """Returns the generator of its actions."""
        return np.random.default_rng(seed)

    def act(self, carry: np.random.Generator, obs: Any, first: NDArray) -> tuple[np.random.Generator, NDArray]:
        """Returns random actions, one per world."""
        n, space = len(first), self._space
        if isinstance(space, spaces.Box):
            return carry, carry.uniform(space.low, space.high, (n, *space.shape)).astype(np.float32)
        assert isinstance(space, spaces.Discrete)
        weights = carry.random((n, int(space.n)))
        return carry, space.start + np.where(True if self.allowed is None else self.allowed, weights, -1).argmax(axis=1)
