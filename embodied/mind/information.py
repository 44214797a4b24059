"""Bits, and whether a belief deserves its certainty."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def entropy_bits(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Shannon entropy along the last axis [bits]; 0 log 0 = 0."""
    p = np.asarray(probabilities, np.float64)
    return -(p * np.log2(np.where(p > 0, p, 1.0))).sum(axis=-1)


def calibration_error(probabilities: ArrayLike, truth: ArrayLike, bins: int = 10) -> float:
    """Expected calibration error of the most likely value (Naeini et al. 2015).

    Predictions are grouped by confidence into `bins` of equal width; the result is the mean gap between
    confidence and hit rate, weighted by how many predictions a bin holds.

    Args:
        probabilities: `(n, k)`.
        truth: index of the true value, `(n,)`.
    """
    p, y = np.asarray(probabilities, np.float64), np.asarray(truth, np.intp)
    confidence, hit = p.max(axis=1), p.argmax(axis=1) == y
    bin_of = np.minimum((confidence * bins).astype(np.intp), bins - 1)
    gap = np.bincount(bin_of, confidence - hit, minlength=bins)
    return float(np.abs(gap).sum() / len(p))


def negative_log_likelihood(probabilities: ArrayLike, truth: ArrayLike) -> float:
    """Mean −ln p(truth) [nats], with p at least 1e-12."""
    p, y = np.asarray(probabilities, np.float64), np.asarray(truth, np.intp)
    return float(-np.log(np.maximum(p[np.arange(len(p)), y], 1e-12)).mean())
