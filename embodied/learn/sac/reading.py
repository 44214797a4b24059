"""What critics read of a sequence: the privileged state where there is one, else observations, by a network of theirs.

Shape suffixes as in `embodied.nn.policy`: B sequences, T steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from embodied.learn.rollout import Rollout
from embodied.nn.normalization import RunningMeanStd
from embodied.nn.policy import SequencePolicy
from embodied.nn.privilege import Privilege


class Reading(nn.Module, ABC):
    """What critics read, and what is remembered for it.

    Attributes:
        size: numbers that are read at a step.
        networks: those that remember.
    """

    size: int
    networks: tuple[SequencePolicy, ...] = ()

    @abstractmethod
    def read(self, lived: Rollout, memory: Any) -> tuple[Tensor, Tensor]:
        """What critics read at each step after a memory, and what their targets do, `(B, T, size)` each."""

    @abstractmethod
    def observe(self, rollout: Rollout) -> None:
        """Takes note of how what is read is spread, if it is normalized."""

    def forget(self) -> None:
        """New episodes begin with the next step."""

    def memory_now(self, n: int) -> Any:
        """A copy of what is remembered of `n` environments; None for nothing."""
        return None

    def step(self, obs_NF: Tensor, first_N: Tensor, action_NA: Tensor) -> None:
        """Remembers what was seen, and done, while acting."""

    def follow(self, tau: float) -> None:
        """Lets what targets read by follow."""


class PrivilegedReading(Reading):
    """The privileged state and what is hidden.

    Args:
        privilege: what is told.
        normalize: bring it to zero mean and unit spread, as both become known.
    """

    def __init__(self, privilege: Privilege, normalize: bool) -> None:
        super().__init__()
        self._privilege, self.size = privilege, privilege.critic_size
        self.scale = RunningMeanStd(self.size) if normalize else None

    def read(self, lived: Rollout, memory: Any) -> tuple[Tensor, Tensor]:
        told = self._privilege.critic_input(lived.state, lived.hidden)
        told = told if self.scale is None else self.scale(told)
        return told, told

    def observe(self, rollout: Rollout) -> None:
        if self.scale is not None:
            counts = ~rollout.ignore
            self.scale.update(self._privilege.critic_input(rollout.state[counts], rollout.hidden[counts]))


class OwnReading(Reading):
    """Observations, by a network like the policy that is the critics' alone, and one that follows it for targets."""

    def __init__(self, policy: SequencePolicy) -> None:
        super().__init__()
        self.network = deepcopy(policy)
        self.target = deepcopy(policy).requires_grad_(False)
        self.size, self.networks = policy.core.features, (self.network,)
        self._memory: Any = None

    def read(self, lived: Rollout, memory: Any) -> tuple[Tensor, Tensor]:
        given = (lived.obs, lived.first, memory, None, lived.action)
        with torch.no_grad():
            later = self.target.sequence(*given).features
        return self.network.sequence(*given).features, later

    def observe(self, rollout: Rollout) -> None:
        self.network.encoder.update_normalizer(rollout.obs[~rollout.ignore])

    def forget(self) -> None:
        self._memory = None

    def memory_now(self, n: int) -> Any:
        if self._memory is None:
            self._memory = self.network.initial(n)
        return self.network.memories.clone(self._memory)

    def step(self, obs_NF: Tensor, first_N: Tensor, action_NA: Tensor) -> None:
        _, self._memory = self.network.step(obs_NF, first_N, self._memory)
        self.network.note_action(self._memory, action_NA)

    def follow(self, tau: float) -> None:
        follow(self.target, self.network, tau)


@torch.no_grad()
def follow(target: nn.Module, learned: nn.Module, tau: float) -> None:
    """Moves the weights of a target network by a share `tau` of the way, and its statistics all of it."""
    for weight, goal in zip(target.parameters(), learned.parameters(), strict=True):
        weight.lerp_(goal, tau)
    for buffer, now in zip(target.buffers(), learned.buffers(), strict=True):
        buffer.copy_(now)
