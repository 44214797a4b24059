"""Networks and noise as agents (`embodied.agent.Agent`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from embodied.learn.observations import mask_of
from embodied.learn.policy import Reading, SequencePolicy
from embodied.learn.resources import acting_threads


@dataclass
class _NetworkCarry:
    memory: Any
    reading: Reading | None
    generator: torch.Generator


class NetworkAgent:
    """A trained policy; deterministic by default."""

    def __init__(self, policy: SequencePolicy, deterministic: bool = True) -> None:
        self.policy = policy.eval()
        self.deterministic = deterministic
        self.allowed: NDArray | None = None  # which choices are, where observations do not say it themselves

    def initial(self, n: int, seed: int) -> _NetworkCarry:
        """Returns an empty memory."""
        return _NetworkCarry(self.policy.initial(n), None, torch.Generator(self.policy.device).manual_seed(seed))

    def act(self, carry: _NetworkCarry, obs: Any, first: NDArray) -> tuple[_NetworkCarry, NDArray]:
        """Reads observations `(n, dim)` and returns actions `(n, nu)`."""
        device = self.policy.device
        with torch.inference_mode(), acting_threads(self.policy, len(first)):
            obs_t = torch.as_tensor(self.policy.codec.rows(obs), device=device)
            first_t = torch.as_tensor(first, dtype=torch.bool, device=device)
            told = mask_of(obs)
            told = self.allowed if told is None else told
            mask = None if told is None else torch.as_tensor(told, dtype=torch.bool, device=device).flatten(1)
            reading, memory = self.policy.step(obs_t, first_t, self.policy.core.clone(carry.memory), mask)
            generator = carry.generator.clone_state()
            action = self.policy.choose(reading, self.deterministic, generator)
        return _NetworkCarry(memory, reading, generator), self.policy.action_head.to_env(action)

    def belief(self, carry: _NetworkCarry) -> NDArray | None:
        """Probabilities of the hidden variable, `(n, k)`, or None if the policy believes nothing about it."""
        belief = None if carry.reading is None else self.policy.belief(carry.reading)
        return None if belief is None else belief.cpu().numpy()


class RandomAgent:
    """Uniform random actions."""

    def __init__(self, action_space: spaces.Space) -> None:
        self._space = action_space

    def initial(self, n: int, seed: int) -> np.random.Generator:
        """Returns the generator of its actions."""
        return np.random.default_rng(seed)

    def act(self, carry: np.random.Generator, obs: NDArray, first: NDArray) -> tuple[np.random.Generator, NDArray]:
        """Returns random actions, one per row of `obs`."""
        space = self._space
        if isinstance(space, spaces.Discrete):
            return carry, carry.integers(space.start, space.start + space.n, len(obs))
        assert isinstance(space, spaces.Box)
        return carry, carry.uniform(space.low, space.high, (len(obs), *space.shape)).astype(np.float32)
