"""Recordings replayed by a driven model, for many candidates at once.

Shape suffixes: K candidates, R recordings, W = K·R worlds, T instants of a recording, J joints.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.errors import RecordingError
from embodied.physics.batch import Batch
from embodied.sysid.drive import FRICTION, LOADS, Drive, Servo, friction
from embodied.sysid.lint import role
from embodied.sysid.readers.units import to_si
from embodied.sysid.recording import Recording

LATENCY, OFFSET, AIM, BACKLASH = "latency_s", "offset", "command_offset", "backlash"
PIECE = 256  # ticks that are simulated in one call
SUPPLY_S = 0.01  # for which a supply is held at what it is in the middle
START_S, START_ROWS = 0.1, 6  # over which, and over how many rows at least, the speed at the beginning is estimated
SPEED_S, SPEED_ROWS = 0.02, 3  # the same where speeds were recorded


class Driven(Protocol):
    """What a run needs to know of a plant."""

    model: mujoco.MjModel
    tick_s: float
    columns: tuple[str, ...]
    drives: list[Drive]
    places: list[int]
    dofs: list[int]
    loose: dict[int, int]  # index of a joint with backlash to the hinge that its load turns on

    def table(self, name: str, values: Mapping[str, NDArray], worlds: int) -> NDArray[np.float64]:
        """A parameter of the drives in every world, `(W, J)`."""

    def starts(self, recording: Recording) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where the joints were at first, and how fast, `(J,)` each."""


