"""What a signal is like: how far it goes, in which steps, where it rests, and how it goes with another."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

Vector = NDArray[np.float64]

QUANTA = 100  # fewer different values in a range make a signal coarse
LIKE = 0.8  # correlation from which on two signals tell the same


def spread_of(values: Vector) -> float:
    """The middle 99 % of what a signal does."""
    low, high = np.nanpercentile(values, (0.5, 99.5))
    return float(high - low)


def quantum_of(values: Vector) -> float:
    """The least difference between two values that occur."""
    steps = np.diff(np.unique(values[np.isfinite(values)]))
    steps = steps[steps > 1e-9 * max(np.nanmax(np.abs(values)), 1e-300)] if len(steps) else steps
    return float(steps.min()) if len(steps) else 0.0


def correlation_of(a: Vector, b: Vector) -> float:
    """Pearson's, over the rows in which both are numbers; 0 where one does not change."""
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < 3 or np.ptp(a[both]) == 0 or np.ptp(b[both]) == 0:
        return 0.0
    return float(np.corrcoef(a[both], b[both])[0, 1])


def is_fine(values: Vector) -> bool:
    """Whether a signal is fine enough that it would have to change while its robot moves."""
    quantum = quantum_of(values)
    return quantum > 0 and spread_of(values) / quantum > QUANTA


def runs_of(values: Vector) -> list[tuple[int, int]]:
    """Where one value is repeated, as (first row, row after the last)."""
    ends = np.flatnonzero(np.diff(values) != 0) + 1
    bounds = np.concatenate(([0], ends, [len(values)]))
    return [(int(a), int(b)) for a, b in pairwise(bounds) if b - a > 1]


def smooth(values: Vector) -> Vector:
    """Means over nine rows."""
    return uniform_filter1d(values, 9, mode="nearest")


def best_lag(command: Vector, position: Vector, most: int) -> int | None:
    """By how many rows the position is best shifted to be like its command; None where they are never alike."""
    most = min(most, len(command) // 3)
    lags = list(range(-most, most + 1))
    n = len(command)
    like = [correlation_of(command[max(0, -d) : n - max(0, d)], position[max(0, d) : n - max(0, -d)]) for d in lags]
    best = int(np.argmax(like))
    return lags[best] if like[best] > LIKE and like[best] - like[most] > 1e-4 else None
