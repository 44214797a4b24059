"""The part of a policy that remembers: one interface for every kind of memory.

Shape suffixes: N environments, B environments of a minibatch, T steps, F features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from embodied.nn.permutations import Permutation, Place


class Core(nn.Module, ABC):
    """A network with memory that reads one step at a time, or many at once with the same result."""

    has_memory: bool = True
    features: int

    @abstractmethod
    def initial(self, n: int) -> Any:
        """Returns the empty memory of `n` environments."""

    @abstractmethod
    def step(self, x_NF: Tensor, first_N: Tensor, memory: Any) -> tuple[Tensor, Any]:
        """Reads one step; where `first`, the memory is emptied before. Returns features and the new memory."""

    @abstractmethod
    def sequence(self, x_BTF: Tensor, first_BT: Tensor, memory: Any) -> Tensor:
        """Reads T steps that follow `memory` (which gets no gradient); returns features `(B, T, features)`."""

    @abstractmethod
    def snapshot(self, memory: Any) -> Any:
        """Returns a copy that later steps leave alone, as small as it can be."""

    @abstractmethod
    def clone(self, memory: Any) -> Any:
        """Returns a copy to go on from; `step` may write into the memory that it is given."""

    @abstractmethod
    def rows(self, memory: Any, index: Tensor) -> Any:
        """Returns the memory of some environments."""

    @abstractmethod
    def put(self, memory: Any, index: Tensor, part: Any) -> None:
        """Writes the memory of some environments back, as `rows` had returned it."""

    @abstractmethod
    def tensors(self, memory: Any) -> dict[str, Tensor]:
        """Returns the tensors that a memory is made of, to be saved; written to, they set it."""

    @abstractmethod
    def pure_step(self, x_NF: Tensor, first_N: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        """`step` as a function of the tensors of a memory; returns features and those tensors anew. For export."""

    def regularizer(self) -> Tensor | None:
        """What the last `sequence` adds to the loss, such as the balance of experts; None for nothing."""
        return None

    def permutations(self) -> tuple[tuple[Place, ...], tuple[Permutation, ...]] | None:
        """Where features stand in its own weights, and units inside that can change places; None if it cannot say."""
        return None

    def introspect(self, x_BTF: Tensor, first_BT: Tensor) -> dict[str, Tensor]:
        """What goes on inside while output T steps from an empty memory, by name."""
        return {}
