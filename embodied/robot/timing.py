"""When a sensor measures, and when what it measured arrives.

Frame k is captured at the first physics tick at or after `phase + k / rate` and arrives after a latency of its own. A
reader sees the newest frame that has arrived and was not lost. Because the set of arrived frames only grows, frames
never run backwards, whatever the jitter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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
        bus: sensors of one robot on the same bus, with the same timing, share their frames, latencies and losses. Empty
            for a sensor on its own.

    Raises:
        ModelError: a negative time, a dropout that is no probability, or a phase beyond one period.
    """

    rate_hz: float = 0.0
    phase_s: float = 0.0
    latency_s: float = 0.0
    jitter_s: float = 0.0
    dropout: float = 0.0
    bus: str = ""

    def __post_init__(self) -> None:
        if not min(self.rate_hz, self.phase_s, self.latency_s, self.jitter_s) >= 0 or not self.latency_s < math.inf:
            raise ModelError(f"rate, phase, latency and jitter must not be negative: {self}")
        if not 0 <= self.dropout <= 0.9:
            raise ModelError(f"dropout is a probability of at most 0.9, not {self.dropout}")
        if self.rate_hz and self.phase_s >= 1 / self.rate_hz:
            raise ModelError(f"phase_s {self.phase_s} is beyond one period of {1 / self.rate_hz} s")

    @property
    def immediate(self) -> bool:
        """Whether every reading is fresh: nothing has to be remembered."""
        return not (self.rate_hz or self.latency_s or self.jitter_s or self.dropout)

    def longest_lag_s(self, tick_s: float, name: str = "a sensor") -> float:
        """The oldest that a frame can be when it is read [s]: what a buffer must hold.

        Raises:
            ModelError: the rate is above that at which frames can be captured; the message speaks of `name`.
        """
        if self.rate_hz * tick_s > 1 + 1e-9:
            raise ModelError(
                f"{name}: a rate of {self.rate_hz:g} Hz is above the {1 / tick_s:g} Hz that can be had here"
            )
        period = 1 / self.rate_hz if self.rate_hz else tick_s
        return float(longest_lag(self.latency_s, self.jitter_s, self.dropout, period))


IMMEDIATE = Timing()


def longest_lag(latency: ArrayLike, jitter: ArrayLike, dropout: ArrayLike, period: ArrayLike) -> NDArray[np.float64]:
    """How old frames get at most [s], in any shape: late, jittered, held over a run of lost ones."""
    lost = np.log(LOST_IN_A_ROW) / np.log(np.clip(dropout, 1e-300, 1 - 1e-9))
    runs = np.where(np.asarray(dropout) > 0, np.ceil(lost), 0.0)
    return np.asarray(latency) + JITTER_SPAN * np.asarray(jitter) + (1 + runs) * np.asarray(period)


