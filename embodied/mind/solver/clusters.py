"""Points put together by where they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

STEPS = 4  # towards the means of clusters


def clusters(points: NDArray[np.float64], most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """The cluster of each point `(N, d)`: one for each that differs, if these are few; else the nearest of k means."""
    distinct = np.unique(np.round(points @ np.linspace(1.0, 2.0, points.shape[1]), 6), return_inverse=True)
    if len(distinct[0]) <= most:
        return distinct[1].reshape(-1)
    nearest = _squared_distances(points, _apart(points, most, rng)).argmin(axis=1)
    for _ in range(STEPS):
        _, nearest = np.unique(nearest, return_inverse=True)
        means = sum_by(nearest, points) / np.bincount(nearest)[:, None]
        nearest = _squared_distances(points, means).argmin(axis=1)
    return np.unique(nearest, return_inverse=True)[1]


def sum_by(cluster: NDArray[np.intp], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of the rows `(N, d)` of each cluster, `(k, d)`."""
    which = sparse.csr_array((np.ones(len(cluster)), (cluster, np.arange(len(cluster)))))
    return which @ rows


def _apart(points: NDArray[np.float64], k: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Chooses `k` points, the likelier the farther from those before (k-means++; Arthur & Vassilvitskii 2007)."""
    chosen = [int(rng.integers(len(points)))]
    near = _squared_distances(points, points[chosen])[:, 0]
    while len(chosen) < k and near.sum() > 0:
        chosen.append(int(rng.choice(len(points), p=near / near.sum())))
        near = np.minimum(near, _squared_distances(points, points[chosen[-1:]])[:, 0])
    return points[chosen]


def _squared_distances(points: NDArray[np.float64], centers: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(N, k)`."""
    products = (points**2).sum(axis=1)[:, None] - 2 * points @ centers.T + (centers**2).sum(axis=1)
    return np.maximum(products, 0.0)
