"""Least squares by `mujoco.minimize`, from several places, within a time."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from mujoco import minimize
from numpy.typing import NDArray
from scipy.stats import qmc

from embodied.sysid.posterior import agreed
from embodied.sysid.residuals import Residuals

CANDIDATES = 24  # tried at once for every start beyond the first


@dataclass(frozen=True)
class Progress:
    """How far a fit has come.

    Attributes:
        search: which one runs, from 0.
        searches: how many there are at most.
        iteration: how many of its iterations are done.
        error: root mean square error at the last of them.
        elapsed_s: since the first began [s].
        left_s: at most, if iterations go on taking as long; it ends sooner where searches do [s].
    """

    search: int
    searches: int
    iteration: int
    error: float
    elapsed_s: float
    left_s: float


class _Spent(Exception):
    """The time of a fit is spent."""


@dataclass
class Watch:
    """Tells of progress, and stops a search once the time is spent."""

    iterations: int
    searches: int
    count: int
    budget_s: float | None
    progress: Callable[[Progress], None] | None
    began: float = field(default_factory=time.monotonic)
    search: int = -1
    done: int = 0

    @property
    def spent(self) -> bool:
        """Whether there is no time left."""
        return self.budget_s is not None and time.monotonic() - self.began >= self.budget_s

    def __call__(self, trace: list[minimize.IterLog]) -> None:
        self.done += 1
        elapsed = time.monotonic() - self.began
        later = self.iterations * (self.searches - self.search) - len(trace)
        left = max(later, 0) * elapsed / self.done
        if self.progress is not None:
            left = left if self.budget_s is None else min(left, max(self.budget_s - elapsed, 0.0))
            error = float(np.sqrt(2 * trace[-1].objective / self.count))
            self.progress(Progress(self.search, self.searches, len(trace), error, elapsed, left))
        if self.spent:
            raise _Spent


def starts_of(
    residuals: Residuals, low: NDArray, high: NDArray, start: NDArray, count: int, seed: int
) -> list[NDArray]:
    """Where to begin: the model as it is, then the best of candidates spread over the ranges."""
    if count < 2:
        return [start]
    spread = qmc.scale(qmc.LatinHypercube(len(low), rng=seed).random(CANDIDATES * (count - 1)), low, high)
    costs = np.concatenate([np.mean(residuals.vectors(some) ** 2, 1) for some in np.array_split(spread, count - 1)])
    return [start, *spread[np.argsort(costs)[: count - 1]]]


def search_from(
    residuals: Residuals, low: NDArray, high: NDArray, begins: list[NDArray], steps: Sequence[float], watch: Watch
) -> tuple[NDArray, list[float]]:
    """The best of searches, made with ever narrower steps, and the errors of those that began elsewhere."""
    ends: list[NDArray] = []
    costs: list[float] = []
    for begin in begins:
        ends.append(_search(residuals, low, high, begin, steps[0], watch))
        costs.append(float(np.sqrt(np.mean(residuals.vectors(ends[-1][None])[0] ** 2))))
        if watch.spent or agreed(costs):
            break
    estimate = ends[int(np.argmin(costs))]
    watch.searches = len(ends) + len(steps) - 1
    for step in steps[1:]:
        if not watch.spent:
            estimate = _better(residuals, estimate, _search(residuals, low, high, estimate, step, watch))
    return estimate, costs


def _better(residuals: Residuals, one: NDArray, other: NDArray) -> NDArray:
    """Whichever misses less."""
    costs = np.mean(residuals.vectors(np.stack([one, other])) ** 2, axis=1)
    return one if costs[0] <= costs[1] else other


def _search(residuals: Residuals, low: NDArray, high: NDArray, start: NDArray, step: float, watch: Watch) -> NDArray:
    """Least squares from one start, in shares of the ranges; as far as it came where its time was spent."""
    width, reached = high - low, (start - low) / (high - low)
    watch.search += 1

    def on_the_way(trace: list[minimize.IterLog]) -> None:
        nonlocal reached
        reached = trace[-1].candidate
        watch(trace)

    def of_shares(shares_PK: NDArray) -> NDArray:
        return residuals.vectors(low + width * np.clip(shares_PK, 0, 1).T).T

    ones = np.ones(len(low))
    with contextlib.suppress(_Spent):
        reached, _ = minimize.least_squares(
            reached,
            of_shares,
            bounds=[0 * ones, ones],
            eps=step,
            max_iter=watch.iterations,
            xtol=1e-6,
            verbose=minimize.Verbosity.SILENT,
            output=io.StringIO(),
            iter_callback=on_the_way,
        )
    return low + width * np.clip(np.ravel(reached), 0, 1)
