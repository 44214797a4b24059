"""A model that gets the commands of a real robot, under any parameters.

Shape suffixes: K candidates, R recordings, W = K·R worlds, T instants of a recording, J joints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.errors import ModelError, OptionError, RecordingError, UnknownNameError
from embodied.physics.batch import Batch
from embodied.physics.targets import Target, check_single, derive_if_needed, find_targets
from embodied.sysid.drive import LOADS, Servo, friction, stiffness
from embodied.sysid.recording import Recording

LATENCY, OFFSET, AIM = "latency_s", "offset", "command_offset"
PIECE = 256  # ticks that are simulated in one call
SLOPE_SAMPLES = 5  # from which the speed at the beginning is estimated
SINGLE = (int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE))
STICKING = (0.9999, 0.9999, 0.001, 0.5, 2)  # MuJoCo's usual friction lets a loaded joint creep by 10 % of its fall
CHANGING = ("dof_damping", "dof_frictionloss")  # while a simulation runs
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
    """A MuJoCo model whose joints are driven by position servos.

    Its own actuators are left out: `drive` takes their place. Parameters are `latency_s` of the commands [s]; those of
    the drive, such as `stiffness[elbow]`; `offset[elbow]`, the reading of a joint at its zero, and
    `command_offset[elbow]`, by how much another reading than the command is aimed at [rad]; and every quantity of the
    model, such as `dof_damping[elbow]` or `density[gripper]` (see `embodied.physics.targets`).

    Args:
        model: an MJCF or URDF file, or a spec, which is copied.
        joints: those that the columns of the command are for, in their order.
        drive: one for all joints, or one by joint.
        signal: what was measured of them.
        tick_s: step of the physics (None: the model's).
        threads: of the physics (None: one per core).
    """

    def __init__(
        self,
        model: Path | str | mujoco.MjSpec,
        joints: Sequence[str],
        drive: Servo | Mapping[str, Servo],
        signal: str = "position",
        tick_s: float | None = None,
        threads: int | None = None,
    ) -> None:
        spec = model.copy() if isinstance(model, mujoco.MjSpec) else _read_spec(model)
        known = [joint.name for joint in spec.joints]
        for joint in joints:
            if joint not in known:
                raise UnknownNameError("joint", joint, known)
            if not isinstance(drive, Servo) and joint not in drive:
                raise UnknownNameError("drive of joint", joint, drive)
        if not joints or len(set(joints)) < len(joints):
            raise OptionError(f"name every driven joint once, not {', '.join(joints) or 'none'}")
        if tick_s is not None and not tick_s > 0:
            raise OptionError(f"a step of the physics lasts longer than {tick_s} s")
        self.columns = tuple(joints)
        self._signal = signal
        self._drives = [drive if isinstance(drive, Servo) else drive[joint] for joint in joints]
        spec.option.timestep = tick_s or spec.option.timestep
        self.model = _driven(spec, joints)
        self.tick_s = self.model.opt.timestep
        self._threads = threads
        self._places = [int(self.model.joint(joint).qposadr[0]) for joint in joints]
        self._dofs = [int(self.model.joint(joint).dofadr[0]) for joint in joints]
        self._batches: dict[int, Batch] = {}
        self._touched: dict[str, Target] = {}
        self._of_drives = {
            f"{name}[{joint}]": value
            for joint, servo in zip(joints, self._drives, strict=True)
            for name, value in servo.parameters.items()
        }
        self._own = (
            {LATENCY: 0.0} | {f"{name}[{joint}]": 0.0 for name in (OFFSET, AIM) for joint in joints} | self._of_drives
        )

    def expand(self, pattern: str) -> list[str]:
        """Names of the parameters that a pattern means, such as `stiffness[*]`.

        Raises:
            UnknownNameError: there is no such parameter.
        """
        literal = pattern.replace("[", "[[]")
        kind = pattern.partition("[")[0]
        own = [name for name in self._own if fnmatchcase(name, literal) or name.partition("[")[0] == pattern]
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
        """Angles as they were read, `(T, J)` [rad].

        Raises:
            RecordingError: other joints than these, or time that runs backwards.
        """
        values = recording.signal(self._signal)
        if np.any(np.diff(recording.time_s) < 0):
            raise RecordingError("time runs backwards in a recording; `lint` says where")
        for what, array in ((self._signal, values), ("command", recording.command)):
            if array.shape[1] != len(self.columns):
                raise RecordingError(f"{what} has {array.shape[1]} columns for {len(self.columns)} joints")
        return values

    def simulate(self, values: Mapping[str, NDArray], recordings: Sequence[Recording]) -> list[NDArray[np.float64]]:
        """Angles as they would be read, `(K, T, J)` [rad] for each recording."""
        K, R = len(next(iter(values.values()))) if values else 1, len(recordings)
        for recording in recordings:
            self.measured(recording)  # refuses what cannot be simulated
        in_worlds = {name: np.repeat(np.asarray(value, float), R) for name, value in values.items()}
        batch = self._prepared(K * R, in_worlds)
        run = _Run(self, batch, in_worlds, list(recordings), K)
        angles_WnJ = run.angles() + self._table(OFFSET, in_worlds, K * R)[:, None]
        angles_WnJ = np.nan_to_num(angles_WnJ, nan=LOST, posinf=LOST, neginf=-LOST)
        return [_at(angles_WnJ[r::R], recording, self.tick_s) for r, recording in enumerate(recordings)]

    def table(self, name: str, values: Mapping[str, NDArray], worlds: int) -> NDArray[np.float64]:
        """A parameter of the drives in every world, `(W, J)`."""
        return self._table(name, values, worlds)

    def _table(self, name: str, values: Mapping[str, NDArray], worlds: int) -> NDArray[np.float64]:
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
        for name, target in self._touched.items():
            value = values.get(name)
            nominal = np.tile(target.nominal(self.model), (worlds, 1))
            target.write(batch, nominal if value is None else np.broadcast_to(value[:, None], nominal.shape))
        derive_if_needed(batch, self._touched.values())
        batch.reset()
        return batch


def _read_spec(path: Path | str) -> mujoco.MjSpec:
    try:
        return mujoco.MjSpec.from_file(str(path))
    except ValueError as error:
        raise ModelError(f"{path} is no model that MuJoCo reads: {error}") from error


class _Run:
    """One simulation of R recordings under K candidates."""

    def __init__(
        self, plant: ServoPlant, batch: Batch, values: Mapping[str, NDArray], recordings: list[Recording], K: int
    ) -> None:
        self.plant, self.batch, self.values, self.recordings = plant, batch, values, recordings
        self.K, self.W, self.J = K, batch.n, len(plant.columns)
        self.ticks = max(ticks_of(recording, plant.tick_s) for recording in recordings)
        self._table = {
            name: plant.table(name, values, self.W)
            for name in ("stiffness", "limit", "back_emf", "stribeck", "stribeck_speed", *LOADS, OFFSET, AIM)
        }
        dofs, drives = plant._dofs, plant._drives
        self._dofs, self._places = dofs, plant._places
        self._damping, self._coulomb = batch.field("dof_damping"), batch.field("dof_frictionloss")
        self._viscous, self._dry = self._damping[:, dofs].copy(), self._coulomb[:, dofs].copy()
        self._gains, self._biases = batch.field("actuator_gainprm"), batch.field("actuator_biasprm")
        self._limits = batch.field("actuator_forcerange")
        self._rubs = any(np.any(self._table[name]) for name in ("stribeck", *LOADS))
        self._fed = any(drive.supply or drive.enabled for drive in drives)

    def angles(self) -> NDArray[np.float64]:
        """Angles of the joints at every tick, `(W, ticks + 1, J)`."""
        commands = self._commands() + (self._table[AIM] - self._table[OFFSET])[:, None]
        self._begin()
        power = self._power() if self._fed else None
        self._drive(1.0, 1.0)
        track = np.empty((self.W, self.ticks + 1, self.J))
        track[:, 0] = self.batch.array("qpos")[:, self._places]
        piece = 1 if self._fed or self._rubs else PIECE
        out = np.empty((self.W, piece, self.plant.model.nq))
        for first in range(0, self.ticks, piece):
            last = min(first + piece, self.ticks)
            if power is not None:
                self._drive(power[0][:, first], power[1][:, first])
            if self._rubs:
                self._rub()
            record = (
                {"qpos": out[:, : last - first]} if last - first == piece else {"qpos": out[:, : last - first].copy()}
            )
            self.batch.record(last - first, record, control=commands[:, first:last])
            track[:, first + 1 : last + 1] = record["qpos"][..., self._places]
        return track

    def _begin(self) -> None:
        """Puts the joints where they were measured first, as fast as they were going."""
        starts = [_start(self.plant.measured(recording), recording.time_s) for recording in self.recordings]
        place = np.tile([place for place, _ in starts], (self.K, 1))
        speed = np.tile([speed for _, speed in starts], (self.K, 1))
        self.batch.array("qpos")[:, self._places] = place - self._table[OFFSET]
        self.batch.array("qvel")[:, self._dofs] = speed
        self.batch.forward()

    def _commands(self) -> NDArray[np.float64]:
        """The command of each tick, `(W, ticks, J)`: the mean over it of the command that is held, and late."""
        late = np.broadcast_to(self.values.get(LATENCY, 0.0), (self.W,))
        R = len(self.recordings)
        out = np.empty((self.W, self.ticks, self.J))
        shared = LATENCY not in self.values
        for r, recording in enumerate(self.recordings):
            if shared:
                out[r::R] = held(recording, self.plant.tick_s, self.ticks, late[:1])
            else:
                out[r::R] = held(recording, self.plant.tick_s, self.ticks, late[r::R])
        return out

    def _power(self) -> tuple[NDArray, NDArray]:
        """Supply and switch of each joint, `(W, ticks, J)` each."""
        at = (np.arange(self.ticks) + 0.5) * self.plant.tick_s
        pairs = [[drive.power_of(recording, at) for drive in self.plant._drives] for recording in self.recordings]
        supply, on = (np.array([[pair[k] for pair in row] for row in pairs]).transpose(0, 2, 1) for k in (0, 1))
        return np.tile(supply, (self.K, 1, 1)), np.tile(on, (self.K, 1, 1))

    def _drive(self, supply: NDArray | float, on: NDArray | float) -> None:
        if not hasattr(self, "_stiff"):
            gain = np.array([[drive.gain_of(r) for drive in self.plant._drives] for r in self.recordings])
            self._stiff = stiffness(self._table, np.tile(gain, (self.K, 1)))
        stiff, limit = self._stiff * supply * on, self._table["limit"] * supply
        self._gains[:, :, 0], self._biases[:, :, 1] = stiff, -stiff
        self._limits[:, :, 0], self._limits[:, :, 1] = -limit, limit
        self._damping[:, self._dofs] = self._viscous + self._table["back_emf"] * on

    def _rub(self) -> None:
        of = self.batch.array
        speed, load = of("qvel")[:, self._dofs], of("qfrc_bias")[:, self._dofs]
        self._coulomb[:, self._dofs] = friction(self._table, self._dry, speed, of("actuator_force"), load)


def _driven(spec: mujoco.MjSpec, joints: Sequence[str]) -> mujoco.MjModel:
    """The model with a position servo on each joint in place of its own actuators."""
    for part in (*spec.actuators, *spec.sensors, *spec.keys):
        spec.delete(part)
    for joint in joints:
        spec.joint(joint).solimp_friction = STICKING
        spec.add_actuator(
            name=joint,
            target=joint,
            trntype=mujoco.mjtTrn.mjTRN_JOINT,
            gaintype=mujoco.mjtGain.mjGAIN_FIXED,
            biastype=mujoco.mjtBias.mjBIAS_AFFINE,
            forcelimited=True,
            forcerange=[-1, 1],
        )
    model = spec.compile()
    for joint in joints:
        if model.jnt_type[model.joint(joint).id] not in SINGLE:
            raise ModelError(f"joint {joint!r} has more than one degree of freedom, which no servo drives")
    return model


def ticks_of(recording: Recording, tick_s: float) -> int:
    """How many ticks it takes to simulate a recording."""
    return int(np.ceil((recording.time_s[-1] - recording.time_s[0]) / tick_s - 1e-9)) + 1


def held(recording: Recording, tick_s: float, ticks: int, late_s: NDArray) -> NDArray[np.float64]:
    """The mean over every tick of a command that holds until the next and comes late, `(len(late_s), ticks, J)`.

    The mean changes smoothly with the latency, also by less than a tick, so that a latency can be fitted.
    """
    since = recording.time_s - recording.time_s[0]
    edges = np.arange(ticks + 1) * tick_s - late_s[:, None]
    end = max(float(edges.max(initial=0.0)), since[-1]) + 1.0
    knots = np.concatenate([[min(float(edges.min(initial=0.0)), 0.0) - 1.0], since, [end]])
    widths = np.diff(knots)
    out = np.empty((len(late_s), ticks, recording.command.shape[1]))
    for j, command in enumerate(recording.command.T):
        area = np.concatenate([[0.0], np.cumsum(widths * np.concatenate([command[:1], command]))])
        out[..., j] = np.diff(np.interp(edges, knots, area), axis=1) / tick_s
    return out


def _start(angles: NDArray, time_s: NDArray) -> tuple[NDArray, NDArray]:
    """Where joints are at first, and how fast, `(J,)` each."""
    finite = np.isfinite(angles)
    if not finite.any(axis=0).all():
        raise RecordingError(f"joints {np.flatnonzero(~finite.any(axis=0)).tolist()} were never measured")
    first = angles[finite.argmax(axis=0), np.arange(angles.shape[1])]
    few = slice(0, min(SLOPE_SAMPLES, len(time_s)))
    span = time_s[few] - time_s[few].mean()
    if not finite[few].all() or not np.any(span):
        return first, np.zeros_like(first)
    return first, span @ angles[few] / (span @ span)


def _at(angles_KnJ: NDArray, recording: Recording, tick_s: float) -> NDArray[np.float64]:
    """Angles at the instants of a recording, `(K, T, J)`."""
    at = (recording.time_s - recording.time_s[0]) / tick_s
    before = np.clip(np.floor(at).astype(int), 0, angles_KnJ.shape[1] - 2)
    share = (at - before)[:, None]
    return angles_KnJ[:, before] * (1 - share) + angles_KnJ[:, before + 1] * share
