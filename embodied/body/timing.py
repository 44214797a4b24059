"""When a sensor measures, and when what it measured arrives.

Frame k is captured at the first physics tick at or after `phase + k / rate` and arrives after a latency of its own. A
reader sees the newest frame that has arrived and was not lost. Because the set of arrived frames only grows, frames
never run backwards, whatever the jitter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from embodied.errors import ModelError
from embodied.seeding import ALL, Stream, Worlds, as_normal, as_uniforms

JITTER_SPAN = 4.0  # standard deviations of latency that buffers are made for; a frame is never later than that
LOST_IN_A_ROW = 1e-6  # a run of lost frames less likely than this is not waited for
AGE_LIMIT_S = 1.0  # greatest age that is observed; older frames show this
BEFORE_START = 1 << 32  # keeps the counters of frames captured before the episode positive


@dataclass(frozen=True)
class Timing:
    """Rate, phase and latency of a sensor's frames.

    Attributes:
        rate_hz: frames per second; 0 for one per physics tick.
        phase_s: when frame 0 is captured, within one period.
        latency_s: mean time from capture to arrival.
        jitter_s: standard deviation of that time; no frame arrives before it is captured.
        dropout: probability that a frame is lost; the reader then keeps the frame before.
        line: sensors of one robot that name the same line, with the same timing, are read together: the same frames,
            with the same fate. Empty for a sensor on its own.

    Raises:
        ModelError: a negative time, a dropout that is no probability, or a phase beyond one period.
    """

    rate_hz: float = 0.0
    phase_s: float = 0.0
    latency_s: float = 0.0
    jitter_s: float = 0.0
    dropout: float = 0.0
    line: str = ""

    def __post_init__(self) -> None:
        if min(self.rate_hz, self.phase_s, self.latency_s, self.jitter_s) < 0:
            raise ModelError(f"rate, phase, latency and jitter must not be negative: {self}")
        if not 0 <= self.dropout <= 0.9:
            raise ModelError(f"dropout is a probability of at most 0.9, not {self.dropout}")
        if self.rate_hz and self.phase_s >= 1 / self.rate_hz:
            raise ModelError(f"phase_s {self.phase_s} is beyond one period of {1 / self.rate_hz} s")

    @property
    def immediate(self) -> bool:
        """Whether every reading is fresh: nothing has to be remembered."""
        return not (self.rate_hz or self.latency_s or self.jitter_s or self.dropout)

    def longest_lag_s(self, tick_s: float) -> float:
        """The oldest that a frame can be when it is read [s]: what a buffer must hold.

        Raises:
            ModelError: the rate is above that of the physics.
        """
        if self.rate_hz * tick_s > 1 + 1e-9:
            raise ModelError(
                f"a rate of {self.rate_hz:g} Hz is above the {1 / tick_s:g} Hz at which frames can be captured"
            )
        period = 1 / self.rate_hz if self.rate_hz else tick_s
        lost = math.ceil(math.log(LOST_IN_A_ROW) / math.log(self.dropout)) if self.dropout else 0
        return self.latency_s + JITTER_SPAN * self.jitter_s + (1 + lost) * period


IMMEDIATE = Timing()


class FrameClock:
    """Tells, for N worlds, which frame each reads at a time; the parameters are arrays that may differ per world.

    Args:
        timing: declared values, the same in every world to begin with.
        tick_s: time between the instants at which frames can be captured [s].
        stream: two lanes, for jitter and for losses.
        margin: how much longer than declared latency and jitter may become in some world (1: not at all).

    Attributes:
        latency_s, jitter_s, dropout, phase_s: `(N,)`.
        index: the newest frame read so far, `(N,)`; negative before the first of the episode.
        captured_tick: when it was captured, `(N,)`.
    """

    def __init__(self, timing: Timing, n: int, tick_s: float, stream: Stream, margin: float = 1.0) -> None:
        self.timing, self.tick_s = timing, tick_s
        self.period_s = 1 / timing.rate_hz if timing.rate_hz else tick_s
        self.longest_lag_s = margin * timing.longest_lag_s(tick_s) + tick_s
        self.latency_s, self.jitter_s, self.dropout, self.phase_s = (
            np.full(n, value) for value in (timing.latency_s, timing.jitter_s, timing.dropout, timing.phase_s)
        )
        self.index = np.full(n, -1, np.int64)
        self.captured_tick = np.zeros(n, np.int64)
        self._jitter, self._losses = stream.lane(0), stream.lane(1)
        self._window = np.arange(math.ceil(self.longest_lag_s / self.period_s) + 1)

    def begin(self, worlds: Worlds = ALL) -> None:
        """Forgets the frames of the last episode; before the first frame of the new one its start is seen.

        Raises:
            ModelError: in some world, latency and jitter are longer than the buffer.
        """
        longest = (self.latency_s[worlds] + JITTER_SPAN * self.jitter_s[worlds]).max(initial=0.0) + self.period_s
        if longest > self.longest_lag_s + 1e-9:
            raise ModelError(
                f"a latency with jitter of {longest - self.period_s:g} s is beyond the buffer, which reaches back "
                f"{self.longest_lag_s - self.period_s:g} s: declare a longer latency"
            )
        self.index[worlds] = -1
        self.captured_tick[worlds] = 0

    def read(self, tick: ArrayLike, worlds: Worlds = ALL) -> None:
        """Moves `worlds` on to the newest frame that has arrived by `tick` (scalar or `(n,)`)."""
        newest = self._newest_arrived(np.asarray(tick), worlds)
        index = np.maximum(self.index[worlds], newest)
        self.index[worlds] = index
        self.captured_tick[worlds] = np.maximum(self._capture_tick(index, self.phase_s[worlds]), 0)

    def _newest_arrived(self, tick: NDArray, worlds: Worlds) -> NDArray[np.int64]:
        now = (tick * self.tick_s + 1e-9)[..., None]
        phase = self.phase_s[worlds][:, None]
        last = np.floor((now - phase) / self.period_s).astype(np.int64)
        frames = np.broadcast_to(last - self._window, (len(phase), len(self._window)))
        latency, lost = self.fate(frames, worlds)
        arrived = self._capture_tick(frames, phase) * self.tick_s + latency <= now
        return np.where(arrived & ~lost & (frames >= 0), frames, -1).max(axis=1)

    def fate(self, frames: NDArray[np.int64], worlds: Worlds = ALL) -> tuple[NDArray, NDArray]:
        """The latency of each frame `(n, …)` [s], and whether it is lost; a frame's fate never changes."""
        counter = (frames + BEFORE_START).astype(np.uint64)
        jitter, dropout = self.jitter_s[worlds][:, None], self.dropout[worlds][:, None]
        late, lost = np.zeros((1, 1)), np.zeros((1, 1), bool)
        if jitter.any():
            late = np.clip(as_normal(self._jitter.bits(counter, worlds)[..., 0]), -JITTER_SPAN, JITTER_SPAN) * jitter
        if dropout.any():
            lost = as_uniforms(self._losses.bits(counter, worlds)[..., 0])[0] < dropout
        shape = frames.shape
        latency = np.maximum(self.latency_s[worlds][:, None] + late, 0.0)
        return np.broadcast_to(latency, shape), np.broadcast_to(lost, shape)

    def _capture_tick(self, frame: NDArray[np.int64], phase: NDArray) -> NDArray[np.int64]:
        return np.ceil((phase + frame * self.period_s) / self.tick_s - 1e-6).astype(np.int64)
