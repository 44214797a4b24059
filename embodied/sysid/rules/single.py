"""Rules that look at one signal, or at time itself: what is missing, wrapped, far out, stuck, coarse or cut off."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.ndimage import median_filter

from embodied.sysid.recording import TIME, Recording
from embodied.sysid.rules.finding import (
    Finding,
    begins,
    columns_of,
    command_of,
    label,
    moves,
    provoked,
    turn_of,
    velocity_of,
    where,
)
from embodied.sysid.signals import QUANTA, holes_of, is_fine, quantum_of, register_of, runs_of, smooth, spread_of

UNEVEN = 0.1  # of the median step, from which on time is not uniform
CLOCK_S = 1e5  # a step that long is a clock that was set rather than a robot that was silent
OUTLYING = 12.0  # robust standard deviations from the neighbors
STUCK_S, STUCK_SHARE = 0.3, 0.5  # how long a value may stay while the command crosses that share of its range
LIMIT_SHARE = 0.03  # of the instants that a signal may rest at its own extreme
SAG = 0.1  # of the supply's median
FOLDED = 0.05  # share of its greatest value that a signal without its sign comes down to


def time_stamps(recording: Recording) -> Iterator[Finding]:
    step = np.diff(recording.time_s)
    for rule, rows, what in (
        ("backwards", step < 0, "time goes back"),
        ("duplicated", step == 0, "an instant is there twice"),
    ):
        if rows.any():
            yield Finding(rule, TIME, f"{what} {rows.sum()} times, {begins(recording, where(rows))}", where(rows))
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
        yield Finding("uneven", TIME, message, where(rows))


def missing(recording: Recording) -> Iterator[Finding]:
    for name, values in recording.signals.items():
        for k, rows in enumerate(~np.isfinite(values.T)):
            if rows.any():
                yield Finding("missing", label(name, k), f"{rows.sum()} values are not numbers", where(rows))


def wrapped(recording: Recording) -> Iterator[Finding]:
    for name, k, values in columns_of(recording):
        register = register_of(values)
        if register is not None:
            rows = register.is_negative(values)
            message = f"{rows.sum()} values, {begins(recording, where(rows))}, are of {register}"
            yield Finding("wrapped", label(name, k), message, where(rows))
            continue
        period, what = turn_of(recording, name, values) or (0.0, "")
        rows = np.abs(np.diff(values)) > period / 2
        if period and rows.any():
            message = f"{rows.sum()} jumps by about {period:.6g}, {begins(recording, where(rows))}: {what}"
            yield Finding("wrapped", label(name, k), message, where(rows))


def outliers(recording: Recording) -> Iterator[Finding]:
    for name, k, values in columns_of(recording):
        if register_of(values) or turn_of(recording, name, values) or quantum_of(values) == 0:
            continue
        off = np.abs(values - median_filter(values, size=5, mode="nearest"))
        noise = max(1.4826 * float(np.median(off)), quantum_of(values), float(np.percentile(off, 95)) / 2)
        rows = (off > max(OUTLYING * noise, 0.5 * spread_of(values))) & ~provoked(recording, values, k)
        if rows.any():
            message = (
                f"{rows.sum()} single values far from their neighbors, {begins(recording, where(rows))}: leave them out"
            )
            yield Finding("outlier", label(name, k), message, where(rows))


def jumps(recording: Recording) -> Iterator[Finding]:
    """Positions that are somewhere else at the next instant and stay there."""
    for name, k, values in columns_of(recording, "position"):
        if register_of(values) or turn_of(recording, name, values):
            continue
        step = np.abs(np.diff(median_filter(values, size=5, mode="nearest")))
        usual = 6 * float(np.percentile(step, 98)) + 6 * quantum_of(values)
        around = 12 * median_filter(step, size=9, mode="nearest")
        rows = step > np.maximum(np.maximum(usual, around), 0.05 * spread_of(values))
        rows &= ~provoked(recording, values, k)[1:]
        if rows.any():
            message = (
                f"{rows.sum()} jumps up to {step[rows].max():.3g} within one step, {begins(recording, where(rows))}"
            )
            yield Finding("jump", label(name, k), f"{message}: rows are missing, or the zero was set anew", where(rows))


def stuck_values(recording: Recording) -> Iterator[Finding]:
    """Positions that stay although the velocity says otherwise or, where there is none, the command goes far."""
    for name, k, values in columns_of(recording, "position"):
        command, velocity = command_of(recording, values, k), velocity_of(recording, k)
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
            message = f"the same value for {len(bad)} instants, {begins(recording, at)}, while the command goes on"
            yield Finding("stuck", label(name, k), message, at)


def coarseness(recording: Recording) -> Iterator[Finding]:
    for name, k, values in columns_of(recording, "velocity"):
        quantum = quantum_of(values)
        if quantum and spread_of(values) / quantum < QUANTA and moves(recording, k):
            message = (
                f"steps of {quantum:.4g} in a range of {spread_of(values):.4g}: take the slope of the position instead"
            )
            yield Finding("quantized", label(name, k), message, np.zeros(0, np.intp))


def lost_sign(recording: Recording) -> Iterator[Finding]:
    """Efforts and velocities that are never negative, although the robot goes both ways."""
    for name, k, values in columns_of(recording, "effort", "velocity"):
        folded = 0 <= np.nanmin(values) <= FOLDED * np.nanmax(values)  # a load such as gravity keeps it away from zero
        if not folded or not np.nanmax(values) or register_of(values) or not moves(recording, k):
            continue
        for other, j, position in columns_of(recording, "position"):
            slope = np.diff(smooth(position))
            moving = np.abs(slope) > 0.1 * np.max(np.abs(slope), initial=0.0)
            back = np.mean(slope[moving] < 0) if moving.any() else 0.0
            if j == k and 0.1 < back < 0.9:
                message = f"never negative, while {label(other, j)} goes both ways: it has lost its sign"
                yield Finding("unsigned", label(name, k), message, np.zeros(0, np.intp))
                break


def saturation(recording: Recording) -> Iterator[Finding]:
    for name, k, values in columns_of(recording, "velocity", "effort"):
        if register_of(values) or not is_fine(values):
            continue
        for extreme in (np.nanmax(values), np.nanmin(values)):
            rows = values == extreme
            moving = [b - a for a, b in runs_of(values) if values[a] == extreme]
            if extreme and rows.mean() > LIMIT_SHARE and max(moving, default=0) >= 5 and len(moving) > 1:
                message = (
                    f"rests {rows.mean():.0%} of the time at its extreme, {extreme:.4g}: a limit of the sensor or drive"
                )
                yield Finding("saturated", label(name, k), message, where(rows))


def supply_sag(recording: Recording) -> Iterator[Finding]:
    for name, k, values in columns_of(recording, "supply"):
        middle, low, high = np.nanmedian(values), np.nanmin(values), np.nanmax(values)
        if middle and max(high - middle, middle - low) > SAG * abs(middle):
            message = f"{low:.3g}–{high:.3g} around {middle:.3g}: the supply sags or overshoots; replay it as measured"
            yield Finding("supply", label(name, k), message, np.zeros(0, np.intp))
