"""Distributions by their quantile functions: uniforms go in, values come out; who owns the randomness keeps it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, ndtr, ndtri

from embodied.errors import OptionError, UnknownNameError
from embodied.seeding import GOLDEN, mix

REDRAWS = 64  # of several numbers that must lie within bounds
EDGE = 1e-12  # uniforms stay this far from 0 and 1, where some quantiles are infinite


@dataclass(frozen=True)
class Distribution(ABC):
    """Of one number, or of several that belong together.

    Attributes:
        size: how many numbers it draws at once.
    """

    KINDS: ClassVar[dict[str, type[Distribution]]] = {}

    def __init_subclass__(cls) -> None:
        Distribution.KINDS[cls.__name__] = cls

    @property
    def size(self) -> int:
        """How many numbers it draws at once."""
        return 1

    @property
    def support(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The least and the greatest that each number can be, `(size,)` each; infinite where it is unbounded."""
        ends = self.quantile(np.array([[0.0] * self.size, [1.0] * self.size]))
        return ends[0], ends[1]

    @abstractmethod
    def quantile(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turns uniforms on [0, 1) `(n, size)` into values of the same shape."""

    def jsonable(self) -> dict[str, Any]:
        """Its kind and numbers, as JSON can hold them."""
        return {"kind": type(self).__name__} | {f.name: _plain(getattr(self, f.name)) for f in fields(self)}

    @staticmethod
    def from_jsonable(data: dict[str, Any]) -> Distribution:
        """The distribution of `jsonable`.

        Raises:
            UnknownNameError: a kind that there is not.
            OptionError: numbers that do not describe one.
        """
        rest = dict(data)
        kind = rest.pop("kind", None)
        if kind not in Distribution.KINDS:
            raise UnknownNameError("distribution", kind, Distribution.KINDS)
        try:
            return Distribution.KINDS[kind](**{name: _tupled(value) for name, value in rest.items()})
        except TypeError as error:
            raise OptionError(f"{kind} is described wrongly: {error}") from None


@dataclass(frozen=True)
class Uniform(Distribution):
    """Evenly between `low` and `high`."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_order(self, self.low, self.high)

    def quantile(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Linear."""
        return self.low + (self.high - self.low) * u


@dataclass(frozen=True)
class LogUniform(Distribution):
    """Evenly in the logarithm; `low` is positive."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_order(self, self.low, self.high)
        if not self.low > 0:
            raise OptionError(f"{self} must be positive")

    def quantile(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Exponential."""
        return self.low * (self.high / self.low) ** u


@dataclass(frozen=True)
class Normal(Distribution):
    """Around `mean` with standard deviation `std`, cut off at `low` and `high`."""

    mean: float
    std: float
    low: float = -np.inf
    high: float = np.inf

    def __post_init__(self) -> None:
        _check_order(self, self.low, self.high)
        if not 0 < self.std < np.inf:
            raise OptionError(f"{self}: the standard deviation must be positive")

    def quantile(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Inverse of the truncated normal distribution."""
        below, above = ndtr((self.low - self.mean) / self.std), ndtr((self.high - self.mean) / self.std)
        inside = np.clip(below + (above - below) * u, EDGE, 1 - EDGE)
        return np.clip(self.mean + self.std * ndtri(inside), self.low, self.high)

    @property
    def support(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The cuts."""
        return np.array([self.low]), np.array([self.high])


@dataclass(frozen=True)
class Beta(Distribution):
    """Beta distribution with shapes `a` and `b`, stretched over `low` to `high`."""

    a: float
    b: float
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        _check_order(self, self.low, self.high)
        if not min(self.a, self.b) > 0:
            raise OptionError(f"{self}: shapes must be positive")

    def quantile(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Inverse of the incomplete beta function."""
        return self.low + (self.high - self.low) * betaincinv(self.a, self.b, u)


@dataclass(frozen=True)
class Choice(Distribution):
    """One of `values`, equally likely or by `weights`."""

    values: tuple[float, ...]
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.values or (self.weights and len(self.weights) != len(self.values)):
            raise OptionError(f"{self} needs values, and as many weights or none")
        if self.weights and not (min(self.weights) >= 0 and sum(self.weights) > 0):
            raise OptionError(f"{self}: weights must not be negative, nor all zero")

    def quantile(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """A step function."""
        weights = np.array(self.weights or np.ones(len(self.values)))
        return np.array(self.values)[np.searchsorted(np.cumsum(weights / weights.sum())[:-1], u, side="right")]

    @property
    def support(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The least and the greatest value."""
        return np.array([min(self.values)]), np.array([max(self.values)])


@dataclass(frozen=True)
class Empirical(Distribution):
    """As `samples` are spread, linear between them."""

    samples: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.samples) < 2 or not np.isfinite(self.samples).all():
            raise OptionError("an empirical distribution needs at least two samples, all of them numbers")

    def quantile(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Quantiles of the samples."""
        return np.quantile(self.samples, u)


@dataclass(frozen=True)
class Correlated(Distribution):
    """A normal distribution of several numbers; draws outside of what each can be are drawn again.

    Attributes:
        mean, low, high: one per number; covariance: rows.
    """

    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    @classmethod
    def of(cls, mean: ArrayLike, covariance: ArrayLike, low: ArrayLike, high: ArrayLike) -> Correlated:
        """From arrays `(P,)` and `(P, P)`, the covariance symmetric but for rounding."""
        rows = np.asarray(covariance, float)
        middle, least, greatest = (tuple(np.asarray(part, float).tolist()) for part in (mean, low, high))
        return cls(middle, tuple(map(tuple, ((rows + rows.T) / 2).tolist())), least, greatest)

    def __post_init__(self) -> None:
        covariance, size = np.array(self.covariance), len(self.mean)
        if covariance.shape != (size, size) or not np.allclose(covariance, covariance.T):
            raise OptionError(f"the covariance of {size} numbers must be a symmetric {size} × {size} matrix")
        if np.linalg.eigvalsh(covariance).min(initial=0.0) < -1e-9 * max(np.trace(covariance), 1e-300):
            raise OptionError("the covariance has negative directions")
        if any(ends and len(ends) != size for ends in (self.low, self.high)):
            raise OptionError(f"bounds must be {size} numbers each, or none")

    @property
    def size(self) -> int:
        """How many numbers it draws at once."""
        return len(self.mean)

    def quantile(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Normals along the principal axes, turned; the uniforms of a further draw are a hash of the given ones.

        After `REDRAWS` draws, values are clipped.
        """
        low, high = self.support
        values = self._normal(u)
        for attempt in range(REDRAWS):
            outside = np.flatnonzero(((values < low) | (values > high)).any(axis=1))
            if not outside.size:
                return values
            values[outside] = self._normal(_hashed(u[outside], attempt))
        return np.clip(values, low, high)

    @property
    def support(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The bounds."""
        without = np.full(self.size, np.inf)
        return np.array(self.low) if self.low else -without, np.array(self.high) if self.high else without

    def _normal(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        spread, axes = np.linalg.eigh(np.array(self.covariance))
        root = axes * np.sqrt(np.maximum(spread, 0.0))
        normals = ndtri(np.clip(u, EDGE, 1 - EDGE))
        return self.mean + np.einsum("nk,jk->nj", normals, root)  # no BLAS: its last bits depend on n


def _hashed(u: NDArray[np.float64], attempt: int) -> NDArray[np.float64]:
    """Other uniforms that follow from these, `(n, size)`, as independent as a hash makes them."""
    given: NDArray[np.uint64] = np.ascontiguousarray(u, np.float64).view(np.uint64)
    size = u.shape[1]
    row: NDArray[np.uint64] = np.zeros(len(given), np.uint64)
    for column in given.T:
        row = mix(row ^ column)
    counts = np.arange(attempt * size + 1, (attempt + 1) * size + 1, dtype=np.uint64)
    weyl = np.multiply(counts, GOLDEN, dtype=np.uint64)
    bits = mix(np.add(row[:, None], weyl, dtype=np.uint64))
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _check_order(distribution: Distribution, low: float, high: float) -> None:
    if not low < high:
        raise OptionError(f"{distribution}: low must be below high")


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value if np.isfinite(value) else str(float(value))


def _tupled(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_tupled(part) for part in value)
    return float(value)
