"""A robot: an MJCF file plus declared sensors and actuators."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import mujoco

from embodied.body.actuators import Actuator
from embodied.body.error_model import EXACT
from embodied.body.rays import LineCamera, RayFan
from embodied.body.sensors import Sensor
from embodied.body.timing import IMMEDIATE
from embodied.errors import ModelError, UnknownNameError
from embodied.layout import Layout

HISTORY_MARGIN = 2.0  # how many times longer than declared the lag may become in a randomised world


@dataclass(frozen=True)
class Robot:
    """What a body is made of; names refer to the robot's own MJCF.

    Raises:
        ModelError: a sensor or an actuator names something that the MJCF does not have.
    """

    name: str
    mjcf: Path
    base: str
    sensors: tuple[Sensor, ...]
    cameras: tuple[LineCamera, ...]
    actuators: tuple[Actuator, ...]
    rangers: tuple[RayFan, ...] = ()

    def __post_init__(self) -> None:
        spec = mujoco.MjSpec.from_file(str(self.mjcf))
        known = {
            "sensor": {s.name for s in spec.sensors},
            "joint": {j.name for j in spec.joints},
            "site": {s.name for s in spec.sites},
            "body": {b.name for b in spec.bodies},
        }
        wanted = [("sensor", source) for s in self.sensors for source in s.sources]
        wanted += [("joint", a.joint) for a in self.actuators] + [("body", self.base)]
        wanted += [pair for c in (*self.cameras, *self.rangers) for pair in (("site", c.site), ("body", c.body))]
        for kind, name in wanted:
            if name not in known[kind]:
                raise ModelError(f"robot {self.name!r}: {UnknownNameError(kind, name, known[kind])}")
        self._check_wiring(spec)

    def _check_wiring(self, spec: mujoco.MjSpec) -> None:
        """Refuses names used twice, sources read by two sensors, and axes that a source does not have."""
        names = [c.name for c in (*self.cameras, *self.rangers)] + [s.name for s in self.sensors]
        sources = [source for sensor in self.sensors for source in sensor.sources]
        for kind, listed in (("sensor", names), ("actuator", [a.name for a in self.actuators]), ("source", sources)):
            twice = sorted({name for name in listed if listed.count(name) > 1})
            if twice:
                raise ModelError(f"robot {self.name!r}: {kind} {', '.join(twice)} is declared twice")
        sizes = mujoco.MjSpec.compile(spec).sensor_dim
        dimension = {sensor.name: int(size) for sensor, size in zip(spec.sensors, sizes, strict=True)}
        for sensor in self.sensors:
            for source in sensor.sources:
                if not all(0 <= axis < dimension[source] for axis in sensor.axes):
                    raise ModelError(
                        f"robot {self.name!r}: sensor {sensor.name!r} reads axes {sensor.axes} of {source!r}, "
                        f"which has {dimension[source]}"
                    )

    @cached_property
    def layout(self) -> Layout:
        """The named layout of what the robot senses."""
        parts: tuple[RayFan | Sensor, ...] = (*self.cameras, *self.rangers, *self.sensors)
        return Layout(tuple(channel for part in parts for channel in part.channels))

    def looking_for(self, labels: dict[str, str], legible: dict[str, str], **camera: Any) -> Robot:
        """Returns this robot with its camera taught the classes of a task (see `LineCamera`)."""
        taught = tuple(replace(c, labels=labels, legible=legible, **camera) for c in self.cameras)
        return replace(self, cameras=taught)

    def ideal(self) -> Robot:
        """Returns this robot with perfect sensors: fresh, exact, nothing lost; for comparison."""
        sensors = tuple(replace(s, errors=EXACT, timing=IMMEDIATE) for s in self.sensors)
        exact: dict[str, Any] = {"timing": IMMEDIATE, "range_noise": 0.0, "range_floor": 0.0, "resolution": 0.0}
        exact["dropout"] = 0.0
        cameras = tuple(replace(c, misread=0.0, **exact) for c in self.cameras)
        rangers = tuple(replace(r, **exact) for r in self.rangers)
        return replace(self, sensors=sensors, cameras=cameras, rangers=rangers)

    def build(self, tick_s: float) -> mujoco.MjSpec:
        """Returns the MJCF with actuators and history buffers compiled in, for an arena with steps of `tick_s`.

        Raises:
            ModelError: a sensor is faster than the physics.
        """
        spec = mujoco.MjSpec.from_file(str(self.mjcf))
        for actuator in self.actuators:
            actuator.compile(spec)
        for sensor in self.sensors:
            if not sensor.timing.immediate:
                for source in sensor.sources:
                    _remember(spec.sensor(source), sensor.timing.longest_lag_s(tick_s), tick_s)
        return spec


def _remember(sensor: mujoco.MjsSensor, lag_s: float, tick_s: float) -> None:
    """Gives a MuJoCo sensor a history of `lag_s`; its delay is set anew before every decision."""
    sensor.nsample = math.ceil(HISTORY_MARGIN * lag_s / tick_s) + 2
    sensor.delay = tick_s
