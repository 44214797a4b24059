"""Watches an environment and records the commands and the measurements of its robot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from embodied.errors import RecordingError
from embodied.layout import Layout
from embodied.sysid.recording import Recording


class Recorder:
    """An observer of one world; it changes nothing.

    Instant k of a recording is when observation k was seen and command k was given.

    Args:
        layout: what the columns of an observation are.
        control_hz: decisions per second.
        about: kept as metadata.
    """

    def __init__(self, layout: Layout, control_hz: float, **about: str | float) -> None:
        self._layout, self._hz, self._about = layout, control_hz, about
        self._seen: list[np.ndarray] = []
        self._truth: list[np.ndarray] = []

    def begin(self, obs: ArrayLike) -> None:
        """An episode begins with this observation; what came before is forgotten."""
        self._seen, self._truth = [np.array(obs, float)], []

    def step(self, action: ArrayLike, obs: ArrayLike) -> None:
        """Records a command and the observation that followed.

        Raises:
            RecordingError: no episode was begun.
        """
        if not self._seen:
            raise RecordingError("begin() comes before step()")
        self._truth.append(np.array(action, float))
        self._seen.append(np.array(obs, float))

    def recording(self, channels: Sequence[str] | None = None) -> Recording:
        """What was written down of the episode; `channels` of the layout (None: all of them).

        Raises:
            RecordingError: nothing has been recorded yet.
            UnknownNameError: there is no such channel.
        """
        if not self._truth:
            raise RecordingError("nothing has been recorded yet")
        seen = np.array(self._seen)
        names = [channel.name for channel in self._layout.channels] if channels is None else list(channels)
        signals = {name: seen[:, self._layout.slice(name)] for name in names}
        units = {c.name: c.unit for c in self._layout.channels if c.name in names}
        commands = np.array([*self._truth, self._truth[-1]])
        return Recording(np.arange(len(seen)) / self._hz, commands, signals, units, self._about)
