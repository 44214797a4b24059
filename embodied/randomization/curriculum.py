"""Curricula of randomization: which part of each distribution worlds are sampled from, by what they have achieved.

All of them work on quantiles: a number in [0, 1] for each thing that differs, whatever its distribution.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import betaincinv, betaln, digamma

from embodied.randomization.distributions import EDGE
from embodied.randomization.spec import ADR, DORAEMON
from embodied.seeding import WorldStreams

NO_PROBE = -1
CENTRAL = 0.9  # share of draws that a window of a bell-shaped distribution holds
CENTRAL_SPREADS = 1.645  # half that window, in standard deviations of a normal distribution
NARROWEST = 500.0  # the largest shape of a beta distribution
SLACK = 1.05  # by which the search may miss its bounds
Rows = NDArray[np.intp]


class Curriculum(ABC):
    """Draws of K numbers in N worlds, as quantiles, and what is learned from how episodes end."""

    @property
    @abstractmethod
    def window(self) -> NDArray[np.float64]:
        """Between which quantiles numbers are sampled, or nearly all of them are, `(K, 2)`."""

    @abstractmethod
    def begin(self, u: NDArray[np.float64], worlds: Rows) -> NDArray[np.float64]:
        """Returns quantiles for new episodes from uniforms `u (n, K)`."""

    @abstractmethod
    def spread(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns quantiles for draws within an episode, `(n, K)`."""

    @abstractmethod
    def forget(self, columns: slice, worlds: Rows) -> None:
        """Ignores success in `worlds`, whose values are not those that `begin` sampled."""

    @abstractmethod
    def learn(self, ended: NDArray[np.bool_], success: NDArray[np.bool_]) -> None:
        """Takes in which worlds have `ended` their episode and which with `success`, `(N,)` each."""


def curriculum_of(declared: ADR | DORAEMON | None, streams: WorldStreams, columns: int) -> Curriculum | None:
    """What carries out a declared curriculum for so many numbers; None for none."""
    if declared is None or not columns:
        return None
    if isinstance(declared, ADR):
        return ADRCurriculum(declared, streams, columns)
    return DORAEMONCurriculum(declared, streams.n, columns)


