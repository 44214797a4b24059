"""From recordings to parameters.

Nonlinear least squares by `mujoco.minimize` over batched simulations. Standard errors are those of a misspecified
model: residuals that belong together in time count as one (the sandwich of White 1980, clustered), because the
residuals of a real robot are never white.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from mujoco import minimize
from numpy.typing import NDArray
from scipy.stats import qmc

from embodied.errors import OptionError, RecordingError
from embodied.sysid.plant import Plant
from embodied.sysid.posterior import Fit, agreed
from embodied.sysid.recording import Recording
from embodied.sysid.simulation import AIM, LATENCY, OFFSET

QUARTERS = 4  # parts of a single recording that are compared with each other
BLOCK_S = 0.5  # residuals closer in time than that are taken for one
STEPS = (1e-2, 1e-3)  # of finite differences, in shares of a range: across the kinks of friction, then exact
INSIDE = 0.1  # share of its range by which a parameter begins within it: at its very end it may change nothing
CANDIDATES = 24  # tried at once for every start beyond the first
USUAL_RANGES = {
    LATENCY: (0.0, 0.1),
    OFFSET: (-0.3, 0.3),
    AIM: (-0.2, 0.2),
    "stribeck": (0.0, 0.5),
    "load_friction": (0.0, 0.8),
    "back_load_friction": (0.0, 0.8),
}


@dataclass(frozen=True)
class Parameter:
    """What is to be found.

    Attributes:
        pattern: such as `dof_damping[*]`; every match is a parameter of its own.
        low, high: where it can be (None: a tenth of, and ten times, what the model has).
        tied: all matches are one number.
        start: where the search begins (None: at what the model has).
    """

    pattern: str
    low: float | None = None
    high: float | None = None
    tied: bool = False
    start: float | None = None


@dataclass(frozen=True)
class Free:
    """A number to be found, and the parameters of the plant that it stands for."""

    name: str
    targets: tuple[str, ...]
    start: float
    low: float
    high: float


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
class _Watch:
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


@dataclass(frozen=True)
class Residuals:
    """How the simulation misses recordings, for K candidates at once; what is not measured is not missed.

    Args:
        pieces: parts of recordings, simulated side by side.
        origin: which recording each is of.
        settle_s: left out at the beginning of each, whose state is not known exactly [s].
        remove_offset: a constant offset of every column of a recording is not counted.
        outlier: errors beyond it count by their size, not by its square; None for none.
    """

    plant: Plant
    free: tuple[Free, ...]
    pieces: tuple[Recording, ...]
    origin: tuple[int, ...]
    settle_s: float
    remove_offset: bool
    outlier: float | None = None

    def errors(self, candidates: NDArray) -> list[NDArray]:
        """Simulated minus measured, `(K, T, J)` of each piece; NaN where nothing was measured.

        Args:
            candidates: `(K, P)`.
        """
        values = {name: column for f, column in zip(self.free, candidates.T, strict=True) for name in f.targets}
        simulated = self.plant.simulate(values, self.pieces)
        errors = [s - self.plant.measured(piece) for s, piece in zip(simulated, self.pieces, strict=True)]
        for error, piece in zip(errors, self.pieces, strict=True):
            error[:, piece.time_s - piece.time_s[0] < self.settle_s] = np.nan
        return self._centered(errors) if self.remove_offset else errors

    def vectors(self, candidates: NDArray) -> NDArray:
        """All errors in a row, such that half the sum of their squares is to be least, `(K, M)`."""
        errors = np.concatenate([e.reshape(len(e), -1) for e in self.errors(candidates)], axis=1)[:, self.counted]
        return errors if self.outlier is None else _blunted(errors, self.outlier)

    @cached_property
    def counted(self) -> NDArray[np.bool_]:
        """Which of the errors count."""
        parts = []
        for piece in self.pieces:
            known = np.isfinite(self.plant.measured(piece))
            known[piece.time_s - piece.time_s[0] < self.settle_s] = False
            parts.append(known.ravel())
        return np.concatenate(parts)

    @cached_property
    def blocks(self) -> NDArray[np.intp]:
        """To which stretch of time each counted error belongs."""
        parts, first = [], 0
        for piece in self.pieces:
            block = ((piece.time_s - piece.time_s[0]) / BLOCK_S).astype(int)
            parts.append(np.repeat(first + block, len(self.plant.columns)))
            first += int(block.max()) + 1
        _, numbers = np.unique(np.concatenate(parts)[self.counted], return_inverse=True)
        return numbers

    @cached_property
    def regimes(self) -> NDArray[np.intp]:
        """To which recording each counted error belongs, or to which quarter where there is one recording only."""
        parts = []
        alone = len(set(self.origin)) == 1
        begin, end = self.pieces[0].time_s[0], self.pieces[-1].time_s[-1]
        for piece, origin in zip(self.pieces, self.origin, strict=True):
            share = (piece.time_s - begin) / max(end - begin, 1e-9)
            which = np.clip((QUARTERS * share).astype(int), 0, QUARTERS - 1) if alone else np.full(len(piece), origin)
            parts.append(np.repeat(which, len(self.plant.columns)))
        _, numbers = np.unique(np.concatenate(parts)[self.counted], return_inverse=True)
        return numbers

    def _centered(self, errors: list[NDArray]) -> list[NDArray]:
        for recording in set(self.origin):
            mine = [e for e, origin in zip(errors, self.origin, strict=True) if origin == recording]
            mean = np.nanmean(np.concatenate(mine, axis=1), axis=1, keepdims=True)
            for error in mine:
                error -= mean
        return errors


def fit(
    plant: Plant,
    recordings: Sequence[Recording],
    parameters: Iterable[str | Parameter],
    *,
    segment_s: float | None = None,
    settle_s: float = 0.0,
    remove_offset: bool = False,
    outlier: float | None = None,
    starts: int = 1,
    seed: int = 0,
    iterations: int = 40,
    steps: Sequence[float] = STEPS,
    budget_s: float | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Fit:
    """Finds the parameters under which the plant does what was recorded.

    Args:
        parameters: patterns, or patterns with ranges.
        segment_s: recordings are cut into pieces of this length, each beginning where the robot was [s].
        settle_s: left out at the beginning of each piece [s].
        remove_offset: whether a constant offset of each column of each recording is not to be explained.
        outlier: errors beyond this count by their size, not by its square (pseudo-Huber loss); for logs with spikes.
        starts: from how many places the search begins at most, until two searches agree; from the second on, from the
            best of a few at random.
        iterations: at most, of each search.
        steps: of finite differences, in shares of a range, for one search after the other: wide where the simulation
            has kinks or is chaotic (contacts), as narrow as it allows in the end. Intervals come from the first.
        budget_s: no iteration begins after that; the best that was found by then is the result, with its intervals,
            and has converged only if two searches had agreed [s].
        progress: is told after every iteration.

    Raises:
        RecordingError: nothing was recorded, or fewer numbers than are to be found.
        OptionError: a parameter without a range, or no parameters.
        UnknownNameError: a parameter that the plant does not have.
    """
    free = resolve(plant, parameters)
    if outlier is not None and not outlier > 0:
        raise OptionError(f"outlier must be positive, not {outlier}")
    if not steps or not all(0 < step < 1 for step in steps):
        raise OptionError(f"steps are shares of a range, not {tuple(steps)}")
    residuals = replace(residuals_of(plant, free, recordings, segment_s, settle_s, remove_offset), outlier=outlier)
    count = int(residuals.counted.sum())
    if count <= len(free):
        raise RecordingError(f"{count} measured numbers cannot tell {len(free)} parameters")
    if budget_s is not None and not budget_s > 0:
        raise OptionError(f"a budget is a time above 0 s, not {budget_s:g}")
    watch = _Watch(iterations, max(starts, 1) + len(steps) - 1, count, budget_s, progress)
    low, high, start = (np.array([getattr(f, name) for f in free]) for name in ("low", "high", "start"))
    estimate, costs = _searched(residuals, low, high, _starts(residuals, low, high, start, starts, seed), steps, watch)
    covariance, clusters = _sandwich(residuals, low, high, estimate, steps[0])
    before, after = (_mean_errors(residuals, values, len(recordings)) for values in (start, estimate))
    names, targets = tuple(f.name for f in free), tuple(f.targets for f in free)
    errors = np.stack([before, after], 1)
    return Fit(
        names, targets, estimate, covariance, start, low, high, clusters, errors, tuple(plant.columns), tuple(costs)
    )


def resolve(plant: Plant, parameters: Iterable[str | Parameter]) -> tuple[Free, ...]:
    """What patterns mean in a plant, with ranges; a parameter that is named twice is what it was called last.

    Raises:
        OptionError: a parameter without a range, or no parameters.
        UnknownNameError: a parameter that the plant does not have.
    """
    free: dict[str, Free] = {}
    for one in parameters:
        parameter = Parameter(one) if isinstance(one, str) else one
        names = plant.expand(parameter.pattern)
        for group in [names] if parameter.tied else [[name] for name in names]:
            found = _free(plant, parameter, tuple(group))
            free[found.name] = found
    if not free:
        raise OptionError("there is nothing to find: name at least one parameter")
    return tuple(free.values())


def _free(plant: Plant, parameter: Parameter, targets: tuple[str, ...]) -> Free:
    start = parameter.start
    if start is None:
        start = float(np.mean([plant.start(name) for name in targets]))
    name = targets[0] if len(targets) == 1 else parameter.pattern
    usual = USUAL_RANGES.get(targets[0].partition("[")[0])
    if usual is None and start:
        usual = (min(start / 10, start * 10), max(start / 10, start * 10))
    low = parameter.low if parameter.low is not None else usual[0] if usual else None
    high = parameter.high if parameter.high is not None else usual[1] if usual else None
    if low is None or high is None:
        raise OptionError(f"{name} is {start:g} in the model: say between which values it can be")
    if not (np.isfinite(low) and np.isfinite(high)):
        raise OptionError(f"{name}: a range has two ends, not {low:g} and {high:g}")
    if not low < high:
        raise OptionError(f"{name}: {low:g} is not below {high:g}")
    inside = float(np.clip(start, low + INSIDE * (high - low), high - INSIDE * (high - low)))
    return Free(name, targets, inside, low, high)


def residuals_of(
    plant: Plant,
    free: tuple[Free, ...],
    recordings: Sequence[Recording],
    segment_s: float | None,
    settle_s: float,
    remove_offset: bool,
) -> Residuals:
    """The residuals of recordings, cut into pieces."""
    if not recordings:
        raise RecordingError("there are no recordings to fit to")
    pieces, origin = [], []
    for number, recording in enumerate(recordings):
        for piece in segments(recording, segment_s):
            pieces.append(piece)
            origin.append(number)
    return Residuals(plant, free, tuple(pieces), tuple(origin), settle_s, remove_offset)


def segments(recording: Recording, segment_s: float | None) -> list[Recording]:
    """A recording cut into pieces of equal length, about `segment_s` (None: as it is)."""
    if segment_s is None:
        return [recording]
    if not segment_s > 0:
        raise OptionError(f"pieces of a recording need a length above 0 s, not {segment_s}")
    span = float(recording.time_s[-1] - recording.time_s[0])
    count = max(1, round(span / segment_s))
    edges = np.linspace(0, span + 1e-9, count + 1)
    return [recording.part(a, b) for a, b in pairwise(edges)]


def _blunted(errors: NDArray, outlier: float) -> NDArray:
    """Errors whose squares grow as their size does beyond `outlier`."""
    return np.sign(errors) * outlier * np.sqrt(2 * (np.sqrt(1 + (errors / outlier) ** 2) - 1))


def _starts(residuals: Residuals, low: NDArray, high: NDArray, start: NDArray, count: int, seed: int) -> list[NDArray]:
    """Where to begin: the model as it is, then the best of candidates spread over the ranges."""
    if count < 2:
        return [start]
    spread = qmc.scale(qmc.LatinHypercube(len(low), rng=seed).random(CANDIDATES * (count - 1)), low, high)
    costs = np.concatenate([np.mean(residuals.vectors(some) ** 2, 1) for some in np.array_split(spread, count - 1)])
    return [start, *spread[np.argsort(costs)[: count - 1]]]


def _better(residuals: Residuals, one: NDArray, other: NDArray) -> NDArray:
    """Whichever misses less."""
    costs = np.mean(residuals.vectors(np.stack([one, other])) ** 2, axis=1)
    return one if costs[0] <= costs[1] else other


def _searched(
    residuals: Residuals, low: NDArray, high: NDArray, begins: list[NDArray], steps: Sequence[float], watch: _Watch
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


def _search(residuals: Residuals, low: NDArray, high: NDArray, start: NDArray, step: float, watch: _Watch) -> NDArray:
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


def jacobian(residuals: Residuals, low: NDArray, high: NDArray, at: NDArray, step: float = STEPS[0]) -> NDArray:
    """Derivatives of all errors by the shares of the ranges, by central differences, `(M, P)`."""
    width = high - low
    up, down = np.minimum(at + step * width, high), np.maximum(at - step * width, low)
    P = len(at)
    candidates = np.tile(at, (2 * P, 1))
    candidates[np.arange(P), np.arange(P)] = up
    candidates[P + np.arange(P), np.arange(P)] = down
    errors = residuals.vectors(candidates)
    return ((errors[:P] - errors[P:]) / ((up - down) / width)[:, None]).T


def _sandwich(residuals: Residuals, low: NDArray, high: NDArray, at: NDArray, step: float) -> tuple[NDArray, int]:
    """The covariance of the estimate, `(P, P)`, and from how many clusters.

    Where recordings (or quarters of a single one) pull an estimate further apart than their half seconds do, its
    standard error is what they say: a model that is wrong is wrong in another way for every motion.
    """
    J = jacobian(residuals, low, high, at, step)
    scores = J * residuals.vectors(at[None])[0][:, None]
    bread = np.linalg.pinv(J.T @ J, rcond=1e-12, hermitian=True)
    clusters, regimes = int(residuals.blocks.max()) + 1, int(residuals.regimes.max()) + 1
    shares = _clustered(scores, bread, residuals.blocks) * clusters / max(clusters - len(at), 1)
    between = _clustered(scores, bread, residuals.regimes) * regimes / max(regimes - 1, 1)
    wider = np.sqrt(np.maximum(np.diag(between) / np.maximum(np.diag(shares), 1e-300), 1.0))
    shares *= np.outer(wider, wider)
    width = high - low
    unseen = np.linalg.norm(J, axis=0) == 0  # what changes nothing can be anything
    shares[unseen, unseen] = 1.0
    return shares * np.outer(width, width), clusters


def _clustered(scores: NDArray, bread: NDArray, cluster: NDArray[np.intp]) -> NDArray:
    """The sandwich of scores `(M, P)` that are added up within each cluster `(M,)`, `(P, P)`."""
    added = np.zeros((int(cluster.max()) + 1, scores.shape[1]))
    np.add.at(added, cluster, scores)
    return bread @ (added.T @ added) @ bread


def _mean_errors(residuals: Residuals, values: NDArray, recordings: int) -> NDArray:
    """Mean absolute error of each recording and column, `(R, J)`."""
    errors = residuals.errors(values[None])
    origin = np.array(residuals.origin)
    by_recording = [[errors[i][0] for i in np.flatnonzero(origin == r)] for r in range(recordings)]
    return np.array([np.nanmean(np.abs(np.concatenate(some)), axis=0) for some in by_recording])
