"""Observations of a listed problem, taken together where the same follows from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from embodied.mind.problem import Simulator
from embodied.mind.states import StateSet

DRAWS = 2048  # observations of an action, about, in all
MOST_DISTINCT = 1024  # of observations that are taken for discrete
COMPARISONS = 8_000_000  # of observations with states, about
GROUPS = 32  # into which observations are put of which no two are alike
LANDMARKS = 512  # states by which it is judged whether observations tell the same
CHUNK = 200_000  # comparisons at once
LLOYD = 8  # steps towards the means of clusters
ROUNDS = 4  # of drawing, before rare observations are left out


@dataclass(frozen=True)
class ObservationGroups:
    """Groups of observations after one action.

    Attributes:
        probabilities: of each group in each state after the action, `(G, M)`; columns of states that cannot follow
            are empty.
        exact: whether nothing is lost: observations of a group all cause the same posterior.
    """

    probabilities: sparse.csr_array
    exact: bool


def observation_groups(
    simulator: Simulator, listed: StateSet, action: int, follows: sparse.csr_array, rng: np.random.Generator
) -> ObservationGroups:
    """Groups what can be observed after an action: exactly where there is little to observe, else by likeness.

    A policy that sees groups knows less than one that sees what is in them, so what it earns is no more than can be
    earned.

    Args:
        follows: probabilities of states after the action, `(M, M)`.
    """
    m = len(listed.states)
    after = np.unique(follows.indices)
    if not len(after):
        return ObservationGroups(sparse.csr_array((0, m)), True)
    draw = partial(_draw, simulator, listed, action, np.flatnonzero(np.diff(follows.indptr)), rng)
    drawn, listing = draw(), _Listing(simulator, listed, action, after)
    told = listing.all_of(drawn, draw)
    exact = told is not None
    if told is None:
        told = listing.alike(drawn, rng)
    unmet = told.sum(axis=0) < 1e-9
    if unmet.any():
        told = np.vstack([told, unmet])  # there, only what has not been met yet is observed
    told[told < 1e-9] = 0.0
    told /= told.sum(axis=0)
    group, column = np.nonzero(told)
    shape = (len(told), m)
    return ObservationGroups(sparse.coo_array((told[group, column], (group, after[column])), shape).tocsr(), exact)


def _draw(simulator: Simulator, listed: StateSet, action: int, before: NDArray, rng: np.random.Generator) -> NDArray:
    """Observations after an action, in random order."""
    n = -(-DRAWS // len(before))
    rows = rng.permutation(np.repeat(before, n))
    _, observed, _, done = simulator.step(listed.states[rows], np.full(len(rows), action), rng)
    return observed[~done]


class _Listing:
    """How likely observations are in the states after an action."""

    def __init__(self, simulator: Simulator, listed: StateSet, action: int, after: NDArray) -> None:
        self._simulator, self._states, self._action = simulator, listed.states[after], action

    def all_of(self, drawn: NDArray, draw_more: Callable[[], NDArray]) -> NDArray[np.float64] | None:
        """Probabilities of all groups in all states `(G, n)`, if the observations can be listed."""
        distinct = np.unique(drawn, axis=0)
        for _ in range(ROUNDS):
            if len(distinct) > min(MOST_DISTINCT, COMPARISONS / len(self._states)):
                return None
            with np.errstate(over="ignore"):
                density = np.exp(self.log_likelihood(distinct))
            total = density.sum(axis=0)
            if (total > 1 + 1e-6).any():
                return None
            if (total > 1 - 1e-6).all():
                return _same_posterior(density)
            distinct = np.unique(np.concatenate([distinct, draw_more()]), axis=0)
        return _same_posterior(density) if (total > 0.98).all() else None

    def alike(self, drawn: NDArray, rng: np.random.Generator) -> NDArray[np.float64]:
        """Probabilities of groups of observations that tell nearly the same, in all states, `(G, n)`.

        Observations are put together by what would be believed after them if all states were equally likely before
        (Hellinger's distance). Probabilities come from importance sampling: every draw counts for all states.
        """
        n = len(self._states)
        some = drawn[: max(int(COMPARISONS / n), GROUPS)][:DRAWS]
        logs = self.log_likelihood(some)
        logs = logs[np.isfinite(logs).any(axis=1)]  # what no state explains cannot be told from anything
        if not len(logs):
            return np.ones((1, n))
        share = np.exp(logs - logs.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)  # of each state, if all were equally likely: the weights of the draws
        landmarks = rng.permutation(n)[:LANDMARKS]
        group = _clusters(np.sqrt(share[:, landmarks]), rng)
        told = np.zeros((group.max() + 1, n))
        np.add.at(told, group, share)
        return told[told.sum(axis=1) > 0]

    def log_likelihood(self, observations: NDArray) -> NDArray[np.float64]:
        """ln density of each observation in each state, `(N, n)`."""
        step = max(CHUNK // len(self._states), 1)
        return np.concatenate([self._some(observations[i : i + step]) for i in range(0, len(observations), step)])

    def _some(self, observations: NDArray) -> NDArray[np.float64]:
        k = len(observations)
        states = np.broadcast_to(self._states, (k, *self._states.shape))
        return self._simulator.log_likelihood(observations, states, np.full(k, self._action))


def _same_posterior(density: NDArray) -> NDArray[np.float64]:
    """Adds up observations whose densities are multiples of each other, `(G, n)`."""
    shape = np.round(density / density.max(axis=1, keepdims=True), 9)
    _, group = np.unique(shape, axis=0, return_inverse=True)
    told = np.zeros((group.max() + 1, density.shape[1]))
    np.add.at(told, group.reshape(-1), density)
    return told


def _clusters(points: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.intp]:
    """The cluster of each point `(N, d)`: one for each that differs, if these are few; else the nearest of k means."""
    distinct, kind = np.unique(np.round(points, 6), axis=0, return_inverse=True)
    if len(distinct) <= GROUPS:
        return kind.reshape(-1)
    centers = _apart(points, GROUPS, rng)
    for _ in range(LLOYD):
        nearest = _squared_distances(points, centers).argmin(axis=1)
        taken, nearest = np.unique(nearest, return_inverse=True)
        sums = np.zeros((len(taken), points.shape[1]))
        np.add.at(sums, nearest, points)
        centers = sums / np.bincount(nearest)[:, None]
    return nearest


def _apart(points: NDArray[np.float64], k: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Chooses `k` points, the likelier the farther from those before (k-means++; Arthur & Vassilvitskii 2007)."""
    centers = points[[rng.integers(len(points))]]
    near = _squared_distances(points, centers)[:, 0]
    while len(centers) < k and near.sum() > 0:
        new = points[[rng.choice(len(points), p=near / near.sum())]]
        centers = np.concatenate([centers, new])
        near = np.minimum(near, _squared_distances(points, new)[:, 0])
    return centers


def _squared_distances(points: NDArray[np.float64], centers: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(N, k)`."""
    products = (points**2).sum(axis=1)[:, None] - 2 * points @ centers.T + (centers**2).sum(axis=1)
    return np.maximum(products, 0.0)
