"""What must not happen to a robot, and what is done when it does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from embodied.deploy.driver import Driver, Reading
from embodied.errors import DriverError, OptionError

SafeState = Literal["hold", "relax", "park"]
ATTEMPTS, PAUSE_S = 5, 0.02  # to bring a robot that does not answer into its safe state
PARK_SPEED = 0.5  # rad/s
PARKED = "parked"
LOOKS = 5  # steps of a way between two looks at the robot


@dataclass(frozen=True)
class Supervision:
    """Limits, beyond which the loop ends in a safe state.

    Attributes:
        safe: where it ends: "hold" where it is, "relax" without torque, or "park" in the posture `park`.
        temperature: of a motor [°C]; volts: of the supply, at least and at most [V].
        current: of a motor [A]; tracking: of a joint behind its target [rad]; patience_s: for how long either may be.
        stale_s: how old what was read last may get [s]; blind_s: the same of a camera's picture [s].
        late_s: how long the loop may go without a decision [s]; longer, and the watchdog steps in.
    """

    safe: SafeState = "hold"
    park: tuple[float, ...] = ()
    temperature: float = 60.0
    volts: tuple[float, float] = (9.0, 13.5)
    current: float = 1.5
    tracking: float = 0.6
    patience_s: float = 1.0
    stale_s: float = 0.25
    blind_s: float = 0.5
    late_s: float = 0.08

    def __post_init__(self) -> None:
        if self.safe not in get_args(SafeState):
            raise OptionError(f"a safe state is {', '.join(get_args(SafeState))}, not {self.safe!r}")
        if self.safe == "park" and not self.park:
            raise OptionError("to park, a robot needs a posture: give `park`")
        if min(self.patience_s, self.stale_s, self.blind_s, self.late_s) <= 0 or self.volts[0] >= self.volts[1]:
            raise OptionError(f"times must be positive, and the least voltage below the greatest: {self}")


class Supervisor:
    """Looks at every reading; `complaint` says what is wrong, in words."""

    def __init__(self, limits: Supervision, joints: tuple[str, ...]) -> None:
        self._limits, self._joints = limits, joints
        self._strained_since: float | None = None

    def complaint(self, reading: Reading, targets: NDArray, now: float) -> str | None:
        """What is wrong with the robot now; None where nothing is."""
        limits, values = self._limits, reading.values
        if reading.faults:
            return "the servo of " + "; of ".join(f"{joint} reports {what}" for joint, what in reading.faults.items())
        if (age := now - reading.time_s) > limits.stale_s:
            return f"nothing has been read for {age:.2f} s"
        for camera, captured in reading.captured_s.items():
            if (age := now - captured) > limits.blind_s:
                return f"camera {camera!r} has shown nothing new for {age:.2f} s"
        volts = float(np.min(values.get("volts", [limits.volts[1]])))
        if not limits.volts[0] <= volts <= limits.volts[1]:
            return f"the supply is at {volts:.1f} V"
        heat = np.max(values.get("temperature", [0.0]))
        if heat > limits.temperature:
            return f"{self._worst(values['temperature'])} is at {heat:.0f} °C"
        return self._strain(values, targets, now)

    def _strain(self, values: Mapping[str, NDArray], targets: NDArray, now: float) -> str | None:
        """Too much current, or too far behind, for too long."""
        limits = self._limits
        current = np.abs(values.get("current", np.zeros(1)))
        behind = np.abs(values["angle"] - targets)
        if current.max() <= limits.current and behind.max() <= limits.tracking:
            self._strained_since = None
            return None
        if self._strained_since is None:
            self._strained_since = now
        if now - self._strained_since <= limits.patience_s:
            return None
        if behind.max() > limits.tracking:
            return f"{self._worst(behind)} is {behind.max():.2f} rad behind its target"
        return f"{self._worst(current)} draws {current.max():.2f} A"

    def _worst(self, values: NDArray) -> str:
        return self._joints[int(np.argmax(values))]


class Watchdog:
    """A thread that acts when nobody has called `pet` for too long.

    Args:
        late_s: how long that is; act: what is done, once; it gets how late it is [s].
    """

    def __init__(self, late_s: float, act: Callable[[float], None]) -> None:
        self._late_s, self._act = late_s, act
        self._seen = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begins to watch."""
        self.pet()
        self._thread.start()

    def pet(self) -> None:
        """Says that all is well."""
        self._seen = time.monotonic()

    def stop(self) -> None:
        """Watches no more; returns when it has done what it was doing."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(self._late_s / 10):
            late = time.monotonic() - self._seen
            if late > self._late_s:
                self._act(late)
                return


def make_safe(driver: Driver, limits: Supervision, sleep: Callable[[float], None] = time.sleep) -> str:
    """Brings a robot into its safe state; returns what came of it, in words.

    A robot that cannot be reached keeps what it was told last, which is a posture within its limits.
    """
    for _ in range(ATTEMPTS):
        try:
            return _SAFE[limits.safe](driver, limits, sleep)
        except DriverError as error:
            failed = str(error)
            sleep(PAUSE_S)
    return f"unreachable ({failed}); it keeps the posture that it was told last"


def _hold(driver: Driver, limits: Supervision, sleep: Callable[[float], None]) -> str:
    driver.hold()
    return "holds where it is"


def _relax(driver: Driver, limits: Supervision, sleep: Callable[[float], None]) -> str:
    driver.relax()
    return "relaxed"


def _park(driver: Driver, limits: Supervision, sleep: Callable[[float], None]) -> str:
    for k, targets in enumerate(way_to(driver.read().values["angle"], np.array(limits.park), PARK_SPEED, PAUSE_S)):
        driver.write(np.clip(targets, driver.limits.low, driver.limits.high))
        sleep(PAUSE_S)
        if k % LOOKS == LOOKS - 1 and np.abs(driver.read().values["angle"] - targets).max() > limits.tracking:
            driver.hold()
            return "was in the way of something and holds where it is"
    return PARKED


def way_to(start: NDArray, end: NDArray, speed: float, step_s: float) -> NDArray[np.float64]:
    """Postures from one to another, `(steps, joints)`: along a minimum-jerk path no faster than `speed` [rad/s]."""
    seconds = 1.875 * float(np.max(np.abs(end - start), initial=0.0)) / speed  # such a path peaks at 1.875 of its mean
    share = np.arange(1, max(int(np.ceil(seconds / step_s)), 1) + 1)
    share = share / share[-1]
    smooth = share**3 * (10 - 15 * share + 6 * share**2)
    return start + smooth[:, None] * (end - start)


_SAFE: dict[str, Callable[[Driver, Supervision, Callable[[float], None]], str]] = {
    "hold": _hold,
    "relax": _relax,
    "park": _park,
}
