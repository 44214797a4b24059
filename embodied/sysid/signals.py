"""What a signal is like: how far it goes, in which steps, where it rests, and how it goes with another."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

Vector = NDArray[np.float64]

QUANTA = 100  # fewer different values in a range make a signal coarse
HOLE, HOLE_S = 50.0, 1.0  # median steps, and seconds, beyond which nothing is known of what happened in between
MOST_WORK = 20_000_000  # products of numbers in which a shift is looked for
WHOLE = (16, 32, 64)  # bits of registers that nothing but counts would fill at both ends
NARROWEST, VALUES = 8, 3  # bits of a register, and different values of one sign in it, at least
LIKE = 0.8  # correlation from which on two signals tell the same


def usual_step(time_s: Vector) -> float:
    """The median of the steps that lead forward; 0 where none does."""
    step = np.diff(time_s)
    forward = step[step > 0]
    return float(np.median(forward)) if len(forward) else 0.0


def holes_of(time_s: Vector) -> NDArray[np.intp]:
    """The rows after which time jumps so far ahead that nothing can be said of what happened in between."""
    return np.flatnonzero(np.diff(time_s) > max(HOLE * usual_step(time_s), HOLE_S))


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
    lag, like, at_once = like_most(command, position, most)
    return lag if like > LIKE and like - at_once > 1e-4 else None


def like_most(command: Vector, position: Vector, most: int) -> tuple[int, float, float]:
    """The shift in rows under which two signals are most alike, their correlation then, and without a shift.

    Long signals are compared at every few rows first, and then in full around the best shift.
    """
    most = min(most, len(command) // 3)
    stride = max(1, len(command) * (2 * most + 1) // MOST_WORK)
    lags = np.arange(-most, most + 1, min(stride, max(most, 1)))
    best = max(lags.tolist(), key=lambda lag: _shifted(command[::stride], position[::stride], round(lag / stride)))
    if stride > 1:
        near = range(max(best - stride, -most), min(best + stride, most) + 1, max(1, stride // 8))
        best = max(near, key=lambda lag: _shifted(command, position, lag))
    return best, _shifted(command, position, best), _shifted(command, position, 0)


def _shifted(command: Vector, position: Vector, lag: int) -> float:
    n = len(command)
    return correlation_of(command[max(0, -lag) : n - max(0, lag)], position[max(0, lag) : n - max(0, -lag)])


@dataclass(frozen=True)
class Register:
    """How negative numbers were written: an unsigned register of two's complement, or a bit for the sign."""

    bits: int
    sign_bit: bool

    def is_negative(self, values: Vector) -> NDArray[np.bool_]:
        """Where numbers that were written are negative ones."""
        return values >= 2.0 ** (self.bits - 1)

    def decoded(self, values: Vector) -> Vector:
        """What was meant."""
        half = 2.0 ** (self.bits - 1)
        negative = half - values if self.sign_bit else values - 2 * half
        return np.where(self.is_negative(values), negative, values)

    def __str__(self) -> str:
        half = 2 ** (self.bits - 1)
        if self.sign_bit:
            return f"a register whose bit {self.bits - 1} is the sign ({half + 1} is −1): take them as {half} − value"
        return f"an unsigned {self.bits}-bit register ({2 * half - 1} is −1): subtract {2 * half} from them"


def register_of(values: Vector) -> Register | None:
    """The register in which whole numbers of both signs were written without a sign; None for other signals.

    Two's complement fills both ends of a register and nothing between; a sign bit, two ranges from 0 and from half.
    """
    known = values[np.isfinite(values)]
    if not len(known) or known.min() < 0 or np.any(known != np.rint(known)) or known.max() >= 2.0**64:
        return None
    bits = int(known.max()).bit_length()
    half = 2.0 ** (bits - 1)
    low, high = np.unique(known[known < half]), np.unique(known[known >= half])
    if bits < NARROWEST or max(len(low), len(high)) < VALUES or not len(low) or low.max() >= 0.5 * half:
        return None
    if high.min() > 1.5 * half and (len(high) >= VALUES or bits in WHOLE or high.max() == 2 * half - 1):
        return Register(bits, sign_bit=False)
    above = high - half
    if (
        min(len(low), len(high)) >= VALUES
        and above.max() < 0.5 * half
        and above.min() <= max(low.max(), above.max()) / 2
    ):
        return Register(bits, sign_bit=True)
    return None
