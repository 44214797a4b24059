"""How large a network is: what all of them share."""

from __future__ import annotations

from dataclasses import dataclass

from embodied.errors import OptionError

DEEPEST, WIDEST = 12, 4096


@dataclass(frozen=True)
class Size:
    """Layers, and numbers per layer."""

    layers: int = 2
    width: int = 64

    def __post_init__(self) -> None:
        if not 1 <= self.layers <= DEEPEST or not 1 <= self.width <= WIDEST:
            sizes = f"layers is {self.layers} and width {self.width}"
            raise OptionError(f"{sizes}, expected 1 to {DEEPEST} and 1 to {WIDEST}")
