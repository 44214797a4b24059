"""A log with what can be mended mended, and what cannot be known left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from embodied.sysid.lint import Finding, filled, lint, role
from embodied.sysid.readers.units import TURNS, to_si
from embodied.sysid.recording import Recording
from embodied.sysid.rules.relations import unit_factors
from embodied.sysid.signals import register_of, usual_step

LEFT_OUT = ("outlier", "stuck")  # rules whose rows were not measured
BACK = 10.0  # steps by which a clock that was set goes back at least; less is disorder


def clean(recording: Recording, findings: Sequence[Finding] | None = None) -> tuple[list[Recording], list[str]]:
    """Mends a log: registers get their signs, angles go on beyond a turn, units are SI, time rises, pieces are apart.

    Outliers and values that were stuck become NaN. What the robot itself did, such as an offset, a lag or a supply that
    sags, is left for a fit to explain.

    Args:
        findings: of `lint`, whose rows count (None: they are looked for).

    Returns:
        The recording, or its pieces on both sides of holes in time, and what was done in words.
    """
    done = [f"{name}: {unit} converted to SI" for name, unit in recording.units.items() if to_si(unit)[1] != 1.0]
    converted = recording.in_si()
    found = lint(converted) if findings is None or done else list(findings)
    signals = {name: values.copy() for name, values in converted.signals.items()}
    done += [line for one in found if (line := _mend(one, signals)) is not None]
    mended, scaled = _scaled(replace(converted, signals=signals))
    pieces, cut = _rising(mended)
    return pieces, [*done, *scaled, *cut]


def _rising(recording: Recording) -> tuple[list[Recording], list[str]]:
    """Pieces in which time rises without holes, and what was done."""
    pieces: list[Recording] = []
    dropped, done = 0, []
    for part in _by_clock(recording):
        latest = np.maximum.accumulate(part.time_s)
        rows = np.flatnonzero(np.concatenate([[True], part.time_s[1:] > latest[:-1]]))
        if len(rows) < len(part):
            done.append(f"time_s: {len(part) - len(rows)} rows left out whose time does not rise")
        several, single = part.rows(rows).pieces() if len(rows) > 1 else ([], 1)
        pieces, dropped = pieces + several, dropped + single
    if len(pieces) + dropped > 1:
        done.append(f"time_s: cut into {len(pieces)} pieces, {dropped} of a single row left out")
    return pieces, done


def _by_clock(recording: Recording) -> list[Recording]:
    """Parts between instants at which the clock was set back by more than a few steps."""
    back = -BACK * usual_step(recording.time_s)
    edges = [0, *(np.flatnonzero(np.diff(recording.time_s) < back) + 1).tolist(), len(recording)]
    spans = [np.arange(a, b) for a, b in pairwise(edges)]
    return [recording.rows(span) for span in spans if len(span) > 1] if len(spans) > 1 else [recording]


def _scaled(recording: Recording) -> tuple[Recording, list[str]]:
    """Positions in the unit of their command, then velocities in that of their slope; a column at most once."""
    done: list[str] = []
    for kind, unit in (("position", "rad"), ("velocity", "rad/s")):
        signals = {name: values.copy() for name, values in recording.signals.items()}
        units, mended = dict(recording.units), set()
        for one in unit_factors(filled(recording)[0]):
            name, _, index = one.signal.removesuffix("]").partition("[")
            if role(recording, name) == kind and one.factor != 1.0 and one.signal not in mended:
                mended.add(one.signal)
                signals[name][:, int(index)] *= one.factor
                units[name] = unit
                done.append(f"{one.signal}: multiplied by {one.factor:.6g}")
        recording = replace(recording, signals=signals, units=units)
    return recording, done


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
    return None


def _unwrapped(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """An angle without jumps of a turn, of which it has one of the usual sizes."""
    known = np.isfinite(angle)
    jumps = np.abs(np.diff(angle[known]))
    largest = float(jumps.max(initial=0.0))
    turn = min(TURNS, key=lambda period: abs(largest - period))
    out = angle.copy()
    out[known] = np.unwrap(angle[known], period=turn)
    return out
