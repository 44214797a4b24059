"""Rollouts that are kept, to be learned from again and again."""

from __future__ import annotations

from collections import deque
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from embodied.learn.rollout import Rollout
from embodied.nn.policy import SequencePolicy

UNUSED = ("log_prob", "value", "advantage", "returns", "bootstrap", "belief_information", "prediction_error")
MOMENTS = 8  # different rollouts in one minibatch: what happened at the same time is alike


class Replay:
    """The newest rollouts, each with the memory that acting had before it.

    Args:
        steps: that are kept at most, over all environments together; one rollout at least.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._kept: deque[tuple[Rollout, Any]] = deque()

    def __len__(self) -> int:
        """How many steps are kept, but for those of which nothing counts but that they follow."""
        return sum(rollout.reward[:, :-1].numel() for rollout, _ in self._kept)

    def add(self, rollout: Rollout, beside: Any = None) -> None:
        """Keeps a rollout, and forgets the oldest for it; it is taken as it is.

        Args:
            rollout: with a last row of which nothing counts but that it follows.
            beside: another memory before its steps, of the same kind.
        """
        nothing: dict[str, Any] = dict.fromkeys(UNUSED, rollout.reward[:0])
        self._kept.append((replace(rollout, **nothing), beside))
        while len(self._kept) > 1 and len(self) > self._steps:
            self._kept.popleft()

    def draw(self, count: int, policy: SequencePolicy, generator: torch.Generator) -> tuple[Rollout, Any]:
        """Returns sequences of several environments at several times, and the memory beside theirs.

        Args:
            count: sequences, if there are as many; policy: whose memories they are.
        """
        device = generator.device
        enough = max(MOMENTS, -(-count // len(self._kept[0][0].obs)))
        several = min(enough, count, len(self._kept))
        moments = torch.randperm(len(self._kept), generator=generator, device=device)[:several]
        parts = []
        for moment, share in zip(moments.tolist(), torch.arange(count).tensor_split(several), strict=True):
            rollout, beside = self._kept[moment]
            order = torch.randperm(len(rollout.obs), generator=generator, device=device)
            parts.append((rollout, beside, order[: len(share)]))
        rows = [chosen for _, _, chosen in parts]
        tensors: dict[str, Any] = {
            name: torch.cat([getattr(one, name)[chosen] for one, _, chosen in parts])
            for name in tensors_of(parts[0][0])
        }
        memory = _joined([one.memory for one, _, _ in parts], rows, policy)
        other = None if parts[0][1] is None else _joined([one for _, one, _ in parts], rows, policy)
        return replace(parts[0][0], **tensors, memory=memory), other


def bytes_of(rollout: Rollout) -> int:
    """What is kept of a rollout but for its memory [bytes]."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors_of(rollout).values())


def tensors_of(rollout: Rollout) -> dict[str, Tensor]:
    """What is kept of a rollout but for its memory, by name."""
    named = {f.name: getattr(rollout, f.name) for f in fields(rollout) if f.name not in (*UNUSED, "memory")}
    return {name: value for name, value in named.items() if isinstance(value, Tensor)}


def _joined(memories: list[Any], rows: list[Tensor], policy: SequencePolicy) -> Any:
    """The memories of some environments each as one memory."""
    joined, begun = policy.initial(sum(map(len, rows))), 0
    for memory, chosen in zip(memories, rows, strict=True):
        there = torch.arange(begun, begun + len(chosen), device=chosen.device)
        policy.memories.put(joined, there, policy.memories.rows(memory, chosen))
        begun += len(chosen)
    return joined
