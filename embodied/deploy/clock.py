"""Time for a loop: the machine's, or that of a simulation that moves on while the loop waits."""

from __future__ import annotations

import time
from typing import Protocol

from embodied.deploy.twin.body import TICK_S
from embodied.deploy.twin.bus import Bus


class Clock(Protocol):
    """Monotonic time [s]."""

    def now(self) -> float: ...

    def sleep_until(self, when: float) -> None:
        """Waits for a moment; at once where it has passed."""


class RealClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        return time.monotonic()

    def sleep_until(self, when: float) -> None:
        left = when - time.monotonic()
        if left > 0:
            time.sleep(left)


class SteppedClock:
    """The time of simulated servos, which move while somebody waits: as fast as the machine can, and repeatable."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def now(self) -> float:
        return self._bus.firmware.time_s

    def sleep_until(self, when: float) -> None:
        while self.now() + TICK_S <= when + 1e-9:
            self._bus.tick()


class LogicalClock:
    """Time that passes only while somebody waits, and then at once: for recordings, and for dry runs."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        return self._now

    def sleep_until(self, when: float) -> None:
        self._now = max(self._now, when)