class ADRCurriculum(Curriculum):
    """Automatic domain randomization (Akkaya et al. 2019): see `ADR`."""

    def __init__(self, how: ADR, streams: WorldStreams, columns: int) -> None:
        self._how = how
        self._window = np.tile([0.5 - how.begin / 2, 0.5 + how.begin / 2], (columns, 1))
        self._random = streams.stream(("randomise/probe", 2))
        self._probing = np.full(streams.n, NO_PROBE)  # 2 · column + side
        self._tries, self._wins = np.zeros((2, 2 * columns))

    @property
    def window(self) -> NDArray[np.float64]:
        return self._window

    def begin(self, u: NDArray[np.float64], worlds: Rows) -> NDArray[np.float64]:
        quantiles = self.spread(u)
        sample = self._random.uniform(0, worlds=worlds)
        which = np.minimum((sample[:, 1] * u.shape[1] * 2).astype(int), 2 * u.shape[1] - 1)
        probes = sample[:, 0] < self._how.boundary_share
        self._probing[worlds] = np.where(probes, which, NO_PROBE)
        rows = np.flatnonzero(probes)
        column, side = np.divmod(which[rows], 2)
        quantiles[rows, column] = np.minimum(self._window[column, side], 1 - EDGE)
        return quantiles

    def spread(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        low, high = self._window.T
        return low + (high - low) * u

    def forget(self, columns: slice, worlds: Rows) -> None:
        column = self._probing[worlds] // 2
        mine = (self._probing[worlds] >= 0) & (column >= columns.start) & (column < columns.stop)
        self._probing[worlds[mine]] = NO_PROBE

    def learn(self, ended: NDArray[np.bool_], success: NDArray[np.bool_]) -> None:
        probes = ended & (self._probing >= 0)
        np.add.at(self._tries, self._probing[probes], 1)
        np.add.at(self._wins, self._probing[probes & success], 1)
        for probe in np.flatnonzero(self._tries >= self._how.episodes):
            self._move(*divmod(int(probe), 2), self._wins[probe] / self._tries[probe])
            self._tries[probe] = self._wins[probe] = 0

    def _move(self, column: int, side: int, success: float) -> None:
        """Moves one quantile outwards or back, never across where it began."""
        how = self._how
        outwards = how.step if success >= how.upper_threshold else -how.step if success < how.lower_threshold else 0.0
        reach = abs(self._window[column, side] - 0.5)
        reach = float(np.clip(reach + outwards, how.begin / 2, 0.5))
        self._window[column, side] = 0.5 + (reach if side else -reach)


class DORAEMONCurriculum(Curriculum):
    """Entropy maximized under a constraint on success (DORAEMON; Tiboni et al. 2024): see `DORAEMON`.

    Quantiles are sampled from beta distributions, which are the declared distributions themselves when both shapes are
    one. What success would be under other shapes is estimated by importance sampling from the episodes since the last
    step.

    Attributes:
        shapes: of each number's beta distribution, `(K, 2)`.
    """

    def __init__(self, how: DORAEMON, n: int, columns: int) -> None:
        self._how = how
        begin = ((CENTRAL_SPREADS / how.begin) ** 2 - 1) / 2
        self.shapes = np.full((columns, 2), float(np.clip(begin, 1.0, NARROWEST)))
        self._at = np.full((n, columns), np.nan)  # quantiles of the running episodes; NaN where not sampled by these
        self._density = np.zeros((n, columns))  # logarithms of what they were sampled with
        self._seen = np.zeros((how.episodes + n, columns))
        self._seen_density = np.zeros_like(self._seen)
        self._succeeded = np.zeros(len(self._seen))
        self._count = 0

    @property
    def window(self) -> NDArray[np.float64]:
        ends = np.array([(1 - CENTRAL) / 2, (1 + CENTRAL) / 2])
        return betaincinv(self.shapes[:, :1], self.shapes[:, 1:], ends)

    def begin(self, u: NDArray[np.float64], worlds: Rows) -> NDArray[np.float64]:
        quantiles = self.spread(u)
        self._at[worlds] = quantiles
        self._density[worlds] = log_density(self.shapes, quantiles)
        return quantiles

    def spread(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip(betaincinv(self.shapes[:, 0], self.shapes[:, 1], u), EDGE, 1 - EDGE)

    def forget(self, columns: slice, worlds: Rows) -> None:
        self._at[worlds, columns] = np.nan

    def learn(self, ended: NDArray[np.bool_], success: NDArray[np.bool_]) -> None:
        worlds = np.flatnonzero(ended & ~np.isnan(self._at).all(axis=1))
        rows = slice(self._count, self._count + len(worlds))
        self._seen[rows], self._seen_density[rows] = self._at[worlds], self._density[worlds]
        self._succeeded[rows] = success[worlds]
        self._at[worlds] = np.nan
        self._count += len(worlds)
        if self._count >= self._how.episodes:
            self.shapes = self._better()
            self._count = 0

    def expected_success(self, shapes: NDArray[np.float64]) -> float:
        """The share of episodes that would succeed under other shapes `(K, 2)`."""
        seen = slice(self._count)
        ahead = np.nansum(log_density(shapes, self._seen[seen]) - self._seen_density[seen], axis=1)
        return float(np.mean(np.exp(np.minimum(ahead, 50.0)) * self._succeeded[seen]))

    def _better(self) -> NDArray[np.float64]:
        """The shapes of most entropy within a step from these that succeed often enough; or the most successful."""
        enough = self.expected_success(self.shapes) >= self._how.success
        if enough:
            found = self._search(lambda shapes: -entropy(shapes), self._how.success)
        else:
            found = self._search(lambda shapes: -self.expected_success(shapes), None)
        return self.shapes if found is None else found

    def _search(self, cost: Callable[[NDArray], float], success: float | None) -> NDArray[np.float64] | None:
        """Shapes of least cost within a step from these; None if none better was found."""
        tried = ~np.isnan(self._seen[: self._count]).all(axis=0)  # nothing is known of the others: they stay

        def shapes_of(x: NDArray) -> NDArray:
            shapes = self.shapes.copy()
            shapes[tried] = np.exp(x).reshape(-1, 2)
            return shapes

        near = {"type": "ineq", "fun": lambda x: self._how.step - divergence(shapes_of(x), self.shapes)}
        often = {"type": "ineq", "fun": lambda x: self.expected_success(shapes_of(x)) - (success or 0.0)}
        found = minimize(
            lambda x: cost(shapes_of(x)),
            np.log(self.shapes[tried]).reshape(-1),
            method="SLSQP",
            bounds=[(0.0, math.log(NARROWEST))] * 2 * int(tried.sum()),
            constraints=[near, often] if success is not None else [near],
            options={"maxiter": 60},
        )
        shapes = shapes_of(found.x)
        kept = divergence(shapes, self.shapes) <= SLACK * self._how.step
        kept &= success is None or self.expected_success(shapes) >= success / SLACK
        return shapes if kept and np.isfinite(shapes).all() and cost(shapes) < cost(self.shapes) else None


def log_density(shapes: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of beta densities of shapes `(K, 2)` at `x (n, K)`."""
    a, b = shapes.T
    return (a - 1) * np.log(x) + (b - 1) * np.log1p(-x) - betaln(a, b)


def entropy(shapes: NDArray[np.float64]) -> float:
    """Differential entropy of independent beta distributions, `(K, 2)` [nats]; 0 for uniform ones, else less."""
    a, b = shapes.T
    each = betaln(a, b) - (a - 1) * digamma(a) - (b - 1) * digamma(b) + (a + b - 2) * digamma(a + b)
    return float(each.sum())


def divergence(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Kullback–Leibler divergence of independent beta distributions from others, `(K, 2)` each [nats]."""
    (a, b), (c, d) = one.T, other.T
    each = betaln(c, d) - betaln(a, b) + (a - c) * digamma(a) + (b - d) * digamma(b) + (c - a + d - b) * digamma(a + b)
    return float(each.sum())
