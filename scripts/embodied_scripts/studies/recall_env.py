"""The smallest test of memory: a cue is shown once and asked for later."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray


class RecallEnv(gym.Env):
    """A cue of ±1 at the first step; after `delay` blank steps the action must have its sign."""

    def __init__(self, delay: int) -> None:
        self.delay = delay
        self.observation_space = spaces.Box(-1, 1, (2,), np.float32)
        self.action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Shows the cue."""
        super().reset(seed=seed)
        self.cue = int(self.np_random.integers(2))
        self.t = 0
        return np.array([2 * self.cue - 1, 0], np.float32), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Shows nothing, and at last asks."""
        self.t += 1
        asked = self.t > self.delay
        obs = np.array([0, self.t == self.delay], np.float32)
        return obs, float(asked and action == self.cue), asked, False, {}


class Rememberer:
    """The player that remembers: it keeps the cue in its carry, and answers with it at every step."""

    def initial(self, n: int, seed: int) -> NDArray[np.intp]:
        """Returns what it knows before an episode, `(n,)`."""
        return np.zeros(n, np.intp)

    def act(self, carry: NDArray, obs: NDArray, first: NDArray) -> tuple[NDArray, NDArray]:
        """Returns the cue twice: as the next carry and as actions, `(n,)`."""
        cue = np.where(first, (obs[:, 0] > 0).astype(np.intp), carry)
        return cue, cue
