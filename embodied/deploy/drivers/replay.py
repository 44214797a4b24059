"""A recording as a robot: what was read then is read again, and what is written is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from embodied.deploy.driver import JointLimits, Reading, checked_targets
from embodied.errors import DriverError
from embodied.layout import Channel, Layout
from embodied.sysid.recording import Recording


class ReplayedRobot:
    """A `Driver` that reads the rows of a recording, one each time.

    Args:
        recording: such as the log of a loop; joints: names, in the order of its columns.
        limits: what may be written.
        channels: what of the recording is read; None for all signals.
        now: what readings are stamped with [s]: they are as fresh as they were then.

    Attributes:
        written: the targets that were written, in order.
    """

    def __init__(
        self,
        recording: Recording,
        joints: Sequence[str],
        limits: JointLimits,
        channels: Sequence[str] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.joints, self.limits = tuple(joints), limits
        names = list(recording.signals) if channels is None else list(channels)
        self._signals: Mapping[str, NDArray] = {name: recording.signal(name) for name in names}
        self._length, self._now = len(recording), now
        self.layout = Layout(tuple(_channel(name, v, recording) for name, v in self._signals.items()))
        self._next = 0
        self.written: list[NDArray[np.float64]] = []

    def connect(self) -> None:
        self._next = 0

    def read(self) -> Reading:
        if self._next >= self._length:
            raise DriverError("the recording is over")
        k, self._next = self._next, self._next + 1
        return Reading(self._now(), {name: values[k] for name, values in self._signals.items()})

    def write(self, targets: NDArray) -> None:
        self.written.append(checked_targets(targets, self.limits))

    def engage(self) -> None:
        return None

    def hold(self) -> None:
        return None

    def relax(self) -> None:
        return None

    def close(self) -> None:
        return None


def _channel(name: str, values: NDArray, recording: Recording) -> Channel:
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    return Channel(name, values.shape[1], low, high, recording.units.get(name, ""))
