"""What was found by a fit, how far it can be trusted, and the randomization that it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from embodied.errors import OptionError, RecordingError, UnknownNameError
from embodied.files import DAMAGED, one_line
from embodied.randomization.distributions import Correlated
from embodied.randomization.spec import Randomization, RandomizationTerm

CONFIDENCE = 0.95
AGREEMENT = 0.01  # share by which the errors of searches that agree may differ
LIKE = 0.95  # correlation from which two parameters are told apart no more
VAGUE = 0.5  # share of its range from which the interval of a parameter says nothing


def agreed(errors: Sequence[float]) -> bool:
    """Whether the two best of several searches came to the same root mean square error."""
    best = sorted(errors)[:2]
    return len(best) == 2 and best[1] <= (1 + AGREEMENT) * best[0]


@dataclass(frozen=True)
class Fit:
    """What was found.

    Attributes:
        names, targets: of the numbers that were found, and what each stands for in the plant.
        estimate: `(P,)`; covariance: `(P, P)`; start, low, high: `(P,)`.
        clusters: how many independent stretches of time the recordings had.
        errors: mean absolute error by recording, before and after, `(R, 2, J)`, in the unit of the signal.
        columns: what the J columns are.
    """

    names: tuple[str, ...]
    targets: tuple[tuple[str, ...], ...]
    estimate: NDArray[np.float64]
    covariance: NDArray[np.float64]
    start: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    clusters: int
    errors: NDArray[np.float64]
    columns: tuple[str, ...]
    starts: tuple[float, ...] = field(default=())  # root mean square error that each start came to

    @property
    def converged(self) -> bool:
        """Whether two searches from different places came equally near to the recordings."""
        return agreed(self.starts)

    @property
    def values(self) -> dict[str, float]:
        """Estimates by parameter of the plant, as `Plant.simulate` takes them."""
        pairs = zip(self.targets, self.estimate, strict=True)
        return {name: float(value) for targets, value in pairs for name in targets}

    @property
    def standard_error(self) -> NDArray[np.float64]:
        """`(P,)`."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def interval(self) -> NDArray[np.float64]:
        """95 % intervals, `(P, 2)`, within what was allowed."""
        half = self._quantile * self.standard_error
        ends = np.stack([self.estimate - half, self.estimate + half], 1)
        return np.clip(ends, self.low[:, None], self.high[:, None])

    @property
    def _quantile(self) -> float:
        return float(stats.t.ppf(0.5 + CONFIDENCE / 2, max(self.clusters - len(self.names), 1)))

    @property
    def at_bound(self) -> list[str]:
        """Parameters that would have gone further, had they been allowed to."""
        margin = 1e-4 * (self.high - self.low)
        out = (self.estimate <= self.low + margin) | (self.estimate >= self.high - margin)
        return [name for name, is_out in zip(self.names, out, strict=True) if is_out]

    @property
    def vague(self) -> list[str]:
        """Parameters of which the recordings say next to nothing."""
        wide = np.diff(self.interval, axis=1)[:, 0] > VAGUE * (self.high - self.low)
        return [name for name, is_wide in zip(self.names, wide, strict=True) if is_wide]

    @property
    def alike(self) -> list[tuple[str, str, float]]:
        """Pairs of parameters that the recordings cannot tell apart, with their correlation."""
        spread = np.maximum(self.standard_error, 1e-300)
        correlation = self.covariance / np.outer(spread, spread)
        pairs = zip(*np.triu_indices(len(self.names), 1), strict=True)
        return [(self.names[i], self.names[j], r) for i, j in pairs if abs(r := float(correlation[i, j])) > LIKE]

    def randomization(self, names: Mapping[str, str] | None = None, widen: float = 1.0) -> Randomization:
        """The posterior as a randomization: worlds differ as far as the recordings leave open, and as they leave it.

        Args:
            names: what found parameters are called in an environment, such as `{"dof_damping[pan]":
                "pan_servo/damping"}`; the others are left out. None: all of them, as they are called here.
            widen: factor on all standard errors.

        Raises:
            UnknownNameError: something was not found by this fit.
            OptionError: a factor that is not positive.
        """
        names = {name: name for name in self.names} if names is None else names
        for name in names:
            if name not in self.names:
                raise UnknownNameError("found parameter", name, self.names)
        if not widen > 0:
            raise OptionError(f"widen must be positive, not {widen}")
        which = [self.names.index(name) for name in names]
        covariance = widen**2 * self.covariance[np.ix_(which, which)]
        by = Correlated.of(self.estimate[which], covariance, self.low[which], self.high[which])
        return Randomization((RandomizationTerm(tuple(names.values()), by, "set"),))

    def jsonable(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        arrays = ("estimate", "covariance", "start", "low", "high", "errors")
        rest = {"names": self.names, "targets": self.targets, "clusters": self.clusters, "columns": self.columns}
        return rest | {name: getattr(self, name).tolist() for name in arrays} | {"starts": self.starts}

    @classmethod
    def from_jsonable(cls, data: Mapping[str, Any]) -> Fit:
        """The fit of `jsonable`; raises RecordingError for something else."""
        try:
            arrays = {n: np.array(data[n], float) for n in ("estimate", "covariance", "start", "low", "high", "errors")}
            targets = tuple(tuple(map(str, some)) for some in data["targets"])
            names, columns = tuple(map(str, data["names"])), tuple(map(str, data["columns"]))
            fit = cls(
                names,
                targets,
                **arrays,
                clusters=int(data["clusters"]),
                columns=columns,
                starts=tuple(map(float, data.get("starts", ()))),
            )
        except (*DAMAGED, RecursionError) as error:
            raise RecordingError(f"this is no saved fit: {one_line(error)}") from error
        sizes = {
            len(fit.names),
            len(fit.targets),
            *(len(getattr(fit, n)) for n in ("estimate", "start", "low", "high")),
        }
        if not 0 <= fit.clusters < 2**31:
            raise RecordingError(f"this is no saved fit: {fit.clusters} clusters")
        if len(sizes) > 1 or fit.covariance.shape != (len(fit.names),) * 2 or not np.isfinite(fit.estimate).all():
            raise RecordingError("this is no saved fit: its parts do not belong together")
        return fit