class FrameClock:
    """Tells, for N worlds, which frame of each of L channels is read at a time; parameters are arrays over both.

    Args:
        timings: the declared values of each channel, the same in every world to begin with.
        ticks_s: for each channel, the time between the instants at which its frames can be captured [s].
        stream: two streams per channel, for jitter and for losses.
        margin: how much longer than declared latency and jitter may become in some world (1: not at all).
        names: of the channels, for messages.

    Attributes:
        latency_s, jitter_s, dropout, phase_s: `(N, L)`, to be changed before a `begin`.
        index: the newest frame read so far, `(N, L)`; negative before the first of the episode.
        captured_tick: when it was captured, `(N, L)`, in ticks of the channel.
    """

    def __init__(
        self,
        timings: Sequence[Timing],
        n: int,
        ticks_s: Sequence[float],
        stream: Stream,
        margin: float = 1.0,
        names: Sequence[str] | None = None,
    ) -> None:
        self.names = list(names or (f"channel {i}" for i in range(len(timings))))
        self.timings, self.tick_s = tuple(timings), np.array(ticks_s, float)
        self.period_s = np.array([1 / t.rate_hz if t.rate_hz else s for t, s in zip(timings, ticks_s, strict=True)])
        each = zip(timings, ticks_s, self.names, strict=True)
        longest = [margin * t.longest_lag_s(s, name) + s for t, s, name in each]
        self.longest_lag_s = np.array(longest)
        self.latency_s, self.jitter_s, self.dropout, self.phase_s = (
            np.tile([getattr(t, name) for t in timings], (n, 1)).astype(float)
            for name in ("latency_s", "jitter_s", "dropout", "phase_s")
        )
        self.index = np.full((n, len(self.timings)), -1, np.int64)
        self.captured_tick = np.zeros((n, len(self.timings)), np.int64)
        self._jitter, self._losses = stream.select(slice(0, None, 2)), stream.select(slice(1, None, 2))
        reach = np.ceil(self.longest_lag_s / self.period_s).astype(int).max(initial=0) + 1
        self._window = np.arange(reach)[:, None]
        self._jitters = self._loses = True

    def begin(self, worlds: Worlds = ALL) -> None:
        """Forgets the frames of the last episode; before the first frame of the new one its start is seen.

        Raises:
            ModelError: in some world, latency and jitter are longer than the buffer.
        """
        values = [v[worlds] for v in (self.latency_s, self.jitter_s, self.dropout)]
        if not min((v.min(initial=0.0) for v in values), default=0.0) >= 0:
            raise ModelError("latency, jitter and dropout of a world must be numbers that are not negative")
        latency, jitter, dropout = values
        longest = longest_lag(latency, jitter, dropout, self.period_s).max(axis=0, initial=0.0)
        for name, longer, reach in zip(self.names, longest, self.longest_lag_s, strict=True):
            if not longer <= reach + 1e-9:
                raise ModelError(
                    f"{name}: frames of up to {longer:g} s with jitter and losses are beyond the buffer, which reaches "
                    f"back {reach:g} s: declare a longer latency"
                )
        self._jitters, self._loses = bool(self.jitter_s.any()), bool(self.dropout.any())
        self.index[worlds] = -1
        self.captured_tick[worlds] = 0

    def read(self, tick: NDArray, worlds: Worlds = ALL) -> None:
        """Moves `worlds` on to the newest frame of each channel that has arrived by its `tick (n, L)`."""
        newest = self._newest_arrived(tick, worlds)
        index = np.maximum(self.index[worlds], newest)
        self.index[worlds] = index
        self.captured_tick[worlds] = np.maximum(self._capture_tick(index, self.phase_s[worlds]), 0)

    def _newest_arrived(self, tick: NDArray, worlds: Worlds) -> NDArray[np.int64]:
        now = (tick * self.tick_s + 1e-9)[:, None]
        phase = self.phase_s[worlds][:, None]
        frames = np.floor((now - phase) / self.period_s) - self._window
        latency, lost = self.latency_and_loss(frames, worlds)
        arrived = (self._capture_tick(frames, phase) * self.tick_s + latency <= now) & (frames >= 0)
        if lost is not None:
            arrived &= ~lost
        return np.where(arrived, frames, -1).max(axis=1).astype(np.int64)

    def latency_and_loss(self, frames: NDArray, worlds: Worlds = ALL) -> tuple[NDArray, NDArray | None]:
        """The latency of frames `(n, …, L)` [s], and which are lost (None: none); a frame's fate never changes."""
        shape = (-1, *[1] * (frames.ndim - 2), len(self.timings))
        latency, lost = self.latency_s[worlds].reshape(shape), None
        if self._jitters:
            late = np.clip(as_normal(self._jitter.bits_each(frames + BEFORE_START, worlds)), -JITTER_SPAN, JITTER_SPAN)
            latency = np.maximum(latency + late * self.jitter_s[worlds].reshape(shape), 0.0)
        if self._loses:
            u = as_uniforms(self._losses.bits_each(frames + BEFORE_START, worlds))[0]
            lost = u < self.dropout[worlds].reshape(shape)
        return latency, lost

    def _capture_tick(self, frame: NDArray, phase: NDArray) -> NDArray:
        return np.ceil((phase + frame * self.period_s) / self.tick_s - 1e-6)
