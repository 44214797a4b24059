"""What is wrong with a log, found before anything is fitted to it.

Each rule looks for one thing that real logs do. Rules need no model of the robot: they compare signals with themselves,
with their neighbors in time, and with each other. What a signal measures is told by its unit, or else by its name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, median_filter

from embodied.sysid.recording import COMMAND, TIME, Recording
from embodied.sysid.signals import (
    LIKE,
    QUANTA,
    Vector,
    best_lag,
    correlation_of,
    is_fine,
    quantum_of,
    runs_of,
    smooth,
    spread_of,
)

UNEVEN = 0.1  # of the median step, from which on time is not uniform
OUTLYING = 12.0  # robust standard deviations from the neighbors
BITS = (8, 16, 32)
STUCK_S, STUCK_SHARE = 0.3, 0.5  # how long a value may stay while the command crosses that share of its range
LIMIT_SHARE = 0.03  # of the instants that a signal may rest at its own extreme
SAG = 0.1  # of the supply's median
TRAIL_S, PROVOKED_S = 0.08, 0.2
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
    """

    rule: str
    signal: str
    message: str
    rows: NDArray[np.intp]

    def __str__(self) -> str:
        return f"{self.rule:<11} {self.signal}: {self.message}"


def lint(recording: Recording) -> list[Finding]:
    """Returns what the rules find, in the order of the rules and of the signals."""
    return [finding for rule in RULES for finding in rule(recording)]


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
    forward = step[step > 0]
    median = float(np.median(forward)) if len(forward) else 0.0
    rows = (step > 0) & (np.abs(step - median) > UNEVEN * median)
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
        if not np.isfinite(values).all():
            continue
        period, what = _register(values) or _turn(recording, name, values) or (0.0, "")
        rows = np.abs(np.diff(values)) > period / 2
        if period and rows.any():
            message = f"{rows.sum()} jumps by about {period:.6g}, {_at(recording, _some(rows))}: {what}"
            yield Finding("wrapped", _label(name, k), message, _some(rows))


def _register(values: Vector) -> tuple[float, str] | None:
    """Whether whole numbers fill both ends of an unsigned register and nothing between."""
    if values.min() < 0 or np.any(values != np.rint(values)):
        return None
    for bits in BITS:
        period = 2.0**bits
        middle = (values > period / 4) & (values < 3 * period / 4)
        if period * 3 / 4 <= values.max() < period and not middle.any() and values.min() < period / 4:
            message = f"an unsigned {bits}-bit register: {values.max():.0f} is {values.max() - period:.0f}"
            return period, f"{message}; take {period:.0f} from what lies above {period / 2:.0f}"
    return None


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
        finite = np.isfinite(values).all()
        if not finite or _register(values) or _turn(recording, name, values) or quantum_of(values) == 0:
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
        if not np.isfinite(values).all() or _register(values) or _turn(recording, name, values):
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
    commands = recording.command.shape[1]
    return recording.command[:, min(k, commands - 1)] if commands else None


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
            yield from _compare(_label(name, k), COMMAND, position, command)


def _ramp(recording: Recording) -> Vector:
    """Less than anything that matters, so that equal time stamps can be divided by."""
    return np.linspace(0.0, 1e-9 * len(recording), len(recording))


def _compare(label: str, other: str, found: Vector, wanted: Vector) -> Iterator[Finding]:
    """Compares by regression on `wanted`, which noise in `found` leaves as it is."""
    if correlation_of(found, wanted) < LIKE:
        return
    both = np.isfinite(found) & np.isfinite(wanted)
    ratio = float(np.cov(found[both], wanted[both])[0, 1] / np.var(wanted[both], ddof=1))
    advice = next((text for text, factor in _FACTORS.items() if abs(np.log(ratio * factor)) < 0.2), "another unit?")
    if abs(np.log(ratio)) > (1.5 if advice == "another unit?" else 0.5):  # a soft drive reaches a part of its command
        yield Finding("units", label, f"{ratio:.3g} times {other}: {advice}", np.zeros(0, np.intp))


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
        if np.nanmin(values) < 0 or not np.nanmax(values) or _register(values):
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
        if _register(values) or not is_fine(values):
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
    step = float(np.median(np.diff(recording.time_s)))
    for name, k, position in _columns(recording, "position"):
        command = _command_of(recording, position, k)
        if step <= 0 or command is None or not np.isfinite(position).all() or _turn(recording, name, position):
            continue
        lag = best_lag(command, position, int(0.5 / step) + 1)
        if lag is None:
            continue
        if lag < -1:
            message = f"comes {-1e3 * lag * step:.0f} ms before its command: the command column lags"
            yield Finding("lag", _label(name, k), message, np.zeros(0, np.intp))
        elif lag * step > TRAIL_S:
            message = f"trails its command by about {1e3 * lag * step:.0f} ms"
            message += ": a soft or damped drive does that too, so fit gain, damping and delay together"
            yield Finding("trailing", _label(name, k), message, np.zeros(0, np.intp))


def _offset(recording: Recording) -> Iterator[Finding]:
    """Positions that lie to one side of their command most of the time."""
    for name, k, position in _columns(recording, "position"):
        command = _command_of(recording, position, k)
        if command is None or not np.isfinite(position).all() or _turn(recording, name, position):
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
)
