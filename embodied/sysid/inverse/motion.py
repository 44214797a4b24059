"""Positions, velocities, accelerations and torques of a recording, filtered without lag."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal
from scipy.interpolate import make_interp_spline

from embodied.errors import OptionError, RecordingError
from embodied.sysid.lint import role
from embodied.sysid.recording import COMMAND, Recording
from embodied.sysid.signals import usual_step

ORDER = 4  # of the Butterworth filter, which goes forth and back
EDGE = 3.0  # periods of the cutoff at either end, where a filter knows too little
PER_PERIOD = 4  # instants that are kept per period of the cutoff: what is nearer tells nothing new


@dataclass(frozen=True)
class Motion:
    """What joints did and which torques that took, at equal steps.

    Args:
        tick_s: between two instants [s].
        q, torque: as measured, `(T, J)`.
        cutoff_hz: of the filter.
    """

    tick_s: float
    q: NDArray[np.float64]
    torque: NDArray[np.float64]
    cutoff_hz: float

    @cached_property
    def states(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Positions, velocities and accelerations of the filtered positions, `(T, J)` each."""
        q = self._smooth(self.q)
        time = self.tick_s * np.arange(len(q))
        curve = make_interp_spline(time, q, k=5)
        return q, curve(time, 1), curve(time, 2)

    def thinned(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """What belongs to each instant, `(T, …)`, filtered, without the ends, and no denser than it can tell."""
        edge = round(EDGE / (self.cutoff_hz * self.tick_s))
        every = max(1, round(1 / (PER_PERIOD * self.cutoff_hz * self.tick_s)))
        return self._smooth(values)[edge : len(values) - edge : every]

    def _smooth(self, values: NDArray[Any]) -> NDArray[np.float64]:
        sections = signal.butter(ORDER, self.cutoff_hz, fs=1 / self.tick_s, output="sos")
        return signal.sosfiltfilt(sections, values, axis=0)


def motion_of(recording: Recording, joints: int, torque: str | None, cutoff_hz: float) -> Motion:
    """The motion of a recording, at equal steps of the usual length.

    Raises:
        RecordingError: no torques, other joints, other units than SI, or too few instants for the filter.
        OptionError: a cutoff that is not positive.
    """
    if not cutoff_hz > 0:
        raise OptionError(f"a cutoff is a frequency above 0 Hz, not {cutoff_hz:g}")
    source = _source_of_torques(recording, torque)
    positions, torques = (recording.of_joints(name, joints) for name in ("position", source))
    time = recording.time_s
    tick = usual_step(time)
    lasts = float(time[-1] - time[0])
    if not tick > 0 or lasts < (2 * EDGE + 1) / cutoff_hz:
        raise RecordingError(f"a recording of {lasts:.3g} s is too short for what happens within {1 / cutoff_hz:.3g} s")
    if cutoff_hz >= 0.5 / tick:
        raise RecordingError(f"at one instant per {tick:.3g} s nothing is known of {cutoff_hz:g} Hz: lower the cutoff")
    even = np.arange(time[0], time[-1] + 0.5 * tick, tick)
    return Motion(tick, _at(even, time, positions), _at(even, time, torques), cutoff_hz)


def _source_of_torques(recording: Recording, name: str | None) -> str:
    if name is not None:
        return name
    for known in (*recording.signals, COMMAND):
        if role(recording, known) == "effort":
            return known
    raise RecordingError("nothing in a recording is a torque: no signal is called so or has its unit, N·m")


def _at(instants: NDArray, time: NDArray, values: NDArray) -> NDArray[np.float64]:
    """Values at other instants, between those that were measured, `(N, J)`."""
    out = np.empty((len(instants), values.shape[1]))
    for j, column in enumerate(values.T):
        known = np.isfinite(column)
        if known.sum() < 2:
            raise RecordingError(f"column {j} of a recording was never measured")
        out[:, j] = np.interp(instants, time[known], column[known])
    return out
