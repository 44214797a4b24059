"""A robot: an MJCF file plus declared sensors and actuators."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import mujoco

from embodied.body.actuators import Actuator
from embodied.body.battery import Battery
from embodied.body.cameras import Eye
from embodied.body.error_model import EXACT
from embodied.body.rays import LineCamera, RayFan
from embodied.body.sensors import Sensor, Signal, Source
from embodied.body.timing import IMMEDIATE, Timing
from embodied.errors import ModelError, UnknownNameError
from embodied.layout import Layout

HISTORY_MARGIN = 2.0  # how many times longer than declared the lag may become in a randomised world


_KINDS = {
    mujoco.mjtObj.mjOBJ_SITE: "site",
    mujoco.mjtObj.mjOBJ_JOINT: "joint",
    mujoco.mjtObj.mjOBJ_BODY: "body",
    mujoco.mjtObj.mjOBJ_GEOM: "geom",
}


@dataclass(frozen=True)
class Robot:
    """What a body is made of; names refer to the robot's own MJCF.

    Attributes:
        base: the body that carries the rest; it moves freely, or stands where the MJCF has it.
        cameras: rows of pixels with classes; rangers: beams; eyes: rendered cameras, colour or depth.
        battery: what feeds the actuators; None for a supply that never sags.
        refresh_s: how often battery, dead bands and heat limits are computed anew within a decision [s].
        paint: materials of the MJCF that get another colour, RGBA in [0, 1].

    Raises:
        ModelError: a part names something that the MJCF does not have, or parts are wired wrongly.
    """

    name: str
    mjcf: Path
    base: str
    sensors: tuple[Sensor, ...]
    cameras: tuple[LineCamera, ...]
    actuators: tuple[Actuator, ...]
    rangers: tuple[RayFan, ...] = ()
    eyes: tuple[Eye, ...] = ()
    battery: Battery | None = None
    refresh_s: float = 0.05
    paint: Mapping[str, tuple[float, float, float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        spec = mujoco.MjSpec.from_file(str(self.mjcf))
        known = {
            "sensor": {s.name for s in spec.sensors},
            "joint": {j.name for j in spec.joints},
            "site": {s.name for s in spec.sites},
            "body": {b.name for b in spec.bodies},
            "geom": {g.name for g in spec.geoms},
            "camera": {c.name for c in spec.cameras},
            "signal": set(self.signals),
            "material": {m.name for m in spec.materials},
        }
        for kind, name in self._wanted():
            if name not in known[kind]:
                raise ModelError(f"robot {self.name!r}: {UnknownNameError(kind, name, known[kind])}")
        if not self.refresh_s > 0:
            raise ModelError(f"robot {self.name!r}: refresh_s must be positive, not {self.refresh_s}")
        self._check_names()
        self._check_axes(spec)

    @property
    def optics(self) -> tuple[RayFan | Eye, ...]:
        """What it sees with, in the order of the observation."""
        return (*self.cameras, *self.rangers, *self.eyes)

    @property
    def parts(self) -> tuple[RayFan | Eye | Sensor, ...]:
        """What it senses with, in the order of the observation."""
        return (*self.optics, *self.sensors)

    @property
    def signals(self) -> tuple[str, ...]:
        """What its electronics know, for sensors to sample."""
        motors = [a.name for a in self.actuators if a.electrics is not None]
        known = [f"{name}/{what}" for name in motors for what in ("current", "heating")]
        return (*known, "battery/voltage", "battery/current") if self.battery else tuple(known)

    def _wanted(self) -> list[tuple[str, str]]:
        """Everything that its parts name, by kind."""
        sources = [source for sensor in self.sensors for source in sensor.sources]
        wanted = [("sensor", source) for source in sources if isinstance(source, str)]
        wanted += [("signal", source.name) for source in sources if isinstance(source, Signal)]
        wanted += [(_kind(source), source.target) for source in sources if isinstance(source, Source)]
        wanted += [("joint", a.joint) for a in self.actuators] + [("body", self.base)]
        wanted += [pair for c in (*self.cameras, *self.rangers) for pair in (("site", c.site), ("body", c.body))]
        wanted += [("material", name) for name in self.paint]
        return wanted + [("camera", eye.camera) for eye in self.eyes]

    def _check_names(self) -> None:
        """Refuses names that are used twice, and sources that two sensors read."""
        names = [part.name for part in self.parts] + [a.name for a in self.actuators] + ["battery"] * bool(self.battery)
        sources = [name for sensor in self.sensors if not sensor.of_signals for name in sensor.source_names]
        for kind, listed in (("part", names), ("source", sources)):
            twice = sorted({name for name in listed if listed.count(name) > 1})
            if twice:
                raise ModelError(f"robot {self.name!r}: {kind} {', '.join(twice)} is declared twice")

    def _check_axes(self, spec: mujoco.MjSpec) -> None:
        """Refuses axes that a source does not have, and misalignment of what is no vector."""
        _add_sources(spec, self.sensors)
        model = spec.compile()
        for sensor in self.sensors:
            for source in sensor.source_names:
                dimension = 1 if sensor.of_signals else int(model.sensor(source).dim[0])
                if not all(0 <= axis < dimension for axis in sensor.axes):
                    raise ModelError(
                        f"robot {self.name!r}: sensor {sensor.name!r} reads axes {sensor.axes} of {source!r}, "
                        f"which has {dimension}"
                    )
                if sensor.errors.misalignment and dimension != 3:
                    raise ModelError(f"robot {self.name!r}: sensor {sensor.name!r} has no axes to be misaligned")

    @cached_property
    def layout(self) -> Layout:
        """The named layout of what the robot senses."""
        return Layout(tuple(channel for part in self.parts for channel in part.channels))

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
        eyes = tuple(eye.ideal() for eye in self.eyes)
        return replace(self, sensors=sensors, cameras=cameras, rangers=rangers, eyes=eyes)

    def build(self, tick_s: float) -> mujoco.MjSpec:
        """Returns the MJCF with actuators and history buffers compiled in, for an arena with steps of `tick_s`.

        Raises:
            ModelError: a sensor, or the commands of an actuator, are faster than the physics.
        """
        spec = mujoco.MjSpec.from_file(str(self.mjcf))
        for material, rgba in self.paint.items():
            spec.material(material).rgba = rgba
        for actuator in self.actuators:
            actuator.compile(spec)
            _check_bristles(actuator, tick_s)
            _remember(spec.actuator(actuator.name), actuator.command, tick_s, f"commands of {actuator.name!r}")
        _add_sources(spec, self.sensors)
        for sensor in self.sensors:
            if not sensor.of_signals:
                for source in sensor.source_names:
                    _remember(spec.sensor(source), sensor.timing, tick_s, sensor.name)
        return spec


def _kind(source: Source) -> str:
    if source.object not in _KINDS:
        raise ModelError(f"a source on {source.object} is not supported; known: {', '.join(_KINDS.values())}")
    return _KINDS[source.object]


def _check_bristles(actuator: Actuator, tick_s: float) -> None:
    """Refuses friction whose bristles swing faster than the physics can follow."""
    part = actuator.part
    if part is not None and part.stribeck is not None:
        most = part.armature / tick_s**2
        if part.stribeck.stiffness > most:
            raise ModelError(
                f"the bristles of {actuator.name!r} have {part.stribeck.stiffness:g} N·m/rad; with steps of "
                f"{tick_s:g} s they may have at most {most:.3g} N·m/rad"
            )


def _add_sources(spec: mujoco.MjSpec, sensors: tuple[Sensor, ...]) -> None:
    """Adds the MuJoCo sensors that sensors ask for."""
    for sensor in sensors:
        for source, name in zip(sensor.sources, sensor.source_names, strict=True):
            if isinstance(source, Source):
                made = spec.add_sensor(name=name, type=source.type, objtype=source.object, objname=source.target)
                if source.parameters:
                    made.intprm = source.parameters


def _remember(part: mujoco.MjsSensor | mujoco.MjsActuator, timing: Timing, tick_s: float, name: str) -> None:
    """Gives a part of MuJoCo a history as long as its timing needs; its delay is set anew before every decision."""
    if not timing.immediate:
        part.nsample = math.ceil(HISTORY_MARGIN * timing.longest_lag_s(tick_s, name) / tick_s) + 2
        part.delay = tick_s
