"""What there is to show of a robot, and of one of its decisions."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import NDArray


@dataclass(frozen=True)
class Trace:
    """A sensor whose readings are drawn over time; `part` of the observation, in `unit`."""

    name: str
    unit: str
    part: slice


@dataclass(frozen=True)
class Picture:
    """A camera's picture in `part` of the observation: colors, or distances up to `far` [m]."""

    name: str
    part: slice
    height: int
    width: int
    far: float | None = None


@dataclass(frozen=True)
class Player:
    """A robot on show.

    Attributes:
        name: as it is called; empty for the only one.
        actions: what it decides.
        classes: those of its line camera, in order; none without one.
        range_finders: names of its range sensors.
        pictures, traces: its other cameras and sensors.
    """

    name: str
    actions: tuple[str, ...]
    classes: tuple[str, ...] = ()
    range_finders: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    traces: tuple[Trace, ...] = ()

    def path(self, what: str) -> str:
        """Where something of it is logged."""
        return f"{self.name}/{what}" if self.name else what


@dataclass(frozen=True)
class RayFrame:
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


@dataclass(frozen=True)
class Sensed:
    """What a robot senses at a decision: observation `(dim,)`, frames of its line camera and of its range finders."""

    obs: NDArray
    camera: RayFrame | None = None
    range_finders: tuple[RayFrame, ...] = ()
