"""A robot: an MJCF or URDF file plus declared sensors and actuators."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import mujoco

from embodied.errors import ModelError, UnknownNameError
from embodied.layout import Channel, Layout
from embodied.patterns import matches_any
from embodied.physics.loading import compile_spec, read_spec
from embodied.robot.actuators.battery import Battery
from embodied.robot.actuators.spec import Actuator
from embodied.robot.cameras.spec import Camera
from embodied.robot.rays.spec import LineCamera, RaySensor
from embodied.robot.sensors.error_model import EXACT
from embodied.robot.sensors.spec import Sensor, Source, Telemetry
from embodied.robot.timing import IMMEDIATE, Timing

HISTORY_MARGIN = 2.0  # how many times longer than declared the lag may become in a randomized world
MOST_LISTED = 8
ON_JOINTS = (mujoco.mjtTrn.mjTRN_JOINT, mujoco.mjtTrn.mjTRN_JOINTINPARENT)
JOINT_SENSORS = (mujoco.mjtSensor.mjSENS_JOINTPOS, mujoco.mjtSensor.mjSENS_JOINTVEL)
USUAL_PARAMETERS = {mujoco.mjtSensor.mjSENS_RANGEFINDER: (1 << int(mujoco.mjtRayDataField.mjRAYDATA_DIST), 0, 0)}
JOINT_KINDS = {
    mujoco.mjtJoint.mjJNT_FREE: "free",
    mujoco.mjtJoint.mjJNT_BALL: "ball",
    mujoco.mjtJoint.mjJNT_SLIDE: "slide",
    mujoco.mjtJoint.mjJNT_HINGE: "hinge",
}
_KINDS = {
    mujoco.mjtObj.mjOBJ_SITE: "site",
    mujoco.mjtObj.mjOBJ_JOINT: "joint",
    mujoco.mjtObj.mjOBJ_BODY: "body",
    mujoco.mjtObj.mjOBJ_GEOM: "geom",
}


@dataclass(frozen=True)
class Robot:
    """An MJCF or URDF file with declared sensors and actuators; names refer to elements of that file.

    Declared actuators take the place of the file's on their joints.

    Attributes:
        base: root body of the robot; it has a free joint, or is fixed where the MJCF places it.
        line_cameras: rows of pixels with range and class; range_finders: range finders and lidars; cameras: rendered
            color or depth cameras.
        battery: supply of the actuators; None for a supply that never sags.
        power_update_s: period at which battery, dead bands and heat limits are updated within a control step [s].
        keep_actuators: patterns of actuators of the file that stay beside the declared ones, at control 0.
        packages: folders of ROS packages by name, where the file has addresses such as `package://NAME/…`.
        material_colors: colors that replace those of materials of the MJCF, RGBA in [0, 1].

    Raises:
        ModelError: the file is missing or damaged, a part names something that it does not have, parts are wired
            wrongly, or actuators of the file would act that nothing declared commands and nobody asked to keep.
    """

    name: str
    mjcf: Path
    base: str
    sensors: tuple[Sensor, ...]
    line_cameras: tuple[LineCamera, ...]
    actuators: tuple[Actuator, ...]
    range_finders: tuple[RaySensor, ...] = ()
    cameras: tuple[Camera, ...] = ()
    battery: Battery | None = None
    power_update_s: float = 0.05
    material_colors: Mapping[str, tuple[float, float, float, float]] = field(default_factory=dict)
    keep_actuators: tuple[str, ...] = ()
    packages: Mapping[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        spec = self._read()
        known = {
            "sensor": {s.name for s in spec.sensors},
            "joint": {j.name for j in spec.joints},
            "site": {s.name for s in spec.sites},
            "body": {b.name for b in spec.bodies},
            "geom": {g.name for g in spec.geoms},
            "camera": {c.name for c in spec.cameras},
            "telemetry": set(self.telemetry),
            "material": {m.name for m in spec.materials},
        }
        for kind, name in self._references():
            if name not in known[kind]:
                raise ModelError(f"robot {self.name!r}: {UnknownNameError(kind, name, known[kind])}")
        if not self.power_update_s > 0:
            raise ModelError(f"robot {self.name!r}: power_update_s must be positive, not {self.power_update_s}")
        self._check_names()
        self._check_joints(spec)
        self._check_actuators(spec)
        _add_sources(spec, self.sensors)
        self._check_axes(compile_spec(spec, f"robot {self.name!r}"))

    @property
    def optical_sensors(self) -> tuple[RaySensor | Camera, ...]:
        """Ray sensors and cameras, in the order of the observation."""
        return (*self.line_cameras, *self.range_finders, *self.cameras)

    @property
    def perception(self) -> tuple[RaySensor | Camera | Sensor, ...]:
        """All sensors, in the order of the observation."""
        return (*self.optical_sensors, *self.sensors)

    @property
    def telemetry(self) -> tuple[str, ...]:
        """Names of the quantities that its electronics report, for sensors to sample."""
        motors = [a.name for a in self.actuators if a.electrics is not None]
        known = [f"{name}/{what}" for name in motors for what in ("current", "heating", "load")]
        known += [f"{a.name}/command" for a in self.actuators]
        return (*known, "battery/voltage", "battery/current") if self.battery else tuple(known)

    def _references(self) -> list[tuple[str, str]]:
        """Every name that its parts refer to, with the kind of element."""
        sources = [source for sensor in self.sensors for source in sensor.sources]
        references = [("sensor", source) for source in sources if isinstance(source, str)]
        references += [("telemetry", source.name) for source in sources if isinstance(source, Telemetry)]
        references += [(_kind(source), source.target) for source in sources if isinstance(source, Source)]
        references += [("joint", a.joint) for a in self.actuators] + [("body", self.base)]
        references += [
            pair for c in (*self.line_cameras, *self.range_finders) for pair in (("site", c.site), ("body", c.body))
        ]
        references += [("material", name) for name in self.material_colors]
        return references + [("camera", camera.camera) for camera in self.cameras]

    def _check_names(self) -> None:
        """Refuses names that are used twice, and sources that two sensors read."""
        names = (
            [part.name for part in self.perception]
            + [a.name for a in self.actuators]
            + ["battery"] * bool(self.battery)
        )
        sources = [name for sensor in self.sensors if not sensor.is_telemetry for name in sensor.source_names]
        for kind, listed in (("part", names), ("source", sources)):
            twice = sorted({name for name in listed if listed.count(name) > 1})
            if twice:
                raise ModelError(f"robot {self.name!r}: {kind} {', '.join(twice)} is declared twice")

    def _check_joints(self, spec: mujoco.MjSpec) -> None:
        """Refuses motors and encoders on joints that move otherwise."""
        kinds = {joint.name: mujoco.mjtJoint(joint.type) for joint in spec.joints}
        wanted = [(actuator.name, actuator.joint, (actuator.MOVES,)) for actuator in self.actuators]
        for sensor in self.sensors:
            wanted += [(sensor.name, joint, sensor.joint_kinds) for joint in _joints_of(sensor, spec)]
        for part, joint, fitting in wanted:
            if kinds[joint] not in fitting:
                raise ModelError(
                    f"robot {self.name!r}: {part!r} is made for a {' or '.join(JOINT_KINDS[kind] for kind in fitting)} "
                    f"joint, but {joint!r} is a {JOINT_KINDS[kinds[joint]]} joint"
                )

    def _check_actuators(self, spec: mujoco.MjSpec) -> None:
        """Refuses actuators of the file that would act unseen."""
        unseen = [a for a in spec.actuators if not matches_any(a.name, self.keep_actuators)]
        if unseen:
            listed = ", ".join(f"{a.name or 'one without a name'} (on {a.target})" for a in unseen[:MOST_LISTED])
            listed += f" and {len(unseen) - MOST_LISTED} more" if len(unseen) > MOST_LISTED else ""
            raise ModelError(
                f"robot {self.name!r}: actuators of {Path(self.mjcf).name} would act that nothing declared commands: "
                f"{listed}; declare actuators for their joints, or keep them at control 0 with keep_actuators=('*',)"
            )
        taken = {a.name for a in spec.actuators} & {a.name for a in self.actuators}
        if taken:
            raise ModelError(f"robot {self.name!r}: its file keeps actuators of the same name: {', '.join(taken)}")

    def _check_axes(self, model: mujoco.MjModel) -> None:
        """Refuses axes that a source does not have, and misalignment of what is no vector."""
        for sensor in self.sensors:
            for source in sensor.source_names:
                dimension = 1 if sensor.is_telemetry else self._dimension(sensor, source, model)
                if not all(0 <= axis < dimension for axis in sensor.axes):
                    raise ModelError(
                        f"robot {self.name!r}: sensor {sensor.name!r} reads axes {sensor.axes} of {source!r}, "
                        f"which has {dimension}"
                    )
                if sensor.errors.misalignment and dimension != 3:
                    raise ModelError(f"robot {self.name!r}: sensor {sensor.name!r} has no axes to be misaligned")

    def _dimension(self, sensor: Sensor, source: str, model: mujoco.MjModel) -> int:
        """How many numbers a sensor of MuJoCo reads; refuses a range finder that reads more than distances."""
        i = model.sensor(source).id
        kind, fields = mujoco.mjtSensor(model.sensor_type[i]), int(model.sensor_intprm[i, 0])
        if fields != USUAL_PARAMETERS.get(kind, (fields,))[0]:
            raise ModelError(
                f"robot {self.name!r}: sensor {sensor.name!r} reads more of {source!r} than distances; declare a "
                "RaySensor or a DepthCamera"
            )
        return int(model.sensor_dim[i])

    @cached_property
    def layout(self) -> Layout:
        """The named layout of what the robot senses."""
        return Layout(tuple(channel for part in self.perception for channel in part.channels))

    @cached_property
    def commands(self) -> Layout:
        """The named layout of what its actuators are told; the bounds of a channel are what −1 and 1 mean."""
        return Layout(tuple(Channel(a.name, 1, -a.scale, a.scale, a.unit) for a in self.actuators))

    def with_labels(self, labels: dict[str, str], legible: dict[str, str], **camera: Any) -> Robot:
        """Returns this robot with its camera labeled the classes of a task (see `LineCamera`)."""
        labeled = tuple(replace(c, labels=labels, legible=legible, **camera) for c in self.line_cameras)
        return replace(self, line_cameras=labeled)

    def ideal(self) -> Robot:
        """Returns this robot with perfect sensors (no latency, no errors, no losses), for comparison."""
        sensors = tuple(replace(s, errors=EXACT, timing=IMMEDIATE) for s in self.sensors)
        exact: dict[str, Any] = {"timing": IMMEDIATE, "range_noise": 0.0, "range_floor": 0.0, "resolution": 0.0}
        exact["dropout"] = 0.0
        line_cameras = tuple(replace(c, misread=0.0, **exact) for c in self.line_cameras)
        range_finders = tuple(replace(r, **exact) for r in self.range_finders)
        cameras = tuple(camera.ideal() for camera in self.cameras)
        return replace(self, sensors=sensors, line_cameras=line_cameras, range_finders=range_finders, cameras=cameras)

    def _read(self) -> mujoco.MjSpec:
        """The file, without what the declared actuators replace."""
        spec = read_spec(self.mjcf, self.packages)
        _replace_actuators(spec, {a.joint for a in self.actuators}, self.keep_actuators)
        return spec

    def build(self, tick_s: float) -> mujoco.MjSpec:
        """Returns the MJCF with actuators and history buffers compiled in, for an arena with steps of `tick_s`.

        Raises:
            ModelError: a sensor, or the commands of an actuator, are faster than the physics.
        """
        spec = self._read()
        for material, rgba in self.material_colors.items():
            spec.material(material).rgba = rgba
        for actuator in self.actuators:
            actuator.compile(spec)
            _check_bristles(actuator, tick_s)
            _set_timing(spec.actuator(actuator.name), actuator.command, tick_s, f"commands of {actuator.name!r}")
        _add_sources(spec, self.sensors)
        for sensor in self.sensors:
            if not sensor.is_telemetry:
                for source in sensor.source_names:
                    _set_timing(spec.sensor(source), sensor.timing, tick_s, sensor.name)
        return spec


def _joints_of(sensor: Sensor, spec: mujoco.MjSpec) -> list[str]:
    """The joints whose angle or speed a sensor reads."""
    made = {s.name: (s.type, s.objname) for s in spec.sensors}
    of = [(s.type, s.target) for s in sensor.sources if isinstance(s, Source)]
    of += [made[s] for s in sensor.sources if isinstance(s, str)]
    return [joint for kind, joint in of if kind in JOINT_SENSORS]


def _replace_actuators(spec: mujoco.MjSpec, joints: set[str], keep: tuple[str, ...]) -> None:
    """Deletes the actuators of a file that drive some joints, with the sensors that read them and the keyframes."""
    replaced = [
        a for a in spec.actuators if a.trntype in ON_JOINTS and a.target in joints and not matches_any(a.name, keep)
    ]
    names = {a.name for a in replaced}
    read = [s for s in spec.sensors if s.objtype == mujoco.mjtObj.mjOBJ_ACTUATOR and s.objname in names]
    for element in (*spec.keys, *read, *replaced):
        spec.delete(element)


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
                made.intprm = source.parameters or USUAL_PARAMETERS.get(source.type, (0, 0, 0))


def _set_timing(part: mujoco.MjsSensor | mujoco.MjsActuator, timing: Timing, tick_s: float, name: str) -> None:
    """Gives a part of MuJoCo a history as long as its timing needs, in place of one that its file gave it.

    Its delay is set anew before every decision.
    """
    part.nsample, part.delay, part.interp = 0, 0.0, 0
    if isinstance(part, mujoco.MjsSensor):
        part.interval = [0.0, 0.0]
    if not timing.immediate:
        part.nsample = math.ceil(HISTORY_MARGIN * timing.longest_lag_s(tick_s, name) / tick_s) + 2
        part.delay = tick_s
