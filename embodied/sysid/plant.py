"""A model that gets the commands of a real robot, under any parameters.

Shape suffixes: K candidates, R recordings, W = K·R worlds, T instants of a recording, J joints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.errors import ModelError, OptionError, RecordingError, UnknownNameError
from embodied.patterns import matches
from embodied.physics.batch import Batch
from embodied.physics.elements import add_actuator
from embodied.physics.loading import compile_spec, read_spec
from embodied.physics.targets import Target, check_single, derive_if_needed, find_targets
from embodied.robot.actuators.spec import add_backlash
from embodied.sysid.drive import Drive
from embodied.sysid.lint import role
from embodied.sysid.recording import COMMAND, Recording
from embodied.sysid.signals import holes_of
from embodied.sysid.simulation import AIM, BACKLASH, LATENCY, OFFSET, Run, at_instants, start_of, ticks_of

SINGLE = (int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE))
STICKING = (0.9999, 0.9999, 0.001, 0.5, 2)  # MuJoCo's usual friction lets a loaded joint creep by 10 % of its fall
CHANGING = ("dof_damping", "dof_frictionloss")  # while a simulation runs
MOST_TICKS = 20_000_000  # of one recording
ANY_WIDTH = 0.01  # rad; every world has its own
LOST = 10.0  # rad; where a simulation that failed is said to be


class Plant(Protocol):
    """What identification needs to know of a model."""

    columns: tuple[str, ...]

    def expand(self, pattern: str) -> list[str]:
        """Names of the parameters that a pattern means."""

    def start(self, name: str) -> float:
        """What a parameter is before anything is known."""

    def measured(self, recording: Recording) -> NDArray[np.float64]:
        """What was measured, `(T, len(columns))`."""

    def simulate(self, values: Mapping[str, NDArray], recordings: Sequence[Recording]) -> list[NDArray[np.float64]]:
        """What would be measured under K candidates, `(K, T, len(columns))` for each recording.

        Args:
            values: `(K,)` by name; a parameter that is not named is at its start.
        """


class ServoPlant:
    """A MuJoCo model whose joints are driven: by position servos, or by velocity, torque or voltage.

    Its own actuators are left out: `drive` takes their place. Parameters are `latency_s` of the commands [s]; those of
    the drive, such as `stiffness[elbow]`; `offset[elbow]`, the reading of a joint at its zero, and
    `command_offset[elbow]`, by how much another reading than the command is aimed at [rad]; and every quantity of the
    model, such as `dof_damping[elbow]` or `density[gripper]` (see `embodied.physics.targets`). Joints with
    backlash have its full width, `backlash[elbow]` [rad]: their drive turns a rotor (the joint's armature), which a
    position loop follows, and their load, of which angles and speeds are read, is loose on it.

    Args:
        model: an MJCF or URDF file, or a spec, which is copied.
        joints: those that the columns of the command are for, in their order.
        drive: one for all joints, or one by joint.
        signal: what was measured of them: angles, or by its unit or name velocities, or torques of the drives.
        tick_s: step of the physics (None: the model's).
        threads: of the physics (None: one per core).
        packages: folders of ROS packages by name, where a URDF has addresses such as `package://NAME/…`.
        feeds: parameters that numbers of the recordings' metadata are, such as `{"payload": "body_mass[gripper]"}`.
        ignore: numbers of the metadata that may differ between recordings although nothing uses them.
        backlash: joints that have some.

    Raises:
        UnknownNameError, OptionError, ModelError: something that the model does not have, or that is named twice;
            backlash without a rotor's inertia.
    """

    def __init__(
        self,
        model: Path | str | mujoco.MjSpec,
        joints: Sequence[str],
        drive: Drive | Mapping[str, Drive],
        signal: str = "position",
        tick_s: float | None = None,
        threads: int | None = None,
        packages: Mapping[str, Path] | None = None,
        feeds: Mapping[str, str] | None = None,
        ignore: Sequence[str] = (),
        backlash: Sequence[str] = (),
    ) -> None:
        spec = model.copy() if isinstance(model, mujoco.MjSpec) else read_spec(model, packages or {}, visuals=False)
        check_joints(spec, joints)
        for joint in backlash:
            if joint not in joints:
                raise UnknownNameError("driven joint", joint, joints)
        for joint in joints:
            if not isinstance(drive, Drive) and joint not in drive:
                raise UnknownNameError("drive of joint", joint, drive)
        if tick_s is not None and not tick_s > 0:
            raise OptionError(f"a step of the physics lasts longer than {tick_s} s")
        self.columns = tuple(joints)
        self._signal = signal
        self.drives = [drive if isinstance(drive, Drive) else drive[joint] for joint in joints]
        spec.option.timestep = tick_s or spec.option.timestep
        self.spec = spec.copy()  # as it was given
        self.model = _driven(spec, joints, backlash)
        self.tick_s = self.model.opt.timestep
        self._threads = threads
        self.places = [int(self.model.joint(joint).qposadr[0]) for joint in joints]
        self.dofs = [int(self.model.joint(joint).dofadr[0]) for joint in joints]
        self.loose = {joints.index(joint): self.model.joint(f"{joint}_backlash").id for joint in backlash}
        self._feeds, self._ignore = dict(feeds or {}), {*ignore}
        self._batches: dict[int, Batch] = {}
        self._touched: dict[str, Target] = {}
        self._of_drives = {
            f"{name}[{joint}]": value
            for joint, one in zip(joints, self.drives, strict=True)
            for name, value in one.parameters.items()
        }
        self._own = (
            {LATENCY: 0.0}
            | {f"{name}[{joint}]": 0.0 for name in (OFFSET, AIM) for joint in joints}
            | {f"{BACKLASH}[{joint}]": 0.0 for joint in backlash}
            | self._of_drives
        )

    def expand(self, pattern: str) -> list[str]:
        """Names of the parameters that a pattern means, such as `stiffness[*]`.

        Raises:
            UnknownNameError: there is no such parameter.
        """
        kind = pattern.partition("[")[0]
        own = [name for name in self._own if matches(name, pattern) or name.partition("[")[0] == pattern]
        if own:
            return own
        kinds = sorted({name.partition("[")[0] for name in self._own})
        if kind in kinds:
            raise UnknownNameError("parameter", pattern, self._own)
        try:
            targets = self._targets(pattern)
        except UnknownNameError as error:
            raise UnknownNameError(error.kind, str(error.name), [*kinds, *error.known]) from None
        for target in targets:
            check_single(target.name, len(target.columns))
        return [target.name for target in targets]

    def start(self, name: str) -> float:
        """What a parameter is in the model, or in the drive as it was given."""
        if name in self._own:
            return self._own[name]
        return float(self._targets(name)[0].nominal(self.model)[0])

    def measured(self, recording: Recording) -> NDArray[np.float64]:
        """What was read of the joints, `(T, J)`, in the unit of the signal.

        Raises:
            RecordingError: other joints than these, commands that the drives do not take, or time that runs backwards
                or has holes.
        """
        values = recording.signal(self._signal)
        if np.any(np.diff(recording.time_s) < 0):
            raise RecordingError("time runs backwards in a recording; `lint` says where")
        holes = holes_of(recording.time_s)
        if len(holes):
            hole = recording.time_s[holes[0] + 1] - recording.time_s[holes[0]]
            raise RecordingError(
                f"a recording has a hole of {hole:.6g} s, through which nothing is simulated: fit its pieces "
                "(Recording.pieces, or lint --fix)"
            )
        if ticks_of(recording, self.tick_s) > MOST_TICKS:
            raise RecordingError(f"a recording lasts more than {MOST_TICKS} steps of {self.tick_s:g} s: cut it")
        for name in (self._signal, COMMAND):
            recording.of_joints(name, len(self.columns))
        for joint, drive in zip(self.columns, self.drives, strict=True):
            drive.check(recording, joint)
        return values

    def field(self, recordings: Sequence[Recording]) -> str:
        """What of the simulation the signal is: "qpos", "qvel" or "actuator_force"."""
        kinds = {role(recording, self._signal) for recording in recordings}
        if len(kinds) > 1:
            raise RecordingError(f"{self._signal} is not of the same kind in all recordings")
        return {"velocity": "qvel", "effort": "actuator_force"}.get(kinds.pop() or "", "qpos")

    def simulate(self, values: Mapping[str, NDArray], recordings: Sequence[Recording]) -> list[NDArray[np.float64]]:
        """What would be read, `(K, T, J)` for each recording."""
        K, R = len(next(iter(values.values()))) if values else 1, len(recordings)
        for recording in recordings:
            self.measured(recording)  # refuses what cannot be simulated
        field = self.field(recordings)
        in_worlds = {name: np.repeat(np.asarray(value, float), R) for name, value in values.items()}
        for name, numbers in self._fed(recordings).items():
            if name in values:
                raise OptionError(f"{name} is fed by the recordings' metadata, and cannot be found as well")
            in_worlds[name] = np.tile(numbers, K)
        batch = self._prepared(K * R, in_worlds)
        track_WnJ = Run(self, batch, in_worlds, list(recordings), K).track(field)
        if field == "qpos":
            track_WnJ += self.table(OFFSET, in_worlds, K * R)[:, None]
        track_WnJ = np.nan_to_num(track_WnJ, nan=LOST, posinf=LOST, neginf=-LOST)
        return [at_instants(track_WnJ[r::R], recording, self.tick_s) for r, recording in enumerate(recordings)]

    def _fed(self, recordings: Sequence[Recording]) -> dict[str, NDArray[np.float64]]:
        """Parameters from metadata, `(R,)` each; refuses numbers that differ although nothing uses them."""
        used = {*self._feeds, *self._ignore, *(name for drive in self.drives for name in drive.metadata)}
        stated = {n for r in recordings for n, v in r.metadata.items() if isinstance(v, int | float) and n not in used}
        for name in sorted(stated):
            found = sorted({str(recording.metadata.get(name)) for recording in recordings})
            if len(found) > 1:
                raise RecordingError(
                    f"recordings differ in {name} ({', '.join(found)}), which nothing uses: feed it to a parameter "
                    f"(--feed {name}=PARAMETER), name it as --gain, or ignore it (--ignore {name})"
                )
        fed = {}
        for key, pattern in self._feeds.items():
            names = self.expand(pattern)
            if len(names) > 1:
                raise OptionError(f"{key} is fed to {pattern}, which is {len(names)} parameters: name one")
            fed[names[0]] = self._numbers(key, recordings)
        return fed

    def _numbers(self, key: str, recordings: Sequence[Recording]) -> NDArray[np.float64]:
        for recording in recordings:
            if not isinstance(recording.metadata.get(key), int | float):
                raise RecordingError(f"metadata of a recording have no number {key!r} to be fed to {self._feeds[key]}")
        return np.array([float(recording.metadata[key]) for recording in recordings])

    def starts(self, recording: Recording) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where the joints were at first, and how fast, `(J,)` each."""
        return start_of(recording, self._signal if self.field([recording]) == "qpos" else None, len(self.columns))

    def table(self, name: str, values: Mapping[str, NDArray], worlds: int) -> NDArray[np.float64]:
        """A parameter of the drives in every world, `(W, J)`; NaN where a drive has no such parameter."""
        out = np.empty((worlds, len(self.columns)))
        for j, joint in enumerate(self.columns):
            full = f"{name}[{joint}]"
            out[:, j] = values.get(full, self._own.get(full, np.nan))
        return out

    def _targets(self, pattern: str) -> list[Target]:
        return find_targets(self.model, pattern)

    def _prepared(self, worlds: int, values: Mapping[str, NDArray]) -> Batch:
        """A batch at rest whose model has these values and, in everything else, its own."""
        batch = self._batches.pop(worlds, None) or Batch(self.model, worlds, self._threads)
        self._batches[worlds] = batch
        while len(self._batches) > 3:
            self._batches.pop(next(iter(self._batches)))
        for field in CHANGING:
            batch.field(field)[:] = getattr(self.model, field)
        self._touched |= {name: self._targets(name)[0] for name in values if name not in self._own}
        for target in self._touched.values():
            target.write(batch, np.tile(target.nominal(self.model), (worlds, 1)))
        for name, target in self._touched.items():
            if name in values:
                target.write(batch, np.broadcast_to(values[name][:, None], (worlds, len(target.columns))))
        derive_if_needed(batch, self._touched.values())
        batch.reset()
        return batch


def check_joints(spec: mujoco.MjSpec, joints: Sequence[str]) -> None:
    """Refuses joints that a model does not have, that are named twice, or that no drive turns.

    Raises:
        UnknownNameError, OptionError, ModelError: in that order.
    """
    known = {joint.name: int(joint.type) for joint in spec.joints}
    for joint in joints:
        if joint not in known:
            raise UnknownNameError("joint", joint, known)
    if not joints or len(set(joints)) < len(joints):
        raise OptionError(f"name every driven joint once, not {', '.join(joints) or 'none'}")
    for joint in joints:
        if known[joint] not in SINGLE:
            raise ModelError(f"joint {joint!r} has more than one degree of freedom, which no drive turns")


def _driven(spec: mujoco.MjSpec, joints: Sequence[str], backlash: Sequence[str]) -> mujoco.MjModel:
    """The model with a drive on each joint in place of its own actuators; what it pulls with is set when it runs."""
    for part in (*spec.actuators, *spec.sensors, *spec.keys):
        spec.delete(part)
    for joint in joints:
        driven = spec.joint(joint)
        driven.solimp_friction, driven.actfrclimited = STICKING, False
        add_actuator(
            spec,
            name=joint,
            target=joint,
            trntype=mujoco.mjtTrn.mjTRN_JOINT,
            gaintype=mujoco.mjtGain.mjGAIN_FIXED,
            biastype=mujoco.mjtBias.mjBIAS_AFFINE,
            forcelimited=True,
            forcerange=[-1, 1],
        )
    for joint in backlash:
        if not spec.joint(joint).armature > 0:
            raise ModelError(f"joint {joint!r} has backlash but no rotor: give it an armature [kg·m²]")
        add_backlash(spec, joint, ANY_WIDTH)
    return compile_spec(spec, "the driven model")
