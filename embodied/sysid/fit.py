"""From recordings to parameters.

Nonlinear least squares by `mujoco.minimize` over batched simulations. Standard errors are those of a misspecified
model: residuals that belong together in time count as one (the sandwich of White 1980, clustered), because the
residuals of a real robot are never white.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from embodied.errors import OptionError, RecordingError
from embodied.sysid.plant import Plant
from embodied.sysid.posterior import Fit
from embodied.sysid.recording import Recording
from embodied.sysid.residuals import Free, Residuals, clustered, jackknifed, residuals_of
from embodied.sysid.search import Progress, Watch, search_from, starts_of
from embodied.sysid.simulation import AIM, BACKLASH, LATENCY, OFFSET

STEPS = (1e-2, 1e-3)  # of finite differences, in shares of a range: across the kinks of friction, then exact
INSIDE = 0.1  # share of its range by which a parameter begins within it: at its very end it may change nothing
USUAL_RANGES = {
    LATENCY: (0.0, 0.1),
    OFFSET: (-0.3, 0.3),
    AIM: (-0.2, 0.2),
    BACKLASH: (0.0, 0.1),
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
    if (count := int(residuals.counted.sum())) <= len(free):
        raise RecordingError(f"{count} measured numbers cannot tell {len(free)} parameters")
    if budget_s is not None and not budget_s > 0:
        raise OptionError(f"a budget is a time above 0 s, not {budget_s:g}")
    watch = Watch(iterations, max(starts, 1) + len(steps) - 1, count, budget_s, progress)
    low, high, start = (np.array([getattr(f, name) for f in free]) for name in ("low", "high", "start"))
    begins = starts_of(residuals, low, high, start, starts, seed)
    estimate, costs = search_from(residuals, low, high, begins, steps, watch)
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

    Where an estimate would move further without one of the recordings (or quarters of a single one), or without one of
    the joints that share it, than its half seconds say, its standard error is what they say: a model that is wrong is
    wrong in another way for every motion and every joint.
    """
    J, errors = jacobian(residuals, low, high, at, step), residuals.vectors(at[None])[0]
    bread = np.linalg.pinv(J.T @ J, rcond=1e-12, hermitian=True)
    clusters = int(residuals.blocks.max()) + 1
    shares = clustered(J * errors[:, None], bread, residuals.blocks) * clusters / max(clusters - len(at), 1)
    between = jackknifed(J, errors, residuals.regimes)
    tied = np.flatnonzero([len(f.targets) > 1 for f in residuals.free])
    if len(tied):
        between[np.ix_(tied, tied)] += jackknifed(J[:, tied], errors, residuals.joints)
    wider = np.sqrt(np.maximum(np.diag(between) / np.maximum(np.diag(shares), 1e-300), 1.0))
    shares *= np.outer(wider, wider)
    width = high - low
    unseen = np.linalg.norm(J, axis=0) == 0  # what changes nothing can be anything
    shares[unseen, unseen] = 1.0
    return shares * np.outer(width, width), clusters


def _mean_errors(residuals: Residuals, values: NDArray, recordings: int) -> NDArray:
    """Mean absolute error of each recording and column, `(R, J)`."""
    errors = residuals.errors(values[None])
    origin = np.array(residuals.origin)
    by_recording = [[errors[i][0] for i in np.flatnonzero(origin == r)] for r in range(recordings)]
    return np.array([np.nanmean(np.abs(np.concatenate(some)), axis=0) for some in by_recording])
