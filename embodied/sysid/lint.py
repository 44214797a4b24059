"""What is wrong with a log, found before anything is fitted to it.

Each rule looks for one thing that real logs do. Rules need no model of the robot: they compare signals with themselves,
with their neighbors in time, and with each other. What a signal measures is told by its unit, or else by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from embodied.sysid.recording import Recording
from embodied.sysid.rules import relations, single
from embodied.sysid.rules.finding import Finding as Finding
from embodied.sysid.rules.finding import label
from embodied.sysid.rules.finding import role as role


def lint(recording: Recording) -> list[Finding]:
    """Returns what the rules find, in the order of the rules and of the signals.

    Rules that look at neighbors in time see the last value where nothing was measured, and say nothing of such rows.
    """
    held, unknown = filled(recording)
    found: list[Finding] = []
    for rule in RULES:
        if rule in AS_MEASURED:
            found += rule(recording)
        else:
            found += [one for raw in rule(held) if (one := _of_known_rows(raw, unknown)) is not None]
    return found


def filled(recording: Recording) -> tuple[Recording, dict[str, NDArray[np.bool_]]]:
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
        unknown |= {label(name, k): near[:, k] for k in range(values.shape[1])}
    return replace(recording, signals=signals), unknown


def _of_known_rows(found: Finding, unknown: dict[str, NDArray[np.bool_]]) -> Finding | None:
    """A finding without the rows in which nothing was measured; None if none is left."""
    if found.signal not in unknown or not len(found.rows):
        return found
    rows = found.rows[~unknown[found.signal][found.rows]]
    return replace(found, rows=rows) if len(rows) else None


RULES: tuple[Callable[[Recording], Iterator[Finding]], ...] = (
    single.time_stamps,
    single.missing,
    single.wrapped,
    single.outliers,
    single.jumps,
    single.stuck_values,
    relations.unit_factors,
    single.coarseness,
    single.lost_sign,
    single.saturation,
    single.supply_sag,
    relations.lag_behind,
    relations.offset_of,
    relations.stated_otherwise,
)
AS_MEASURED = (single.time_stamps, single.missing, single.stuck_values)
