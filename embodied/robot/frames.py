"""Frames of every world between capture and arrival: one buffer for whatever MuJoCo keeps no history of."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

from embodied.robot.timing import AGE_LIMIT_S, FrameClock
from embodied.seeding import Worlds

Parameters = dict[str, Callable[[], NDArray]]  # how to get the per-world values of each, by name


def columns(values: NDArray, which: slice) -> NDArray:
    """A view of some columns."""
    return values[:, which]


@dataclass(frozen=True)
class ClockChannel:
    """One channel of a clock: when the frames of one or more sensors are captured and arrive."""

    clock: FrameClock
    number: int

    @property
    def index(self) -> NDArray[np.int64]:
        """The newest frame read, `(N,)`."""
        return self.clock.index[:, self.number]

    @property
    def captured(self) -> NDArray[np.int64]:
        """When it was captured, `(N,)`, in ticks of the channel."""
        return self.clock.captured_tick[:, self.number]

    def captures(self, tick: NDArray, rows: Worlds) -> NDArray[np.bool_]:
        """Whether a frame is captured at `tick (n,)`, `(n,)`."""
        clock, k = self.clock, self.number
        since = tick * clock.tick_s[k] - clock.phase_s[rows, k]
        frames = [np.floor((since - ago) / clock.period_s[k] + 1e-6) for ago in (0.0, clock.tick_s[k])]
        return (frames[0] > frames[1]) & (frames[0] >= 0)

    def age(self, tick: NDArray, rows: Worlds) -> NDArray:
        """How old it is at `tick (n,)`, `(n,)` [s]."""
        elapsed = (tick - self.captured[rows]) * self.clock.tick_s[self.number]
        return np.minimum(elapsed, AGE_LIMIT_S)


class FrameBuffer:
    """Keeps what was captured at each decision until the slowest frame can have arrived.

    `held (N, …)` is the frame that was read last. What is there at the start of an episode has been there all along.
    """

    def __init__(self, channel: ClockChannel, shape: tuple[int, ...], dtype: DTypeLike = np.float64) -> None:
        clock = channel.clock
        n = len(clock.index)
        self._channel = channel
        self._depth = math.ceil(clock.longest_lag_s[channel.number] / clock.tick_s[channel.number]) + 2
        self._kept = np.zeros((n, self._depth, *shape), dtype)
        self.held = np.zeros((n, *shape), dtype)
        self._read = np.full(n, -1, np.int64)
        self._worlds = np.arange(n)
        self._worlds.flags.writeable = False  # it is no state

    def exchange(self, captured: NDArray, step: NDArray, rows: Worlds) -> NDArray[np.bool_]:
        """Keeps what was captured at decision `step (n,)`, moves `held` on; returns where it is new, `(n,)`."""
        n = self._worlds[rows]
        self._kept[n, step % self._depth] = captured
        starts = step == 0
        if starts.any():
            self._kept[n[starts]] = captured[starts, None]
        new = (self._channel.index[rows] != self._read[rows]) | starts
        self._read[rows] = self._channel.index[rows]
        self.held[n[new]] = self._kept[n[new], self._channel.captured[rows][new] % self._depth]
        return new

    def refill(self, captured: NDArray) -> None:
        """Replaces all that is on its way by what was captured now, in all worlds; what was read stays read."""
        self._kept[:] = captured[:, None]