class Run:
    """One simulation of R recordings under K candidates."""

    def __init__(
        self, plant: Driven, batch: Batch, values: Mapping[str, NDArray], recordings: list[Recording], K: int
    ) -> None:
        self.plant, self.batch, self.values, self.recordings = plant, batch, values, recordings
        self.K, self.W, self.J = K, batch.n, len(plant.columns)
        self.ticks = max(ticks_of(recording, plant.tick_s) for recording in recordings)
        own = {name for drive in plant.drives for name in drive.parameters}
        self._table = {name: plant.table(name, values, self.W) for name in sorted({*own, OFFSET, AIM, BACKLASH})}
        self._dofs, self._places = plant.dofs, plant.places
        self._damping, self._coulomb = batch.field("dof_damping"), batch.field("dof_frictionloss")
        self._viscous, self._dry = self._damping[:, self._dofs].copy(), self._coulomb[:, self._dofs].copy()
        self._gains, self._biases = batch.field("actuator_gainprm"), batch.field("actuator_biasprm")
        self._limits = batch.field("actuator_forcerange")
        self._rubs = any(np.any(self._table[name]) for name in ("stribeck", *LOADS))
        self._fed = any(drive.supply or drive.enabled for drive in plant.drives)
        self._law = self._laws()
        for j, hinge in plant.loose.items():
            half = self._table[BACKLASH][:, j] / 2
            batch.field("jnt_range")[:, hinge] = np.stack([-half, half], axis=1)

    def track(self, field: str) -> NDArray[np.float64]:
        """Angles, speeds or torques of the joints at every tick, `(W, ticks + 1, J)`."""
        commands = self._commands()
        power = self._power() if self._fed else None
        self._drive(1.0, 1.0) if power is None else self._drive(power[0][:, 0], power[1][:, 0])
        self._begin(commands[:, 0])
        out = np.empty((self.W, self.ticks + 1, self.J))
        pieces = self._pieces(power)
        kept = np.empty((self.W, max(last - first for first, last in pieces), self.batch.array(field).shape[1]))
        for first, last in pieces:
            if power is not None:
                middle = (first + last) // 2
                self._drive(power[0][:, middle], power[1][:, first])
            if self._rubs:
                self._rub()
            record = {field: kept if last - first == kept.shape[1] else np.empty((self.W, last - first, kept.shape[2]))}
            if first == 0:
                out[:, 0] = self._read(field, self.batch.array(field))
            self.batch.record(last - first, record, control=commands[:, first:last])
            early = field == "actuator_force"  # what MuJoCo computes at the beginning of a tick
            out[:, first + 1 - early : last + 1 - early] = self._read(field, record[field])
        if field == "actuator_force":
            out[:, -1] = out[:, -2]
        return out

    def _read(self, field: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """What of an array of the simulation, `(…, n)`, is read of the joints, `(…, J)`; behind backlash, the load."""
        columns = {"qpos": self._places, "qvel": self._dofs, "actuator_force": list(range(self.J))}[field]
        read = values[..., columns]
        if field != "actuator_force":
            model = self.plant.model
            places = model.jnt_qposadr if field == "qpos" else model.jnt_dofadr
            for j, hinge in self.plant.loose.items():
                read[..., j] += values[..., places[hinge]]
        return read

    def _pieces(self, power: tuple[NDArray, NDArray] | None) -> list[tuple[int, int]]:
        """First ticks and ends of what is simulated in one call: friction changes with every tick, a supply is held
        for a while, and a switch turns at its tick."""
        longest = 1 if self._rubs else PIECE
        if any(drive.supply for drive in self.plant.drives):
            longest = min(longest, max(1, round(SUPPLY_S / self.plant.tick_s)))
        edges = {*range(0, self.ticks, longest), self.ticks}
        if power is not None:
            edges |= {int(tick) + 1 for tick in np.flatnonzero(np.any(np.diff(power[1], axis=1), axis=(0, 2)))}
        return list(pairwise(sorted(edges)))

    def _laws(self) -> tuple[NDArray, NDArray, NDArray]:
        """Torque per command, per angle and per speed at the nominal supply, `(W, J)` each."""
        parts = np.zeros((3, self.W, self.J))
        for j, drive in enumerate(self.plant.drives):
            gain = np.tile([drive.gain_of(recording) for recording in self.recordings], self.K)
            values = {name: self._table[name][:, j] for name in drive.parameters}
            for part, value in zip(parts, drive.law(values, gain), strict=True):
                part[:, j] = value
        return parts[0], parts[1], parts[2]

    def _begin(self, commands: NDArray) -> None:
        """Puts the joints where they were measured first, as fast as they were going, under the first commands."""
        starts = [self.plant.starts(recording) for recording in self.recordings]
        place = np.tile([place for place, _ in starts], (self.K, 1))
        speed = np.tile([speed for _, speed in starts], (self.K, 1))
        self.batch.array("qpos")[:, self._places] = place - self._table[OFFSET]
        self.batch.array("qvel")[:, self._dofs] = speed
        self.batch.array("ctrl")[:] = commands
        self.batch.forward()

    def _commands(self) -> NDArray[np.float64]:
        """The command of each tick, `(W, ticks, J)`: the mean over it of the command that is held, and late."""
        late = np.broadcast_to(self.values.get(LATENCY, 0.0), (self.W,))
        R = len(self.recordings)
        out = np.empty((self.W, self.ticks, self.J))
        shared = LATENCY not in self.values
        for r, recording in enumerate(self.recordings):
            out[r::R] = held(recording, self.plant.tick_s, self.ticks, late[:1] if shared else late[r::R])
        aims = np.array([isinstance(drive, Servo) for drive in self.plant.drives])
        out += np.where(aims, self._table[AIM] - self._table[OFFSET], 0.0)[:, None]
        return self._risen(out)

    def _risen(self, commands: NDArray[np.float64]) -> NDArray[np.float64]:
        """Commands as they get through current loops that take their time (first order)."""
        rise = np.nan_to_num(self._table.get("rise_s", np.zeros((self.W, self.J))))
        if not rise.any():
            return commands
        share = np.where(rise > 0, -np.expm1(-self.plant.tick_s / np.maximum(rise, 1e-9)), 1.0)
        now = commands[:, 0].copy()
        for tick in range(commands.shape[1]):
            now += share * (commands[:, tick] - now)
            commands[:, tick] = now
        return commands

    def _power(self) -> tuple[NDArray, NDArray]:
        """Supply and switch of each joint, `(W, ticks, J)` each."""
        at = (np.arange(self.ticks) + 0.5) * self.plant.tick_s
        pairs = [[drive.power_of(recording, at) for drive in self.plant.drives] for recording in self.recordings]
        supply, on = (np.array([[pair[k] for pair in row] for row in pairs]).transpose(0, 2, 1) for k in (0, 1))
        return np.tile(supply, (self.K, 1, 1)), np.tile(on, (self.K, 1, 1))

    def _drive(self, supply: NDArray | float, on: NDArray | float) -> None:
        """Sets what the drives pull with, at a supply relative to the nominal one."""
        per_command, per_angle, per_speed = (part * supply * on for part in self._law)
        limit = self._table["limit"] * supply
        self._gains[:, :, 0], self._biases[:, :, 1], self._biases[:, :, 2] = per_command, per_angle, per_speed
        self._limits[:, :, 0], self._limits[:, :, 1] = -limit, limit
        self._damping[:, self._dofs] = self._viscous + self._table["back_emf"] * on

    def _rub(self) -> None:
        of = self.batch.array
        speed, load = of("qvel")[:, self._dofs], of("qfrc_bias")[:, self._dofs]
        values = {name: self._table[name] for name in FRICTION}
        self._coulomb[:, self._dofs] = friction(values, self._dry, speed, of("actuator_force"), load)


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


def start_of(recording: Recording, signal: str | None, joints: int) -> tuple[NDArray, NDArray]:
    """Where joints are at first, and how fast, `(J,)` each: as recorded, else by a cubic through the first moments.

    Args:
        signal: of the angles (None: the one that its unit or name says is one, at rest in 0 without any).
    """
    if signal is None:
        fitting = (name for name, values in recording.signals.items() if values.shape[1] == joints)
        signal = next((name for name in fitting if role(recording, name) == "position"), None)
    place, speed = np.zeros(joints), np.zeros(joints)
    if signal is not None:
        place, speed = _first(recording.signal(signal), recording.time_s)
    for name, values in recording.signals.items():
        unit = to_si(recording.units.get(name, ""))
        if unit in (("rad/s", 1.0), ("m/s", 1.0)) and values.shape[1] == joints:
            return place, _recorded_speed(values, recording.time_s, speed)
    return place, speed


def _recorded_speed(values: NDArray, time_s: NDArray, otherwise: NDArray) -> NDArray:
    """The speeds at the first instant, by a line through the first few: light robots gain speed within a few rows."""
    since = time_s - time_s[0]
    few = max(int(np.searchsorted(since, SPEED_S)), SPEED_ROWS)
    since, seen = since[:few], values[:few]
    if len(np.unique(since)) < SPEED_ROWS:
        return np.where(np.isfinite(values[0]), values[0], otherwise)
    line, *_ = np.linalg.lstsq(np.stack([np.ones_like(since), since], axis=1), np.nan_to_num(seen), rcond=None)
    return np.where(np.isfinite(seen).all(axis=0), line[0], otherwise)


def _first(angles: NDArray, time_s: NDArray) -> tuple[NDArray, NDArray]:
    finite = np.isfinite(angles)
    if not finite.any(axis=0).all():
        raise RecordingError(f"joints {np.flatnonzero(~finite.any(axis=0)).tolist()} were never measured")
    first = angles[finite.argmax(axis=0), np.arange(angles.shape[1])]
    since = time_s - time_s[0]
    few = max(int(np.searchsorted(since, START_S)), START_ROWS)
    since, seen = since[:few], angles[:few]
    if not np.isfinite(seen).all() or len(np.unique(since)) < 5:
        return first, np.zeros_like(first)
    share = since / since[-1]
    cubic, *_ = np.linalg.lstsq(np.stack([share**0, share, share**2, share**3], axis=1), seen, rcond=None)
    return first, cubic[1] / since[-1]


def at_instants(angles_KnJ: NDArray, recording: Recording, tick_s: float) -> NDArray[np.float64]:
    """A track `(K, ticks, J)` at the instants of a recording, `(K, T, J)`."""
    at = (recording.time_s - recording.time_s[0]) / tick_s
    before = np.clip(np.floor(at).astype(int), 0, angles_KnJ.shape[1] - 2)
    share = (at - before)[:, None]
    return angles_KnJ[:, before] * (1 - share) + angles_KnJ[:, before + 1] * share
