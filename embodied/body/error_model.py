"""How a reading differs from the truth: scale, bias, drift, noise, resolution, saturation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from embodied.errors import ModelError
from embodied.seeding import ALL, Stream, Worlds, as_normal

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
        resolution: size of a quantisation step; 0 for continuous.

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
    resolution: float = 0.0

    def __post_init__(self) -> None:
        negative = [name for name in self.__dataclass_fields__ if getattr(self, name) < 0]
        if negative or not self.drift_time_s:
            raise ModelError(f"an error model has no negative values, and a drift time: {self}")


EXACT = ErrorModel()


def drift_of_bias_instability(instability: float) -> float:
    """The Ornstein–Uhlenbeck spread whose Allan deviation peaks where that bias instability has its floor."""
    return ALLAN_FLOOR / ALLAN_PEAK_OF_OU * instability


class ErrorsInWorlds:
    """The errors of one sensor of `size` numbers in N worlds; each parameter is an array `(N, 1)` to be varied.

    Streams: `start` has 3 × size lanes (bias, scale, drift at the start of an episode), `frame` has 3 × size
    lanes (white noise, drift, walk), drawn per frame so that a held frame keeps its noise.
    """

    def __init__(
        self, model: ErrorModel, n: int, size: int, limit: float, period_s: float, start: Stream, frame: Stream
    ) -> None:
        self.model, self.size, self.limit, self.period_s = model, size, limit, period_s
        self.noise, self.noise_density, self.bias, self.scale, self.resolution = (
            np.full((n, 1), value)
            for value in (model.noise, model.noise_density, model.bias, model.scale, model.resolution)
        )
        self.drift, self.drift_time_s, self.random_walk = (
            np.full((n, 1), value) for value in (model.drift, model.drift_time_s, model.random_walk)
        )
        self._start, self._white, self._walking = start, frame.lane(slice(size)), frame.lane(slice(size, None))
        self._offset, self._gain, self._drifting, self._walked = (np.zeros((n, size)) for _ in range(4))
        self._last = np.zeros(n, np.int64)

    def begin(self, worlds: Worlds = ALL) -> None:
        """Draws what is constant within an episode."""
        self._wanders = bool(self.drift.any() or self.random_walk.any())
        z = as_normal(self._start.bits(0, worlds))
        bias, scale, drift = z[:, : self.size], z[:, self.size : 2 * self.size], z[:, 2 * self.size :]
        self._offset[worlds] = self.bias[worlds] * bias
        self._gain[worlds] = 1 + self.scale[worlds] * scale
        self._drifting[worlds] = self.drift[worlds] * drift
        self._walked[worlds] = 0.0
        self._last[worlds] = 0

    def apply(self, truth: NDArray, index: NDArray[np.int64], step: ArrayLike, worlds: Worlds = ALL) -> NDArray:
        """Returns readings `(n, size)` of the frames `index (n,)`, of which `step` are the random counters."""
        white = as_normal(self._white.bits(step, worlds))
        spread = np.sqrt(self.noise[worlds] ** 2 + self.noise_density[worlds] ** 2 / self.period_s)
        reading = truth * self._gain[worlds] + self._offset[worlds] + spread * white
        if self._wanders:
            drift, walk = np.split(as_normal(self._walking.bits(step, worlds)), 2, axis=1)
            self._wander(index, drift, walk, worlds)
            reading += self._drifting[worlds] + self._walked[worlds]
        return np.clip(self._quantised(reading, worlds), -self.limit, self.limit)

    def _wander(self, index: NDArray[np.int64], drift: NDArray, walk: NDArray, worlds: Worlds) -> None:
        """Moves drift and walk on to the frames `index`, exactly, however many frames were skipped."""
        elapsed = np.maximum(index - self._last[worlds], 0)[:, None] * self.period_s
        kept = np.exp(-elapsed / self.drift_time_s[worlds])
        self._drifting[worlds] = self._drifting[worlds] * kept + self.drift[worlds] * np.sqrt(1 - kept**2) * drift
        self._walked[worlds] += self.random_walk[worlds] * np.sqrt(elapsed) * walk
        self._last[worlds] = np.maximum(index, self._last[worlds])

    def _quantised(self, reading: NDArray, worlds: Worlds) -> NDArray:
        step = self.resolution[worlds]
        if not step.any():
            return reading
        safe = np.where(step > 0, step, 1.0)
        return np.where(step > 0, np.round(reading / safe) * safe, reading)
