"""What became of commands that were held: whether the robot came there, and when it had settled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from embodied.sysid.recording import Recording

HELD_S = 0.5  # how long a command must stay to be one that was held
CLOSE_S = 1e-6  # to that, for time stamps are rounded
REST_S = 0.1  # at its end, in which the robot should be at rest
UNCHANGED = 1e-6  # commands that differ by no more are the same
SETTLED = 0.05  # share of the way within which it has settled


@dataclass(frozen=True)
class Settling:
    """Of H commands that were held; the robot's in the first column, the simulation's in the second.

    Attributes:
        reached: whether it came as near as the tolerance to what was commanded, `(H, 2)`.
        settled_s: when it had settled, wherever that was, after the command began to be held, `(H, 2)` [s]; NaN where
            it had not when the command changed again.
    """

    reached: NDArray[np.bool_]
    settled_s: NDArray[np.float64]

    @property
    def predicted(self) -> float:
        """The share of commands of which the simulation says rightly whether they are reached; NaN of none."""
        return float(np.mean(self.reached[:, 0] == self.reached[:, 1])) if len(self.reached) else np.nan

    @property
    def late_s(self) -> float:
        """By how much the simulation settles too early or too late, on average where both do [s]; NaN of none."""
        late = np.abs(self.settled_s[:, 0] - self.settled_s[:, 1])
        return float(np.mean(late[np.isfinite(late)])) if np.isfinite(late).any() else np.nan


def outcomes(
    recording: Recording, measured: NDArray[np.float64], simulated: NDArray[np.float64], tolerance: float
) -> Settling:
    """Compares what was measured with what was simulated, `(T, J)` each, wherever a command of `(T, J)` was held.

    Args:
        tolerance: how near is near enough, in the unit of the signal.
    """
    reached, settled = [], []
    for column, rows in _held(recording):
        time, aim = recording.time_s[rows] - recording.time_s[rows][0], recording.command[rows.start, column]
        ways = (measured[rows, column], simulated[rows, column])
        if np.isfinite(ways).all():
            reached.append([abs(_rest(time, way) - aim) <= tolerance for way in ways])
            settled.append([_settled(time, way, tolerance) for way in ways])
    return Settling(np.array(reached, bool).reshape(-1, 2), np.array(settled, float).reshape(-1, 2))


def joined(several: list[Settling]) -> Settling:
    """All of them as one."""
    return Settling(np.concatenate([o.reached for o in several]), np.concatenate([o.settled_s for o in several]))


def _held(recording: Recording) -> Iterator[tuple[int, slice]]:
    """Columns and rows of commands that were held long enough."""
    for column in range(recording.command.shape[1]):
        changes = np.flatnonzero(np.abs(np.diff(recording.command[:, column])) > UNCHANGED) + 1
        edges = [0, *changes.tolist(), len(recording.time_s)]
        for begin, end in pairwise(edges):
            until = recording.time_s[min(end, len(recording.time_s) - 1)]  # when it changed
            if end - begin > 2 and until - recording.time_s[begin] >= HELD_S - CLOSE_S:
                yield column, slice(begin, end)


def _rest(time: NDArray, way: NDArray) -> float:
    return float(np.mean(way[time >= time[-1] - REST_S]))


def _settled(time: NDArray, way: NDArray, tolerance: float) -> float:
    """When it came to stay near where it ended; NaN if it was still moving then."""
    rest = _rest(time, way)
    band = max(SETTLED * abs(way[0] - rest), 0.2 * tolerance)
    away = np.flatnonzero(np.abs(way - rest) > band)
    if not len(away):
        return 0.0
    after = away[-1] + 1
    return float(time[after]) if after < len(time) and time[after] <= time[-1] - REST_S else np.nan
