"""Networks as agents (`embodied.agent.Agent`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from embodied.nn.output import PolicyOutput
from embodied.nn.policy import SequencePolicy
from embodied.nn.threads import acting_threads
from embodied.spaces import mask_of


@dataclass
class _NetworkCarry:
    memory: Any
    output: PolicyOutput | None
    generator: torch.Generator


class NetworkAgent:
    """A trained policy; deterministic by default.

    Args:
        policy: acts.
        deterministic: takes the most likely action; else samples, as it learned to act.
        reuse_memory: writes into the memory of the carry that it is given, which must not be used again. Faster.
    """

    def __init__(self, policy: SequencePolicy, deterministic: bool = True, reuse_memory: bool = False) -> None:
        self.policy = policy.eval()
        self.deterministic = deterministic
        self.allowed: NDArray | None = None
        self._reuse = reuse_memory

    def initial(self, n: int, seed: int) -> _NetworkCarry:
        """Returns an empty memory."""
        return _NetworkCarry(self.policy.initial(n), None, torch.Generator(self.policy.device).manual_seed(seed))

    def act(self, carry: _NetworkCarry, obs: Any, first: NDArray) -> tuple[_NetworkCarry, NDArray]:
        """Reads observations `(n, dim)` and returns actions `(n, nu)`."""
        policy = self.policy
        with torch.inference_mode(), acting_threads(policy, len(first)):
            rows, fresh, mask = self._read(obs, first)
            memory, generator = self._own(carry)
            output, memory = policy.step(rows, fresh, memory, mask)
            action = policy.choose(output, self.deterministic, generator)
            policy.note_action(memory, action)
        return _NetworkCarry(memory, output, generator), policy.action_head.to_env(action)

    def act_in(
        self, carry: _NetworkCarry, obs: Any, first: NDArray, worlds: NDArray[np.bool_]
    ) -> tuple[_NetworkCarry, NDArray]:
        """Acts in some worlds; the memory of the others stays as it is."""
        if worlds.all():
            return self.act(carry, obs, first)
        policy = self.policy
        with torch.inference_mode(), acting_threads(policy, len(first)):
            rows, fresh, mask = self._read(obs, first)
            memory, generator = self._own(carry)
            index = torch.as_tensor(np.flatnonzero(worlds), device=policy.device)
            part = policy.memories.rows(memory, index)
            output, part = policy.step(rows[index], fresh[index], part, None if mask is None else mask[index])
            action = policy.choose(output, self.deterministic, generator)
            policy.note_action(part, action)
            policy.memories.put(memory, index, part)
            chosen = policy.action_head.to_env(action)
        actions = np.zeros((len(worlds), *chosen.shape[1:]), chosen.dtype)
        actions[worlds] = chosen
        return _NetworkCarry(memory, None, generator), actions

    def belief(self, carry: _NetworkCarry) -> NDArray | None:
        """Probabilities of the hidden variable, `(n, k)`, or None if the policy believes nothing about it."""
        belief = None if carry.output is None else self.policy.belief(carry.output)
        return None if belief is None else belief.cpu().numpy()

    def _read(self, obs: Any, first: NDArray) -> tuple[Tensor, Tensor, Tensor | None]:
        device = self.policy.device
        rows = torch.as_tensor(self.policy.codec.rows(obs), device=device)
        allowed = self.policy.mask_for(obs, self.allowed if mask_of(obs) is None else None, len(rows))
        return rows, torch.as_tensor(first, dtype=torch.bool, device=device), allowed

    def _own(self, carry: _NetworkCarry) -> tuple[Any, torch.Generator]:
        """Memory and generator that may be written to."""
        if self._reuse:
            return carry.memory, carry.generator
        return self.policy.memories.clone(carry.memory), carry.generator.clone_state()
