"""What a policy remembers of each environment: what its core does, and what it did last.

Shape suffixes: N environments, A numbers of an action.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from embodied.nn.core import Core

LAST_ACTION = "last_action"


@dataclass
class Remembered:
    """A core's memory, and the last action of each environment, `(N, A)`: zeros for none."""

    core: Any
    action: Tensor


class Memories:
    """Makes, copies and splits the memory of a policy, as `Core` does its own.

    Args:
        core: what remembers.
        action: how many numbers of the last action are kept beside; with 0 the core's own memory is all there is.
    """

    def __init__(self, core: Core, action: int) -> None:
        self._core, self._action = core, action

    def initial(self, n: int) -> Any:
        """Returns the empty memory of `n` environments."""
        core = self._core.initial(n)
        return Remembered(core, torch.zeros(n, self._action, device=self._device)) if self._action else core

    def snapshot(self, memory: Any) -> Any:
        """Returns a copy that later steps leave alone, as small as it can be."""
        if not self._action:
            return self._core.snapshot(memory)
        return Remembered(self._core.snapshot(memory.core), memory.action.clone())

    def clone(self, memory: Any) -> Any:
        """Returns a copy to go on from."""
        if not self._action:
            return self._core.clone(memory)
        return Remembered(self._core.clone(memory.core), memory.action.clone())

    def rows(self, memory: Any, index: Tensor) -> Any:
        """Returns the memory of some environments."""
        if not self._action:
            return self._core.rows(memory, index)
        return Remembered(self._core.rows(memory.core, index), memory.action[index])

    def put(self, memory: Any, index: Tensor, part: Any) -> None:
        """Writes the memory of some environments back, as `rows` had returned it."""
        if not self._action:
            self._core.put(memory, index, part)
            return
        self._core.put(memory.core, index, part.core)
        memory.action[index] = part.action

    def tensors(self, memory: Any) -> dict[str, Tensor]:
        """Returns the tensors that a memory is made of; written to, they set it."""
        if not self._action:
            return self._core.tensors(memory)
        return {**self._core.tensors(memory.core), LAST_ACTION: memory.action}

    @property
    def _device(self) -> torch.device:
        return next(self._core.parameters()).device
