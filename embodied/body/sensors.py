"""Sensors that MuJoCo simulates: what is measured, and how well. One declaration in physical units says it all."""

from __future__ import annotations

from dataclasses import dataclass

from embodied.body.error_model import EXACT, ErrorModel
from embodied.body.timing import AGE_LIMIT_S, IMMEDIATE, Timing
from embodied.errors import ModelError
from embodied.layout import Channel


@dataclass(frozen=True)
class Sensor:
    """Readings of one or more MuJoCo sensors.

    Attributes:
        sources: MuJoCo sensors in the robot's MJCF; `axes` picks components of vector sensors.
        limit: where readings saturate, in `unit`.
        errors: how readings differ from the truth.
        timing: when they are taken and when they arrive.
        age: whether the age of the reading is observed, too.

    Raises:
        ModelError: no sources, or a limit that is not positive.
    """

    name: str
    sources: tuple[str, ...]
    unit: str
    limit: float
    errors: ErrorModel = EXACT
    timing: Timing = IMMEDIATE
    axes: tuple[int, ...] = (0,)
    age: bool = False

    def __post_init__(self) -> None:
        if not self.sources or not self.axes or self.limit <= 0:
            raise ModelError(f"sensor {self.name!r} needs a source, an axis and a positive limit")

    @property
    def size(self) -> int:
        """How many numbers it delivers, its age apart."""
        return len(self.sources) * len(self.axes)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Its place in the observation."""
        reading = Channel(self.name, self.size, -self.limit, self.limit, self.unit)
        return (reading, Channel(f"{self.name}/age", 1, 0.0, AGE_LIMIT_S, "s")) if self.age else (reading,)
