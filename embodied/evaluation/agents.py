"""Agents that need no learning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from embodied.agent import Agent, Carry
from embodied.seeding import Draws
from embodied.spaces import choices_of


class RowsAgent:
    """An agent that reads rows of numbers, where observations come in another form.

    Args:
        agent: reads rows `(n, dim)`.
        rows: turns observations into them.
    """

    def __init__(self, agent: Agent, rows: Callable[[Any], NDArray]) -> None:
        self._agent, self._rows = agent, rows

    def initial(self, n: int, seed: int) -> Carry:
        """Returns the agent's own carry before an episode."""
        return self._agent.initial(n, seed)

    def act(self, carry: Carry, obs: Any, first: NDArray) -> tuple[Carry, NDArray]:
        """Returns what the agent does."""
        return self._agent.act(carry, self._rows(obs), first)


class RandomAgent:
    """Uniform random actions, among those that are allowed.

    Args:
        action_space: a Box with bounds, Discrete or MultiDiscrete.
    """

    def __init__(self, action_space: spaces.Space) -> None:
        self._space = action_space
        self.allowed: NDArray | None = None

    def initial(self, n: int, seed: int) -> Draws:
        """Returns what its actions are drawn from."""
        return Draws.begin(n, seed)

    def act(self, carry: Draws, obs: Any, first: NDArray) -> tuple[Draws, NDArray]:
        """Returns random actions, one per world."""
        n, space = len(first), self._space
        sizes = choices_of(space)
        if not len(sizes):
            carry, drawn = carry.uniforms(int(np.prod(space.shape or ())))
            return carry, self._in_box(drawn.reshape(n, *(space.shape or ())))
        carry, weights = carry.uniforms(int(sizes.sum()))
        weights = np.where(True if self.allowed is None else self.allowed, weights, -1.0)
        parts = np.split(weights, np.cumsum(sizes)[:-1], axis=1)
        chosen = np.stack([part.argmax(axis=1) for part in parts], axis=1).reshape(n, *(space.shape or ()))
        return carry, chosen + space.start  # type: ignore[attr-defined]

    def _in_box(self, drawn: NDArray) -> NDArray:
        box = self._space
        assert isinstance(box, spaces.Box)
        low, high = box.low.astype(np.float64), box.high.astype(np.float64)
        if box.dtype.kind != "f":
            return np.minimum(np.floor(low + drawn * (high + 1 - low)), high).astype(box.dtype)
        return (low + drawn * (high - low)).astype(box.dtype)
