"""How a reading differs from the truth: scale, misalignment, bias, drift, noise, resolution, saturation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embodied.errors import ModelError
from embodied.robot.timing import BEFORE_START
from embodied.seeding import ALL, Stream, Worlds, as_normal, grid

ALLAN_FLOOR = 0.664  # Allan deviation at its floor over the bias instability that datasheets print: sqrt(2 ln 2 / pi)
ALLAN_PEAK_OF_OU = 0.6175  # greatest Allan deviation of an Ornstein–Uhlenbeck process over its standard deviation


@dataclass(frozen=True)
class ErrorModel:
    """All in the unit of the sensor; every value may later differ per world.

    Attributes:
        noise: standard deviation of white noise per frame.
        noise_density: white noise as a density [unit/√Hz], so that the Allan deviation at τ is density / √τ;
            added to `noise` in quadrature.
        bias: standard deviation, over episodes, of a constant offset.
        drift: standard deviation of an Ornstein–Uhlenbeck offset that wanders within an episode.
        drift_time_s: its correlation time.
        random_walk: density of an unbounded random walk of the offset [unit/√s].
        scale: standard deviation, over episodes, of a relative scale error.
        misalignment: standard deviation, over episodes, of the share of each other axis that an axis of a vector
            sensor picks up.
        resolution: size of a quantization step; 0 for continuous.

    Raises:
        ModelError: a negative value.
    """

    noise: float = 0.0
    noise_density: float = 0.0
    bias: float = 0.0
    drift: float = 0.0
    drift_time_s: float = 100.0
    random_walk: float = 0.0
    scale: float = 0.0
    misalignment: float = 0.0
    resolution: float = 0.0

    def __post_init__(self) -> None:
        negative = [name for name in self.__dataclass_fields__ if not getattr(self, name) >= 0]
        if negative or not self.drift_time_s:
            raise ModelError(f"an error model has no negative values, and a drift time: {self}")


EXACT = ErrorModel()


def drift_from_bias_instability(instability: float) -> float:
    """The Ornstein–Uhlenbeck spread whose Allan deviation peaks where that bias instability has its floor."""
    return ALLAN_FLOOR / ALLAN_PEAK_OF_OU * instability


class BatchedErrors:
    """The errors of D readings in N worlds; each parameter is an array `(N, D)`, to be changed before a `begin`.

    Args:
        models: the declared values of each reading.
        limits, periods_s: where each saturates, and the time between its frames [s].
        start: three random values per reading (bias, scale, drift at the start of an episode).
        frame: three random values per reading (white noise, drift, walk), drawn per frame so that a held frame keeps
            its noise.
    """

    def __init__(
        self,
        models: Sequence[ErrorModel],
        n: int,
        limits: Sequence[float],
        periods_s: Sequence[float],
        start: Stream,
        frame: Stream,
    ) -> None:
        self.noise, self.noise_density, self.bias, self.scale, self.resolution = (
            _declared(models, name, n) for name in ("noise", "noise_density", "bias", "scale", "resolution")
        )
        self.drift, self.drift_time_s, self.random_walk = (
            _declared(models, name, n) for name in ("drift", "drift_time_s", "random_walk")
        )
        self._limit, self._period_s = np.array(limits, float), np.array(periods_s, float)
        self._streams = [start.select(slice(i, None, 3)) for i in range(3)]
        self._white, self._drifts, self._walks = (frame.select(slice(i, None, 3)) for i in range(3))
        self._offset, self._gain, self._drifting, self._walked, self._spread = (
            np.zeros((n, len(models))) for _ in range(5)
        )
        self._last = np.zeros((n, len(models)), np.int64)

    def begin(self, worlds: Worlds = ALL) -> None:
        """Draws what is constant within an episode."""
        bias, scale, drift = (as_normal(stream.bits(0, worlds)) for stream in self._streams)
        self._spread[worlds] = np.sqrt(self.noise[worlds] ** 2 + self.noise_density[worlds] ** 2 / self._period_s)
        self._offset[worlds] = self.bias[worlds] * bias
        self._gain[worlds] = 1 + self.scale[worlds] * scale
        self._drifting[worlds] = self.drift[worlds] * drift
        self._walked[worlds] = 0.0
        self._last[worlds] = 0
        wander = (self.drift != 0).any(axis=0) | (self.random_walk != 0).any(axis=0)
        self._wandering = np.flatnonzero(wander)
        self._wander_streams = self._drifts.select(self._wandering), self._walks.select(self._wandering)
        self._stepped = np.flatnonzero((self.resolution != 0).any(axis=0))

    def apply(self, truth: NDArray, frame: NDArray[np.int64], worlds: Worlds = ALL) -> NDArray:
        """Returns the readings `(n, D)` of frames number `frame (n, D)`."""
        white = as_normal(self._white.bits_each(frame + BEFORE_START, worlds))
        reading = truth * self._gain[worlds] + self._offset[worlds] + self._spread[worlds] * white
        if self._wandering.size:
            reading[:, self._wandering] += self._wandered(frame[:, self._wandering], worlds)
        if self._stepped.size:
            reading[:, self._stepped] = self._quantized(reading[:, self._stepped], worlds)
        return np.clip(reading, -self._limit, self._limit)

    def _wandered(self, frame: NDArray[np.int64], worlds: Worlds) -> NDArray:
        """Moves drift and walk on to `frame`, exactly, however many frames were skipped; returns their sum."""
        some = grid(worlds, self._wandering)
        drift, walk = (as_normal(stream.bits_each(frame + BEFORE_START, worlds)) for stream in self._wander_streams)
        elapsed = np.maximum(frame - self._last[some], 0) * self._period_s[self._wandering]
        kept = np.exp(-elapsed / self.drift_time_s[some])
        drifting = self._drifting[some] * kept + self.drift[some] * np.sqrt(1 - kept**2) * drift
        walked = self._walked[some] + self.random_walk[some] * np.sqrt(elapsed) * walk
        self._drifting[some], self._walked[some] = drifting, walked
        self._last[some] = np.maximum(frame, self._last[some])
        return drifting + walked

    def _quantized(self, reading: NDArray, worlds: Worlds) -> NDArray:
        step = self.resolution[grid(worlds, self._stepped)]
        safe = np.where(step > 0, step, 1.0)
        return np.where(step > 0, np.round(reading / safe) * safe, reading)


def _declared(models: Sequence[ErrorModel], name: str, n: int) -> NDArray[np.float64]:
    return np.tile([getattr(model, name) for model in models], (n, 1)).astype(float)
