"""A log with what can be mended mended, and what cannot be known left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from embodied.sysid.lint import Finding, lint
from embodied.sysid.recording import Recording
from embodied.sysid.signals import holes_of, register_of

LEFT_OUT = ("outlier", "stuck")  # rules whose rows were not measured
TURN = 2 * np.pi


def clean(recording: Recording, findings: Sequence[Finding] | None = None) -> tuple[list[Recording], list[str]]:
    """Mends a log: registers get their signs, angles go on beyond a turn, units are SI, time rises, pieces are apart.

    Outliers and values that were stuck become NaN. What the robot itself did, such as an offset, a lag or a supply that
    sags, is left for a fit to explain.

    Args:
        findings: of `lint`, whose rows count (None: they are looked for).

    Returns:
        The recording, or its pieces on both sides of holes in time, and what was done in words.
    """
    found = lint(recording) if findings is None else list(findings)
    signals = {name: values.copy() for name, values in recording.signals.items()}
    done = [line for one in found if (line := _mend(one, signals)) is not None]
    mended = replace(recording, signals=signals)
    rows = _rising(recording.time_s)
    if len(rows) < len(recording):
        done.append(f"time_s: {len(recording) - len(rows)} rows left out whose time does not rise")
        mended = mended.rows(rows)
    pieces, dropped = mended.pieces()
    if len(pieces) + dropped > 1:
        done.append(f"time_s: cut at holes into {len(pieces)} pieces, {dropped} of a single row left out")
    return pieces, done


def _mend(one: Finding, signals: dict[str, NDArray[np.float64]]) -> str | None:
    """Mends what a finding is about; returns what was done, or None."""
    name, _, index = one.signal.removesuffix("]").partition("[")
    if name not in signals or not index.isdigit():
        return None
    column = signals[name][:, int(index)]
    if one.rule == "wrapped":
        register = register_of(column)
        column[:] = register.decoded(column) if register is not None else _unwrapped(column)
        return f"{one.signal}: {'decoded' if register is not None else 'unwrapped'}"
    if one.rule in LEFT_OUT:
        column[one.rows] = np.nan
        return f"{one.signal}: {len(one.rows)} values left out ({one.rule})"
    if one.rule == "units" and one.factor != 1.0:
        column *= one.factor
        return f"{one.signal}: multiplied by {one.factor:.6g}"
    return None


def _unwrapped(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """An angle without jumps of a turn, of which it has one of the usual sizes."""
    known = np.isfinite(angle)
    jumps = np.abs(np.diff(angle[known]))
    largest = float(jumps.max(initial=0.0))
    turn = min((TURN, 360.0, 4096.0), key=lambda period: abs(largest - period))
    out = angle.copy()
    out[known] = np.unwrap(angle[known], period=turn)
    return out


def _rising(time_s: NDArray[np.float64]) -> NDArray[np.intp]:
    """Rows whose time is above that of all rows before, on each side of holes and of a clock that was set back."""
    latest = np.maximum.accumulate(time_s)
    first = np.concatenate([[True], time_s[1:] > latest[:-1]])
    if len(holes_of(time_s)) and np.mean(first) < 0.5:  # the first row is of another clock than the rest
        return np.arange(1, len(time_s))[np.diff(time_s) > 0]
    return np.flatnonzero(first)
