"""Rules that compare signals with each other, with their command, and with what metadata say."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from embodied.sysid.readers.units import to_si
from embodied.sysid.recording import COMMAND, Recording
from embodied.sysid.rules.finding import Finding, columns_of, command_of, label, ramp, rows_in, turn_of
from embodied.sysid.signals import (
    LIKE,
    Vector,
    best_lag,
    correlation_of,
    like_most,
    quantum_of,
    smooth,
    spread_of,
    usual_step,
)

STATED = 0.1  # by how much what is measured may differ from what metadata say
STICKING, MOVING = 0.45, 0.1  # shares of the time: of rest while the command moves, and in which it must move at all
TRAIL_S = 0.08
LATE_S, LAG_S = 0.5, 2.0  # up to which a lag is told, and up to which signals are compared across one
GRAVITY, LOAD_OFF = 9.81, 0.3
SUPPLIES = ("vin", "volts", "voltage", "supply", "supply_v", "supply_volts", "supply_voltage", "battery", "battery_v")
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


def unit_factors(recording: Recording) -> Iterator[Finding]:
    """Velocities against the slope of positions, positions against commands."""
    for name, k, velocity in columns_of(recording, "velocity"):
        for other, j, position in columns_of(recording, "position"):
            if j == k and velocity.shape == position.shape:
                slope = np.gradient(smooth(position), np.maximum.accumulate(recording.time_s) + ramp(recording))
                yield from compared(label(name, k), f"the slope of {other}", smooth(velocity), smooth(slope))
    for name, k, position in columns_of(recording, "position"):
        command = command_of(recording, position, k)
        if command is not None and not turn_of(recording, name, position):
            lag = max(like_most(command, position, rows_in(recording, LAG_S))[0], 0)
            rest = len(position) - lag
            yield from compared(label(name, k), COMMAND, position[lag:], command[:rest])


def compared(label: str, other: str, found: Vector, wanted: Vector) -> Iterator[Finding]:
    """Compares by regression on `wanted`, which noise in `found` leaves as it is."""
    if correlation_of(found, wanted) < LIKE:
        return
    both = np.isfinite(found) & np.isfinite(wanted)
    ratio = float(np.cov(found[both], wanted[both])[0, 1] / np.var(wanted[both], ddof=1))
    unknown = ("another unit?", 1.0)
    advice, factor = next((one for one in _FACTORS.items() if abs(np.log(ratio * one[1])) < 0.2), unknown)
    if abs(np.log(ratio)) > (1.5 if factor == 1.0 else 0.5):  # a soft drive reaches a part of its command
        yield Finding("units", label, f"{ratio:.3g} times {other}: {advice}", np.zeros(0, np.intp), factor)


def lag_behind(recording: Recording) -> Iterator[Finding]:
    """Commands that come after what they cause, and positions that come long after their command."""
    step = usual_step(recording.time_s)
    for name, k, position in columns_of(recording, "position"):
        command = command_of(recording, position, k)
        if step <= 0 or command is None or turn_of(recording, name, position):
            continue
        lag = best_lag(command, position, rows_in(recording, LATE_S))
        if lag is None:
            continue
        if lag < -1:
            message = f"comes {-1e3 * lag * step:.0f} ms before its command: the command column lags"
            yield Finding("lag", label(name, k), message, np.zeros(0, np.intp))
        elif lag * step > TRAIL_S and not sticks(recording, position, command):
            message = f"trails its command by about {1e3 * lag * step:.0f} ms"
            message += ": a soft or damped drive does that too, so fit gain, damping and delay together"
            yield Finding("trailing", label(name, k), message, np.zeros(0, np.intp))


def sticks(recording: Recording, position: Vector, command: Vector) -> bool:
    """Whether a joint rests much of the time in which its command moves, as friction makes it."""
    rows = max(rows_in(recording, 0.1) - 1, 1)
    moved, asked = (np.abs(values[rows:] - values[:-rows]) for values in (position, command))
    moving = asked > max(0.02 * spread_of(command), 8 * quantum_of(position))
    resting = moved <= quantum_of(position) * (1 + 1e-9)
    return bool(moving.mean() > MOVING and np.mean(resting[moving]) > STICKING)


def offset_of(recording: Recording) -> Iterator[Finding]:
    """Positions that lie to one side of their command most of the time."""
    for name, k, position in columns_of(recording, "position"):
        command = command_of(recording, position, k)
        if command is None or turn_of(recording, name, position):
            continue
        off = position - command
        middle = float(np.median(off))
        spread = 1.4826 * float(np.median(np.abs(off - middle)))
        if abs(middle) > max(0.7 * spread, 6 * quantum_of(position), 0.05 * spread_of(command)):
            message = (
                f"{middle:+.3g} beside its command in the middle: a load such as gravity, or an unknown zero; fit both"
            )
            yield Finding("offset", label(name, k), message, np.zeros(0, np.intp))


def stated_otherwise(recording: Recording) -> Iterator[Finding]:
    """What metadata say against what was measured: the supply, and the load of a single joint."""
    numbers = {name: float(v) for name, v in recording.metadata.items() if isinstance(v, int | float)}
    stated = {name: value for name, value in numbers.items() if name.lower() in SUPPLIES}
    for name, k, values in columns_of(recording, "supply"):
        unit, factor = to_si(recording.units.get(name, "V"))
        middle = float(np.nanmedian(values)) * factor
        for key, value in stated.items():
            if unit == "V" and value and abs(middle - value) > STATED * abs(value):
                message = f"{middle:.4g} V in the middle, while metadata say {key} = {value:g}"
                yield Finding("metadata", label(name, k), message, np.zeros(0, np.intp))
    yield from load_stated_otherwise(recording)


def load_stated_otherwise(recording: Recording) -> Iterator[Finding]:
    """The moment of a load on a horizontal axis, by regression of torque on angle, against mass and length."""
    mass, length = (recording.metadata.get(name) for name in ("mass", "length"))
    efforts = columns_of(recording, "effort")
    torque = next((v for n, _, v in efforts if to_si(recording.units.get(n, ""))[0] == "N·m"), None)
    if torque is None and to_si(recording.units.get(COMMAND, ""))[0] == "N·m":
        torque = recording.command[:, 0]
    position = next((v for n, k, v in columns_of(recording, "position")), None)
    if not all(isinstance(v, int | float) and v > 0 for v in (mass, length)) or torque is None or position is None:
        return
    speed = np.gradient(smooth(position), np.maximum.accumulate(recording.time_s) + ramp(recording))
    parts = np.stack([np.sin(position), np.cos(position), np.tanh(speed / 0.05), speed, np.gradient(speed)], axis=1)
    (a, b, *_), *_ = np.linalg.lstsq(parts, torque, rcond=None)
    explained = correlation_of(parts[:, :2] @ np.array([a, b]), torque)
    found, said = float(np.hypot(a, b)), float(mass) * GRAVITY * float(length)  # type: ignore[arg-type]
    if explained > LIKE and np.ptp(position) > 0.5 and abs(np.log(found / said)) > LOAD_OFF:
        message = f"gravity takes {found:.3g} N·m, while metadata say {said:.3g} (mass = {mass}, length = {length})"
        yield Finding("metadata", COMMAND, message, np.zeros(0, np.intp))
