"""What a policy did a step before: read beside the observation, and remembered beside what the core remembers.

Shape suffixes: N environments, B environments of a minibatch, T steps, A numbers of an action, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from embodied.errors import OptionError
from embodied.nn.core import Core

LAST_ACTION = "last_action"


@dataclass
class Remembered:
    """A core's memory, and the last action of each environment, `(N, A)`: zeros for none."""

    core: Any
    action: Tensor


class ActionMemories:
    """Makes, copies and splits memories that hold the last action, as `Core` does its own.

    Args:
        core: what remembers the rest.
        size: how many numbers an action has.
    """

    def __init__(self, core: Core, size: int) -> None:
        self._core, self._size = core, size

    def initial(self, n: int) -> Remembered:
        """Returns the empty memory of `n` environments."""
        device = next(self._core.parameters()).device
        return Remembered(self._core.initial(n), torch.zeros(n, self._size, device=device))

    def snapshot(self, memory: Remembered) -> Remembered:
        """Returns a copy that later steps leave alone, as small as it can be."""
        return Remembered(self._core.snapshot(memory.core), memory.action.clone())

    def clone(self, memory: Remembered) -> Remembered:
        """Returns a copy to go on from."""
        return Remembered(self._core.clone(memory.core), memory.action.clone())

    def rows(self, memory: Remembered, index: Tensor) -> Remembered:
        """Returns the memory of some environments."""
        return Remembered(self._core.rows(memory.core, index), memory.action[index])

    def put(self, memory: Remembered, index: Tensor, part: Remembered) -> None:
        """Writes the memory of some environments back, as `rows` had returned it."""
        self._core.put(memory.core, index, part.core)
        memory.action[index] = part.action

    def tensors(self, memory: Remembered) -> dict[str, Tensor]:
        """Returns the tensors that a memory is made of; written to, they set it."""
        return {**self._core.tensors(memory.core), LAST_ACTION: memory.action}


class ActionInput(nn.Linear):
    """What the last action adds to the encoded observation; at first as if it stood in the observation.

    Args:
        size: how many numbers an action has; features: of an encoded observation; beside: numbers of an observation.
    """

    def __init__(self, size: int, features: int, beside: int) -> None:
        super().__init__(size, features, bias=False)
        bound = (beside + size) ** -0.5
        nn.init.uniform_(self.weight, -bound, bound)

    def at_step(self, first_N: Tensor, memory: Remembered) -> Tensor:
        """In each environment, `(N, F)`; nothing where an episode begins."""
        return self(memory.action.masked_fill(first_N[:, None], 0.0))

    def in_sequence(self, first_BT: Tensor, memory: Remembered, action_BTA: Tensor | None) -> Tensor:
        """At each of T steps that follow a memory, `(B, T, F)`.

        Args:
            action_BTA: what was done at each step; may be left out of a single one.

        Raises:
            OptionError: there are more, and nobody says.
        """
        before = memory.action[:, None]
        if first_BT.shape[1] > 1:
            if action_BTA is None:
                raise OptionError("this policy reads what was done a step before: give it the actions")
            before = torch.cat([before, action_BTA[:, :-1]], dim=1)
        return self(before.masked_fill(first_BT[..., None], 0.0))
