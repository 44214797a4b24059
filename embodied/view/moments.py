"""What there is to show of a robot, and of one of its decisions."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import NDArray


@dataclass(frozen=True)
class Player:
    """A robot on show.

    Attributes:
        name: as it is called; empty for the only one.
        actions: what it decides.
        classes: those of its line camera, in order; none without one.
    """

    name: str
    actions: tuple[str, ...]
    classes: tuple[str, ...] = ()

    def path(self, what: str) -> str:
        """Where something of it is logged."""
        return f"{self.name}/{what}" if self.name else what


@dataclass(frozen=True)
class Glance:
    """What a line camera delivered last.

    Attributes:
        origin, directions: of its beams where the frame was taken, `(3,)` [m] and `(pixels, 3)`, world frame.
        ranges, seen: `(pixels,)` [m] and the classes' numbers.
    """

    origin: NDArray
    directions: NDArray
    ranges: NDArray
    seen: NDArray

    @property
    def ends(self) -> NDArray:
        """Where its beams end, `(pixels, 3)` [m]."""
        return self.origin + self.directions * self.ranges[:, None]
