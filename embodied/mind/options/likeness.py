"""How likely something that was seen is, judged by samples of what is seen under each hypothesis.

Shape suffixes: K hypotheses, M samples of each, D numbers that are seen, r directions in which hypotheses differ.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import f as f_distribution

SIGNIFICANT = 0.01  # probability with which chance makes any of the numbers seem to differ
BLUR = 0.25  # of the distance between two hypotheses, within which nothing is told apart, however few samples say so
TAILS = 4.0  # degrees of freedom: what is far from all hypotheses says little for any
TINY = 1e-9


def likeness(seen: NDArray[np.float64], samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-likelihood of `seen (n, D)` under K hypotheses, of which there are `samples (K, M, D)`, `(n, K)`.

    A synthetic likelihood (Wood 2010), Student's t with the same covariance under each hypothesis. Only numbers count
    that differ between hypotheses beyond chance (analysis of variance; with one sample each, all do), in the directions
    in which their means differ most, which are as many as there are hypotheses, less one.
    """
    k = len(samples)
    telling = _telling(samples)
    if not telling.any():
        return np.zeros((len(seen), k))
    samples, seen = samples[..., telling], seen[:, telling]
    means = samples.mean(axis=1)
    scale = np.sqrt(_pooled(samples) + BLUR**2 * _apart(means)) + TINY
    _, _, directions = np.linalg.svd((means - means.mean(axis=0)) / scale, full_matrices=False)
    place = lambda points: (points / scale) @ directions[: k - 1].T  # noqa: E731
    centers, now = place(means), place(seen)
    variance = _pooled(place(samples)) + BLUR**2 * _apart(centers).sum() + TINY
    distance = (np.square(now[:, None] - centers) / variance).sum(axis=2)
    return -0.5 * (TAILS + centers.shape[1]) * np.log1p(distance / TAILS)


def _telling(samples: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of the numbers differ between hypotheses, `(D,)`."""
    k, m, d = samples.shape
    between = m * np.square(samples.mean(axis=1) - samples.mean(axis=(0, 1))).sum(axis=0) / (k - 1)
    differs = between > TINY
    if m == 1:
        return differs
    critical = f_distribution.ppf(1 - SIGNIFICANT / d, k - 1, k * (m - 1))
    return differs & (between > critical * _pooled(samples))


def _pooled(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Variance of samples around the mean of their hypothesis, `(D,)`; 0 if there is one each."""
    k, m, _ = samples.shape
    return np.square(samples - samples.mean(axis=1, keepdims=True)).sum(axis=(0, 1)) / max(k * (m - 1), 1)


def _apart(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared distance of two hypotheses, on average, `(D,)`."""
    k = len(means)
    return 2 * np.square(means - means.mean(axis=0)).sum(axis=0) / (k - 1)
