"""What a rule finds, and what rules ask of a recording: what is measured, what was commanded, where it stepped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from embodied.sysid.readers.units import TURNS, to_si
from embodied.sysid.recording import COMMAND, Recording
from embodied.sysid.signals import Vector, quantum_of, spread_of, usual_step

RESTING = 50  # steps of its sensor within which a joint rests
PROVOKED_S = 0.2  # after a step of the command, in which sudden things may be real
NO_POSITIONS = ("N·m", "N", "A", "V", "rad/s", "m/s")  # units of commands that are not for positions
ROLES = {
    "velocity": (r"rad/s|deg/s|rpm|m/s", r"vel|speed|qd|dq|rate"),
    "effort": (r"nm|n·m|n m|a|ma|n", r"load|current|torque(?!_?en)|effort|force"),
    "supply": (r"v|mv", r"volt|supply|vin"),
    "position": (r"rad|deg|m|counts?", r"pos|angle|^q$"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or that should be known.

    Attributes:
        rule: its name, such as "wrapped".
        signal: where, such as "load[0]".
        message: what, with numbers, and what to do about it.
        rows: `(M,)` instants at which it is, where it is at some.
        factor: what the signal is to be multiplied with, where it is in another unit.
    """

    rule: str
    signal: str
    message: str
    rows: NDArray[np.intp]
    factor: float = 1.0

    def __str__(self) -> str:
        return f"{self.rule:<11} {self.signal}: {self.message}"


def role(recording: Recording, name: str) -> str | None:
    """What a signal measures: position, velocity, effort, supply, or None; by its unit, or else by its name."""
    unit = recording.units.get(name, "").strip().lower()
    for kind, (units, _) in ROLES.items():
        if re.fullmatch(units, unit):
            return kind
    return next((kind for kind, (_, names) in ROLES.items() if re.search(names, name.lower())), None)


def columns_of(recording: Recording, *roles: str) -> Iterator[tuple[str, int, Vector]]:
    """Every column in which there is a number, of signals of these roles, or of all."""
    for name, values in recording.signals.items():
        if not roles or role(recording, name) in roles:
            for k in np.flatnonzero(np.isfinite(values).any(axis=0)):
                yield name, int(k), values[:, k]


def label(name: str, k: int) -> str:
    return f"{name}[{k}]"


def where(rows: NDArray[np.bool_] | NDArray[np.intp]) -> NDArray[np.intp]:
    return np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.intp)


def begins(recording: Recording, rows: NDArray[np.intp]) -> str:
    return f"first at {recording.time_s[rows[0]] - recording.time_s[0]:.3g} s"


def command_of(recording: Recording, values: Vector, k: int) -> Vector | None:
    """The command of a column, if it can be one for a position."""
    commands = recording.command.shape[1]
    unit = to_si(recording.units.get(COMMAND, ""))[0]
    if not commands or unit in NO_POSITIONS:
        return None
    if commands > 1 and k >= commands:
        return None
    return recording.command[:, min(k, commands - 1)]


def turn_of(recording: Recording, name: str, values: Vector) -> tuple[float, str] | None:
    """Whether an angle jumps by one turn, and only by that."""
    if role(recording, name) != "position":
        return None
    jumps = np.abs(np.diff(values))
    for turn in TURNS:
        far = jumps[jumps > 0.6 * turn]
        if len(far) and np.all(np.abs(far - turn) < 0.2 * turn) and np.ptp(values) < 1.05 * turn:
            return turn, "an angle that is cut at a turn: unwrap it"
    return None


def rows_in(recording: Recording, seconds: float) -> int:
    """How many rows a time takes."""
    step = usual_step(recording.time_s)
    return int(min(seconds / step, len(recording) / 2)) + 1 if step else 1


def ramp(recording: Recording) -> Vector:
    """Less than anything that matters, so that equal time stamps can be divided by."""
    return np.linspace(0.0, 1e-9 * len(recording), len(recording))


def velocity_of(recording: Recording, k: int) -> Vector | None:
    return next((values for _, j, values in columns_of(recording, "velocity") if j == k), None)


def moves(recording: Recording, k: int) -> bool:
    """Whether a joint goes further than a few steps of its sensor, or whether that is not known."""
    positions = [values for _, j, values in columns_of(recording, "position") if j == k]
    return not positions or any(spread_of(values) > RESTING * quantum_of(values) for values in positions)


def provoked(recording: Recording, values: Vector, k: int) -> NDArray[np.bool_]:
    """Where the command has just stepped, so that sudden things may be real."""
    command = command_of(recording, values, k)
    if command is None:
        return np.zeros(len(values), bool)
    step = np.abs(np.diff(command, prepend=command[0]))
    usual = float(np.percentile(step, 90))
    rows = max(rows_in(recording, PROVOKED_S / 2) - 1, 1)
    return maximum_filter1d(step, 2 * rows + 1, origin=rows) > max(3 * usual, 0.02 * spread_of(command))
