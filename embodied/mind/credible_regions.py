"""Whether beliefs hold the truth as often as they say: how much of a belief lies in the region that just reaches it.

Over many beliefs that are honest this share is uniform between 0 and 1, whatever they are (simulation-based
calibration; Talts et al. 2018): the truth lies in 90 % regions nine times in ten. The truth's own probability, and
values that are as probable, are shared out by chance, so that this holds where there are few values, too.

Shape suffixes: n beliefs, k values, m particles.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVELS = (0.5, 0.9, 0.99)


def smallest_region(probabilities: ArrayLike, truth: ArrayLike, rng: np.random.Generator) -> NDArray[np.float64]:
    """Probability of the smallest region that just holds the truth, `(n,)`.

    Args:
        probabilities: of values, `(n, k)`; truth: which of them it is, `(n,)`.
    """
    p = np.asarray(probabilities, np.float64)
    own = np.take_along_axis(p, np.asarray(truth, np.intp)[:, None], axis=1)
    return np.where(p > own, p, 0.0).sum(axis=1) + rng.random(len(p)) * np.where(p == own, p, 0.0).sum(axis=1)


def central_region(values: NDArray, weights: NDArray, truth: NDArray, rng: np.random.Generator) -> NDArray[np.float64]:
    """Probability of the interval around the median that just reaches the truth, `(n,)`.

    Args:
        values: of a quantity, as particles have it, `(n, m)`; weights: probabilities of the particles, `(n, m)`.
        truth: of the quantity, `(n,)`.
    """
    own = np.asarray(truth)[:, None]
    below, equal = ((weights * side).sum(axis=1) for side in (values < own, values == own))
    return np.abs(2 * (below + rng.random(len(below)) * equal) - 1)


def coverage(regions: ArrayLike, levels: Sequence[float] = LEVELS) -> NDArray[np.float64]:
    """Share of truths within regions of each probability, `(len(levels),)`; equal to `levels` if beliefs are honest."""
    share = np.asarray(regions, np.float64)
    return (share[:, None] <= np.asarray(levels)).mean(axis=0)
