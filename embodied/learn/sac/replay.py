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

    def draw(
        self, count: int, policy: SequencePolicy, generator: torch.Generator, before: int = 0
    ) -> tuple[Rollout, Any]:
        """Returns sequences of several environments at several times, and the memory beside theirs.

        Args:
            count: sequences, if there are as many; policy: whose memories they are.
            before: rollouts before each of which a sequence holds the steps, too, if there are as many.
        """
        device, size = generator.device, len(self._kept[0][0].obs)
        before = min(before, len(self._kept) - 1)
        several = min(max(MOMENTS, -(-count // size)), count, len(self._kept) - before)
        moments = torch.randperm(len(self._kept) - before, generator=generator, device=device)[:several]
        shares = torch.arange(count).tensor_split(several)
        rows = [torch.randperm(size, generator=generator, device=device)[: len(share)] for share in shares]
        begun = [self._kept[moment] for moment in moments.tolist()]
        parts = [self._lived(m, m + before, chosen) for m, chosen in zip(moments.tolist(), rows, strict=True)]
        tensors: dict[str, Any] = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        memory = _joined([rollout.memory for rollout, _ in begun], rows, policy)
        other = None if begun[0][1] is None else _joined([beside for _, beside in begun], rows, policy)
        return replace(begun[0][0], **tensors, memory=memory), other

    def _lived(self, begun: int, ended: int, rows: Tensor) -> dict[str, Tensor]:
        """What some environments lived in rollouts that follow each other, each without its last row but the last."""
        kept = [tensors_of(self._kept[moment][0]) for moment in range(begun, ended + 1)]
        return {
            name: torch.cat([*(one[name][rows, :-1] for one in kept[:-1]), last[rows]], dim=1)
            for name, last in kept[-1].items()
        }


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
