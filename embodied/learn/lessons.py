"""What an expert has said so far, of which DAgger learns again and again (Ross, Gordon & Bagnell 2011).

Shape suffixes: N environments, T steps.
"""

from __future__ import annotations

from collections import deque
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from embodied.learn.rollout import Rollout
from embodied.nn.policy import SequencePolicy

LARGEST = 2**29  # bytes that are kept


class Lessons:
    """Rollouts that follow each other, with an expert's actions; the newest, as far as `largest` [bytes] goes."""

    def __init__(self, largest: int = LARGEST) -> None:
        self._largest = largest
        self._rollouts: deque[dict[str, Tensor]] = deque()

    def __len__(self) -> int:
        return len(self._rollouts)

    def add(self, rollout: Rollout) -> None:
        """Keeps a copy of a rollout, but for what the policy remembered."""
        parts = {f.name: getattr(rollout, f.name) for f in fields(rollout) if f.name != "memory"}
        self._rollouts.append({name: part.clone() for name, part in parts.items() if isinstance(part, Tensor)})
        while len(self._rollouts) > 1 and len(self._rollouts) * _bytes(self._rollouts[-1]) > self._largest:
            self._rollouts.popleft()

    def draw(self, environments: int, policy: SequencePolicy, generator: torch.Generator) -> Rollout:
        """Some environments of a rollout and of the one before it, which begin with an empty memory.

        Steps of the one before count only in episodes that began there: of others, the beginning is not known.
        """
        device = self._rollouts[-1]["obs"].device
        pick = int(torch.randint(len(self._rollouts), (), generator=generator, device=device))
        chosen = [self._rollouts[i] for i in range(max(pick - 1, 0), pick + 1)]
        rows = torch.randperm(len(chosen[0]["obs"]), generator=generator, device=device)[:environments]
        parts: dict[str, Any] = {name: torch.cat([one[name][rows] for one in chosen], dim=1) for name in chosen[0]}
        known = parts["first"].cumsum(dim=1) > 0
        if len(chosen) > 1:
            known[:, -chosen[-1]["first"].shape[1] :] = True
        parts["ignore"] = parts["ignore"] | ~known
        memory = policy.memories.snapshot(policy.initial(len(rows)))
        return Rollout(**parts, imitation_coef=1.0, imitation_only=True, memory=memory)


def _bytes(parts: dict[str, Tensor]) -> int:
    return sum(part.numel() * part.element_size() for part in parts.values())
