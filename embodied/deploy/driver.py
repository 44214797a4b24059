"""What a robot is to those who drive it: named channels that are read with their time, targets that are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from embodied.errors import DriverError
from embodied.layout import Layout


@dataclass(frozen=True)
class Reading:
    """What was read of a robot at once.

    Attributes:
        time_s: when, by the monotonic clock [s]; the middle of the exchange.
        values: by channel, in the units of the driver's layout.
        faults: what the robot says is wrong with it, by part; empty where all is well.
        took_s: how long the exchange took [s].
        captured_s: when the pictures of cameras were exposed, by camera [s].
    """

    time_s: float
    values: Mapping[str, NDArray[np.float64]]
    faults: Mapping[str, str] = field(default_factory=dict)
    took_s: float = 0.0
    captured_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class JointLimits:
    """What joints may be told and may do, `(joints,)` each.

    Attributes:
        low, high: targets [rad]; speed: of targets [rad/s]; current: of motors [A].
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    speed: NDArray[np.float64]
    current: NDArray[np.float64]

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) & np.isfinite(self.high) & (self.low < self.high)).all():
            raise DriverError(f"limits of joints must be finite, the lower below the upper: {self.low}, {self.high}")
        if not ((self.speed > 0) & (self.current > 0)).all():
            raise DriverError("the greatest speed and current of a joint must be positive")

    @classmethod
    def of(cls, low: ArrayLike, high: ArrayLike, speed: ArrayLike, current: ArrayLike) -> JointLimits:
        """Limits from anything array-like; single numbers hold for all joints."""
        parts = np.broadcast_arrays(*(np.asarray(part, float) for part in (low, high, speed, current)))
        return cls(*(np.atleast_1d(np.array(part)) for part in parts))

    def clamp(self, targets: NDArray, before: NDArray, seconds: float) -> NDArray[np.float64]:
        """The targets `(joints,)` nearest to the wanted ones that are reached from those `before` within `seconds`."""
        step = self.speed * max(seconds, 0.0)
        return np.clip(np.clip(targets, before - step, before + step), self.low, self.high)


@runtime_checkable
class Driver(Protocol):
    """A robot: real, simulated, recorded, or behind a network.

    Attributes:
        joints: names, in the order of targets; layout: the channels of a reading; limits: what may be written.
    """

    joints: tuple[str, ...]
    layout: Layout
    limits: JointLimits

    def connect(self) -> None:
        """Reaches the robot and makes sure that it is the right one.

        Raises:
            DriverError: it cannot be reached, does not answer, or is another robot.
        """

    def read(self) -> Reading:
        """Reads all channels; raises DriverError where the robot does not answer."""
        ...

    def write(self, targets: NDArray) -> None:
        """Tells all joints where to be, `(joints,)` [rad].

        Raises:
            DriverError: the robot cannot be reached, or a target is no number or outside of the limits: then
                nothing is written.
        """

    def engage(self) -> None:
        """Switches the motors on, holding the robot where it is."""

    def hold(self) -> None:
        """Makes the robot stay where it is, as far as it can be reached."""

    def relax(self) -> None:
        """Switches the motors off."""

    def close(self) -> None:
        """Lets go of the line; what the robot was told last stays."""


def checked_targets(targets: ArrayLike, limits: JointLimits, slack: float = 1e-6) -> NDArray[np.float64]:
    """Targets that may be written.

    Raises:
        DriverError: the wrong number of them, no numbers, or outside of the limits.
    """
    wanted = np.asarray(targets, float)
    if wanted.shape != limits.low.shape:
        raise DriverError(f"{len(limits.low)} targets are needed, not an array of shape {wanted.shape}")
    if not np.isfinite(wanted).all():
        raise DriverError(f"targets must be numbers, not {wanted.tolist()}")
    if ((wanted < limits.low - slack) | (wanted > limits.high + slack)).any():
        raise DriverError(f"targets {np.round(wanted, 4).tolist()} rad are outside of the limits")
    return np.clip(wanted, limits.low, limits.high)
