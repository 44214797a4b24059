"""What is wrong with a log, found before anything is fitted to it.

Each rule looks for one thing that real logs do. Rules need no model of the robot: they compare signals with themselves,
with their neighbors in time, and with each other. What a signal measures is told by its unit, or else by its name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, median_filter

from embodied.sysid.readers.units import to_si
from embodied.sysid.recording import COMMAND, TIME, Recording
from embodied.sysid.signals import (
    LIKE,
    QUANTA,
    Vector,
    best_lag,
    correlation_of,
    holes_of,
    is_fine,
    like_most,
    quantum_of,
    register_of,
    runs_of,
    smooth,
    spread_of,
)

UNEVEN = 0.1  # of the median step, from which on time is not uniform
CLOCK_S = 1e5  # a step that long is a clock that was set rather than a robot that was silent
OUTLYING = 12.0  # robust standard deviations from the neighbors
STATED = 0.1  # by how much what is measured may differ from what metadata say
STICKING, MOVING = 0.45, 0.1  # shares of the time: of rest while the command moves, and in which it must move at all
STUCK_S, STUCK_SHARE = 0.3, 0.5  # how long a value may stay while the command crosses that share of its range
LIMIT_SHARE = 0.03  # of the instants that a signal may rest at its own extreme
SAG = 0.1  # of the supply's median
TRAIL_S, PROVOKED_S = 0.08, 0.2
LATE_S, LAG_S = 0.5, 2.0  # up to which a lag is told, and up to which signals are compared across one
GRAVITY, LOAD_OFF = 9.81, 0.3
SUPPLIES = ("vin", "volts", "voltage", "supply", "supply_v", "supply_volts", "supply_voltage", "battery", "battery_v")
NO_POSITIONS = ("N·m", "N", "A", "V", "rad/s", "m/s")  # units of commands that are not for positions
SCALES = {
    "2π/4096 (encoder counts)": 2 * np.pi / 4096,
    "π/180 (degrees)": np.pi / 180,
    "2π (revolutions)": 2 * np.pi,
    "2π/60 (revolutions per minute)": 2 * np.pi / 60,
    "1/1000 (thousandths)": 1e-3,
}
_FACTORS = {f"multiply it by {what}": factor for what, factor in SCALES.items()} | {
    f"divide it by {what}": 1 / factor for what, factor in SCALES.items()
}
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


def lint(recording: Recording) -> list[Finding]:
    """Returns what the rules find, in the order of the rules and of the signals.

    Rules that look at neighbors in time see the last value where nothing was measured, and say nothing of such rows.
    """
    filled, unknown = _filled(recording)
    found: list[Finding] = []
    for rule in RULES:
        if rule in AS_MEASURED:
            found += rule(recording)
        else:
            found += [one for raw in rule(filled) if (one := _of_known_rows(raw, unknown)) is not None]
    return found


def _filled(recording: Recording) -> tuple[Recording, dict[str, NDArray[np.bool_]]]:
    """A recording in which values hold where none was measured, and by column the rows of which that says nothing."""
    signals: dict[str, NDArray] = {}
    unknown: dict[str, NDArray[np.bool_]] = {}
    for name, values in recording.signals.items():
        known = np.isfinite(values)
        last = np.maximum.accumulate(np.where(known, np.arange(len(values))[:, None], -1), axis=0)
        first = known.argmax(axis=0)
        signals[name] = np.take_along_axis(values, np.where(last < 0, first, last), axis=0)
        near = ~known
        near[1:] |= ~known[:-1]
        unknown |= {_label(name, k): near[:, k] for k in range(values.shape[1])}
    return replace(recording, signals=signals), unknown


def _of_known_rows(found: Finding, unknown: dict[str, NDArray[np.bool_]]) -> Finding | None:
    """A finding without the rows in which nothing was measured; None if none is left."""
    if found.signal not in unknown or not len(found.rows):
        return found
    rows = found.rows[~unknown[found.signal][found.rows]]
    return replace(found, rows=rows) if len(rows) else None


def role(recording: Recording, name: str) -> str | None:
    """What a signal measures: position, velocity, effort, supply, or None; by its unit, or else by its name."""
    unit = recording.units.get(name, "").strip().lower()
    for kind, (units, _) in ROLES.items():
        if re.fullmatch(units, unit):
            return kind
    return next((kind for kind, (_, names) in ROLES.items() if re.search(names, name.lower())), None)


def _columns(recording: Recording, *roles: str) -> Iterator[tuple[str, int, Vector]]:
    """Every column in which there is a number, of signals of these roles, or of all."""
    for name, values in recording.signals.items():
        if not roles or role(recording, name) in roles:
            for k in np.flatnonzero(np.isfinite(values).any(axis=0)):
                yield name, int(k), values[:, k]


def _label(name: str, k: int) -> str:
    return f"{name}[{k}]"


def _some(rows: NDArray[np.bool_] | NDArray[np.intp]) -> NDArray[np.intp]:
    return np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.intp)


def _at(recording: Recording, rows: NDArray[np.intp]) -> str:
    return f"first at {recording.time_s[rows[0]] - recording.time_s[0]:.3g} s"


def _time(recording: Recording) -> Iterator[Finding]:
    step = np.diff(recording.time_s)
    for rule, rows, what in (
        ("backwards", step < 0, "time goes back"),
        ("duplicated", step == 0, "an instant is there twice"),
    ):
        if rows.any():
            yield Finding(rule, TIME, f"{what} {rows.sum()} times, {_at(recording, _some(rows))}", _some(rows))
    holes = holes_of(recording.time_s)
    for row in holes:
        what = "the clock was set, or two logs are in one" if step[row] > CLOCK_S else "nothing was recorded"
        message = f"a hole of {step[row]:.6g} s after {recording.time_s[row] - recording.time_s[0]:.6g} s: {what}"
        message += "; the pieces are looked at and simulated on their own"
        yield Finding("clock" if step[row] > CLOCK_S else "gap", TIME, message, np.array([row]))
    usual = np.ones(len(step), bool)
    usual[holes] = False
    forward = step[(step > 0) & usual]
    median = float(np.median(forward)) if len(forward) else 0.0
    rows = (step > 0) & usual & (np.abs(step - median) > UNEVEN * median)
    if rows.any():
        message = (
            f"steps last {1e3 * forward.min():.3g}–{1e3 * forward.max():.3g} ms (median {1e3 * median:.3g}); "
            f"{rows.sum()} are more than {UNEVEN:.0%} off: use the time stamps, not the row numbers"
        )
        yield Finding("uneven", TIME, message, _some(rows))


def _missing(recording: Recording) -> Iterator[Finding]:
    for name, values in recording.signals.items():
        for k, rows in enumerate(~np.isfinite(values.T)):
            if rows.any():
                yield Finding("missing", _label(name, k), f"{rows.sum()} values are not numbers", _some(rows))


def _wrapped(recording: Recording) -> Iterator[Finding]:
    for name, k, values in _columns(recording):
        register = register_of(values)
        if register is not None:
            rows = register.is_negative(values)
            message = f"{rows.sum()} values, {_at(recording, _some(rows))}, are of {register}"
            yield Finding("wrapped", _label(name, k), message, _some(rows))
            continue
        period, what = _turn(recording, name, values) or (0.0, "")
        rows = np.abs(np.diff(values)) > period / 2
        if period and rows.any():
            message = f"{rows.sum()} jumps by about {period:.6g}, {_at(recording, _some(rows))}: {what}"
            yield Finding("wrapped", _label(name, k), message, _some(rows))


def _turn(recording: Recording, name: str, values: Vector) -> tuple[float, str] | None:
    """Whether an angle jumps by one turn, and only by that."""
    if role(recording, name) != "position":
        return None
    jumps = np.abs(np.diff(values))
    for turn in (2 * np.pi, 360.0, 4096.0):
        far = jumps[jumps > 0.6 * turn]
        if len(far) and np.all(np.abs(far - turn) < 0.2 * turn) and np.ptp(values) < 1.05 * turn:
            return turn, "an angle that is cut at a turn: unwrap it"
    return None


def _outliers(recording: Recording) -> Iterator[Finding]:
    for name, k, values in _columns(recording):
        if register_of(values) or _turn(recording, name, values) or quantum_of(values) == 0:
            continue
        off = np.abs(values - median_filter(values, size=5, mode="nearest"))
        noise = max(1.4826 * float(np.median(off)), quantum_of(values), float(np.percentile(off, 95)) / 2)
        rows = (off > max(OUTLYING * noise, 0.5 * spread_of(values))) & ~_provoked(recording, values, k)
        if rows.any():
            message = (
                f"{rows.sum()} single values far from their neighbors, {_at(recording, _some(rows))}: leave them out"
            )
            yield Finding("outlier", _label(name, k), message, _some(rows))


def _jumps(recording: Recording) -> Iterator[Finding]:
    """Positions that are somewhere else at the next instant and stay there."""
    for name, k, values in _columns(recording, "position"):
        if register_of(values) or _turn(recording, name, values):
            continue
        step = np.abs(np.diff(median_filter(values, size=5, mode="nearest")))
        usual = 6 * float(np.percentile(step, 98)) + 6 * quantum_of(values)
        around = 12 * median_filter(step, size=9, mode="nearest")
        rows = step > np.maximum(np.maximum(usual, around), 0.05 * spread_of(values))
        rows &= ~_provoked(recording, values, k)[1:]
        if rows.any():
            message = f"{rows.sum()} jumps up to {step[rows].max():.3g} within one step, {_at(recording, _some(rows))}"
            yield Finding(
                "jump", _label(name, k), f"{message}: rows are missing, or the zero was set anew", _some(rows)
            )


def _stuck(recording: Recording) -> Iterator[Finding]:
    """Positions that stay although the velocity says otherwise or, where there is none, the command goes far."""
    for name, k, values in _columns(recording, "position"):
        command, velocity = _command_of(recording, values, k), _velocity_of(recording, k)
        if command is None or not is_fine(values):
            continue
        far = STUCK_SHARE * spread_of(command)
        bad: list[int] = []
        for start, end in runs_of(values):
            lasted = recording.time_s[end - 1] - recording.time_s[start] >= STUCK_S
            if lasted and np.ptp(command[start:end]) > far and (velocity is None or np.nanmedian(velocity[start:end])):
                bad += range(start, end)
        if bad:
            at = np.array(bad)
            message = f"the same value for {len(bad)} instants, {_at(recording, at)}, while the command goes on"
            yield Finding("stuck", _label(name, k), message, at)


def _velocity_of(recording: Recording, k: int) -> Vector | None:
    return next((values for _, j, values in _columns(recording, "velocity") if j == k), None)


def _provoked(recording: Recording, values: Vector, k: int) -> NDArray[np.bool_]:
    """Where the command has just stepped, so that sudden things may be real."""
    command = _command_of(recording, values, k)
    if command is None:
        return np.zeros(len(values), bool)
    step = np.abs(np.diff(command, prepend=command[0]))
    usual = float(np.percentile(step, 90))
    rows = max(int(PROVOKED_S / 2 / max(float(np.median(np.diff(recording.time_s))), 1e-9)), 1)
    return maximum_filter1d(step, 2 * rows + 1, origin=rows) > max(3 * usual, 0.02 * spread_of(command))


def _command_of(recording: Recording, values: Vector, k: int) -> Vector | None:
    """The command of a column, if it can be one for a position."""
    commands = recording.command.shape[1]
    unit = to_si(recording.units.get(COMMAND, ""))[0]
    if not commands or unit in NO_POSITIONS:
        return None
    return recording.command[:, min(k, commands - 1)]


def _scale(recording: Recording) -> Iterator[Finding]:
    """Velocities against the slope of positions, positions against commands."""
    for name, k, velocity in _columns(recording, "velocity"):
        for other, j, position in _columns(recording, "position"):
            if j == k and velocity.shape == position.shape:
                slope = np.gradient(smooth(position), np.maximum.accumulate(recording.time_s) + _ramp(recording))
                yield from _compare(_label(name, k), f"the slope of {other}", smooth(velocity), smooth(slope))
    for name, k, position in _columns(recording, "position"):
        command = _command_of(recording, position, k)
        if command is not None and not _turn(recording, name, position):
            lag = max(like_most(command, position, _rows_in(recording, LAG_S))[0], 0)
            rest = len(position) - lag
            yield from _compare(_label(name, k), COMMAND, position[lag:], command[:rest])


def _rows_in(recording: Recording, seconds: float) -> int:
    """How many rows a time takes."""
    step = np.diff(recording.time_s)
    median = float(np.median(step[step > 0])) if (step > 0).any() else 0.0
    return int(min(seconds / median, len(recording) / 2)) + 1 if median else 1


def _ramp(recording: Recording) -> Vector:
    """Less than anything that matters, so that equal time stamps can be divided by."""
    return np.linspace(0.0, 1e-9 * len(recording), len(recording))


def _compare(label: str, other: str, found: Vector, wanted: Vector) -> Iterator[Finding]:
    """Compares by regression on `wanted`, which noise in `found` leaves as it is."""
    if correlation_of(found, wanted) < LIKE:
        return
    both = np.isfinite(found) & np.isfinite(wanted)
    ratio = float(np.cov(found[both], wanted[both])[0, 1] / np.var(wanted[both], ddof=1))
    unknown = ("another unit?", 1.0)
    advice, factor = next((one for one in _FACTORS.items() if abs(np.log(ratio * one[1])) < 0.2), unknown)
    if abs(np.log(ratio)) > (1.5 if factor == 1.0 else 0.5):  # a soft drive reaches a part of its command
        yield Finding("units", label, f"{ratio:.3g} times {other}: {advice}", np.zeros(0, np.intp), factor)


def _coarse(recording: Recording) -> Iterator[Finding]:
    for name, k, values in _columns(recording, "velocity"):
        quantum = quantum_of(values)
        if quantum and spread_of(values) / quantum < QUANTA:
            message = (
                f"steps of {quantum:.4g} in a range of {spread_of(values):.4g}: take the slope of the position instead"
            )
            yield Finding("quantized", _label(name, k), message, np.zeros(0, np.intp))


def _unsigned(recording: Recording) -> Iterator[Finding]:
    """Efforts and velocities that are never negative, although the robot goes both ways."""
    for name, k, values in _columns(recording, "effort", "velocity"):
        if np.nanmin(values) < 0 or not np.nanmax(values) or register_of(values):
            continue
        for other, j, position in _columns(recording, "position"):
            slope = np.diff(smooth(position))
            moving = np.abs(slope) > 0.1 * np.max(np.abs(slope), initial=0.0)
            back = np.mean(slope[moving] < 0) if moving.any() else 0.0
            if j == k and 0.1 < back < 0.9:
                message = f"never negative, while {_label(other, j)} goes both ways: it has lost its sign"
                yield Finding("unsigned", _label(name, k), message, np.zeros(0, np.intp))
                break


def _saturated(recording: Recording) -> Iterator[Finding]:
    for name, k, values in _columns(recording, "velocity", "effort"):
        if register_of(values) or not is_fine(values):
            continue
        for extreme in (np.nanmax(values), np.nanmin(values)):
            rows = values == extreme
            moving = [b - a for a, b in runs_of(values) if values[a] == extreme]
            if extreme and rows.mean() > LIMIT_SHARE and max(moving, default=0) >= 5 and len(moving) > 1:
                message = (
                    f"rests {rows.mean():.0%} of the time at its extreme, {extreme:.4g}: a limit of the sensor or drive"
                )
                yield Finding("saturated", _label(name, k), message, _some(rows))


def _supply(recording: Recording) -> Iterator[Finding]:
    for name, k, values in _columns(recording, "supply"):
        middle, low, high = np.nanmedian(values), np.nanmin(values), np.nanmax(values)
        if middle and max(high - middle, middle - low) > SAG * abs(middle):
            message = f"{low:.3g}–{high:.3g} around {middle:.3g}: the supply sags or overshoots; replay it as measured"
            yield Finding("supply", _label(name, k), message, np.zeros(0, np.intp))


def _lag(recording: Recording) -> Iterator[Finding]:
    """Commands that come after what they cause, and positions that come long after their command."""
    steps = np.diff(recording.time_s)
    step = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    for name, k, position in _columns(recording, "position"):
        command = _command_of(recording, position, k)
        if step <= 0 or command is None or _turn(recording, name, position):
            continue
        lag = best_lag(command, position, _rows_in(recording, LATE_S))
        if lag is None:
            continue
        if lag < -1:
            message = f"comes {-1e3 * lag * step:.0f} ms before its command: the command column lags"
            yield Finding("lag", _label(name, k), message, np.zeros(0, np.intp))
        elif lag * step > TRAIL_S and not _sticks(recording, position, command):
            message = f"trails its command by about {1e3 * lag * step:.0f} ms"
            message += ": a soft or damped drive does that too, so fit gain, damping and delay together"
            yield Finding("trailing", _label(name, k), message, np.zeros(0, np.intp))


def _sticks(recording: Recording, position: Vector, command: Vector) -> bool:
    """Whether a joint rests much of the time in which its command moves, as friction makes it."""
    rows = max(_rows_in(recording, 0.1) - 1, 1)
    moved, asked = (np.abs(values[rows:] - values[:-rows]) for values in (position, command))
    moving = asked > max(0.02 * spread_of(command), 8 * quantum_of(position))
    resting = moved <= quantum_of(position) * (1 + 1e-9)
    return bool(moving.mean() > MOVING and np.mean(resting[moving]) > STICKING)


def _metadata(recording: Recording) -> Iterator[Finding]:
    """What metadata say against what was measured: the supply, and the load of a single joint."""
    numbers = {name: float(v) for name, v in recording.metadata.items() if isinstance(v, int | float)}
    stated = {name: value for name, value in numbers.items() if name.lower() in SUPPLIES}
    for name, k, values in _columns(recording, "supply"):
        unit, factor = to_si(recording.units.get(name, "V"))
        middle = float(np.nanmedian(values)) * factor
        for key, value in stated.items():
            if unit == "V" and value and abs(middle - value) > STATED * abs(value):
                message = f"{middle:.4g} V in the middle, while metadata say {key} = {value:g}"
                yield Finding("metadata", _label(name, k), message, np.zeros(0, np.intp))
    yield from _load(recording)


def _load(recording: Recording) -> Iterator[Finding]:
    """The moment of a load on a horizontal axis, by regression of torque on angle, against mass and length."""
    mass, length = (recording.metadata.get(name) for name in ("mass", "length"))
    efforts = _columns(recording, "effort")
    torque = next((v for n, _, v in efforts if to_si(recording.units.get(n, ""))[0] == "N·m"), None)
    if torque is None and to_si(recording.units.get(COMMAND, ""))[0] == "N·m":
        torque = recording.command[:, 0]
    position = next((v for n, k, v in _columns(recording, "position")), None)
    if not all(isinstance(v, int | float) and v > 0 for v in (mass, length)) or torque is None or position is None:
        return
    speed = np.gradient(smooth(position), np.maximum.accumulate(recording.time_s) + _ramp(recording))
    parts = np.stack([np.sin(position), np.cos(position), np.tanh(speed / 0.05), speed, np.gradient(speed)], axis=1)
    (a, b, *_), *_ = np.linalg.lstsq(parts, torque, rcond=None)
    explained = correlation_of(parts[:, :2] @ np.array([a, b]), torque)
    found, said = float(np.hypot(a, b)), float(mass) * GRAVITY * float(length)  # type: ignore[arg-type]
    if explained > LIKE and np.ptp(position) > 0.5 and abs(np.log(found / said)) > LOAD_OFF:
        message = f"gravity takes {found:.3g} N·m, while metadata say {said:.3g} (mass = {mass}, length = {length})"
        yield Finding("metadata", COMMAND, message, np.zeros(0, np.intp))


def _offset(recording: Recording) -> Iterator[Finding]:
    """Positions that lie to one side of their command most of the time."""
    for name, k, position in _columns(recording, "position"):
        command = _command_of(recording, position, k)
        if command is None or _turn(recording, name, position):
            continue
        off = position - command
        middle = float(np.median(off))
        spread = 1.4826 * float(np.median(np.abs(off - middle)))
        if abs(middle) > max(0.7 * spread, 6 * quantum_of(position), 0.05 * spread_of(command)):
            message = (
                f"{middle:+.3g} beside its command in the middle: a load such as gravity, or an unknown zero; fit both"
            )
            yield Finding("offset", _label(name, k), message, np.zeros(0, np.intp))


RULES: tuple[Callable[[Recording], Iterator[Finding]], ...] = (
    _time,
    _missing,
    _wrapped,
    _outliers,
    _jumps,
    _stuck,
    _scale,
    _coarse,
    _unsigned,
    _saturated,
    _supply,
    _lag,
    _offset,
    _metadata,
)
AS_MEASURED = (_time, _missing, _stuck)
