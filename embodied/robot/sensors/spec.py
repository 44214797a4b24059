"""Sensors that are not optical: what is measured, and how well. One declaration in physical units."""

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco

from embodied.errors import ModelError
from embodied.layout import Channel
from embodied.robot.sensors.error_model import EXACT, ErrorModel
from embodied.robot.timing import AGE_LIMIT_S, IMMEDIATE, Timing

HINGE, SLIDE = mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE
ANGLES, LENGTHS = ("rad", "deg", "rev", "rpm"), ("m", "cm", "mm")


@dataclass(frozen=True)
class Source:
    """A MuJoCo sensor that is added to the robot when it is built.

    Attributes:
        type: what MuJoCo measures; object, target: on what.
        parameters: MuJoCo's `intprm`, for the sensors that have them.
    """

    type: mujoco.mjtSensor
    object: mujoco.mjtObj
    target: str
    parameters: tuple[int, ...] = ()


@dataclass(frozen=True)
class Telemetry:
    """What the robot's electronics know, sampled at instants of decision (see `Robot.telemetry`).

    `battery/voltage`, `battery/current`, and of an actuator `<actuator>/current`, `<actuator>/heating`,
    `<actuator>/load` and, in [-1, 1], `<actuator>/command`.
    """

    name: str


@dataclass(frozen=True)
class Sensor:
    """Readings of one or more sources.

    Attributes:
        sources: MuJoCo sensors in the robot's MJCF by name, `Source`s to be added, or `Telemetry`s.
        axes: components of vector sensors that are delivered.
        gain: turns MuJoCo's unit into that of the sensor.
        limit: where readings saturate, in `unit`.
        errors: how readings differ from the truth.
        timing: when they are taken and when they arrive.
        wrap: readings are angles, and come within half a turn of zero.
        increment: the change since the reading before is delivered; `limit` bounds it.
        combine: weights `(outputs, size)`: sums of the readings are delivered instead of them.
        age: whether the age of the reading is observed, too.
        valid: whether a flag is observed that says if a frame has arrived and no reading is saturated, or without
            anything to measure.

    A MuJoCo `rangefinder` that meets nothing reads `limit`, and is not valid; it meets geoms of every group (a
    `RaySensor` meets those that are drawn).

    Raises:
        ModelError: no sources, a limit that is not positive, weights that do not fit, or telemetry mixed with others.
    """

    name: str
    sources: tuple[str | Source | Telemetry, ...]
    unit: str
    limit: float
    errors: ErrorModel = EXACT
    timing: Timing = IMMEDIATE
    axes: tuple[int, ...] = (0,)
    gain: float = 1.0
    wrap: bool = False
    increment: bool = False
    combine: tuple[tuple[float, ...], ...] = ()
    age: bool = False
    valid: bool = False

    def __post_init__(self) -> None:
        if not self.sources or not self.axes or not 0 < self.limit < math.inf:
            raise ModelError(f"sensor {self.name!r} needs a source, an axis and a positive, finite limit")
        if self.wrap and (self.increment or self.limit < math.pi):
            raise ModelError(f"sensor {self.name!r}: angles that wrap reach half a turn, and are no increments")
        if any(len(weights) != self.readings for weights in self.combine):
            raise ModelError(f"sensor {self.name!r}: each row of `combine` needs {self.readings} weights")
        if len({isinstance(source, Telemetry) for source in self.sources}) > 1:
            raise ModelError(f"sensor {self.name!r} mixes telemetry with sensors of MuJoCo")

    @property
    def joint_kinds(self) -> tuple[mujoco.mjtJoint, ...]:
        """The kinds of joints whose position or speed is in its unit; a gain or weights may turn one into another."""
        units = {unit.strip().partition("/")[0] for unit in self.unit.split(",")}
        if self.gain == 1.0 and not self.combine and units <= {*ANGLES, *LENGTHS}:
            return (HINGE,) * bool(units & {*ANGLES}) + (SLIDE,) * bool(units & {*LENGTHS})
        return (HINGE, SLIDE)

    @property
    def is_telemetry(self) -> bool:
        """Whether it samples what the robot's electronics know."""
        return isinstance(self.sources[0], Telemetry)

    @property
    def readings(self) -> int:
        """How many numbers are measured."""
        return len(self.sources) * len(self.axes)

    @property
    def size(self) -> int:
        """How many numbers it delivers, age and flag apart."""
        return len(self.combine) or self.readings

    @property
    def source_names(self) -> tuple[str, ...]:
        """Names of its sources; those of MuJoCo as in the built model."""
        return tuple(self._source_name(source) for source in self.sources)

    def _source_name(self, source: str | Source | Telemetry) -> str:
        if isinstance(source, str):
            return source
        if isinstance(source, Telemetry):
            return source.name
        return f"{self.name}/{source.target}"

    @property
    def _labels(self) -> tuple[str, ...]:
        """What each number is of, where sources are not mixed."""
        of = (s.target if isinstance(s, Source) else s.name if isinstance(s, Telemetry) else s for s in self.sources)
        return () if self.combine or len(self.axes) > 1 else tuple(of)

    @property
    def bound(self) -> float:
        """Greatest magnitude that it can deliver."""
        return self.limit * max((sum(map(abs, weights)) for weights in self.combine), default=1.0)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Its place in the observation."""
        channels = [Channel(self.name, self.size, -self.bound, self.bound, self.unit, labels=self._labels)]
        if self.age:
            channels.append(Channel(f"{self.name}/age", 1, 0.0, AGE_LIMIT_S, "s"))
        if self.valid:
            channels.append(Channel(f"{self.name}/valid", 1, 0.0, 1.0, "flag"))
        return tuple(channels)
