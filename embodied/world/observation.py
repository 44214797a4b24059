"""The forms in which an observation is delivered: a flat vector, or a dictionary of named vectors and pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from embodied.errors import UnknownNameError
from embodied.layout import Channel, Layout


class ObservationForm(ABC):
    """Turns rows of a layout, `(N, dim)`, into what users are given, and back."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    @property
    @abstractmethod
    def space(self) -> spaces.Space:
        """The space of a single observation."""

    @abstractmethod
    def of(self, rows: NDArray[np.float32]) -> Any:
        """Observations that share no memory with the rows."""

    @abstractmethod
    def rows(self, observation: Any) -> NDArray:
        """Rows of observations."""


class FlatObservation(ObservationForm):
    """A vector with finite bounds."""

    @property
    def space(self) -> spaces.Box:
        return spaces.Box(self.layout.low, self.layout.high, dtype=np.float32)

    def of(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        return rows.copy()

    def rows(self, observation: Any) -> NDArray:
        return np.asarray(observation)


class DictObservation(ObservationForm):
    """Channels by name: vectors `(N, size)`, and color pictures `(N, height, width, 3)` of bytes."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        self._places = [(channel, layout.slice(channel.name)) for channel in layout.channels]

    @property
    def space(self) -> spaces.Dict:
        return spaces.Dict({channel.name: _space_of(channel) for channel in self.layout.channels})

    def of(self, rows: NDArray[np.float32]) -> dict[str, NDArray]:
        return {channel.name: _shaped(rows[:, place], channel) for channel, place in self._places}

    def rows(self, observation: Any) -> NDArray:
        if not isinstance(observation, Mapping):
            return np.asarray(observation)
        parts = [_flat(np.asarray(observation[channel.name]), channel) for channel in self.layout.channels]
        return np.concatenate(parts, axis=1)


FORMS: dict[str, type[ObservationForm]] = {"flat": FlatObservation, "dict": DictObservation}


def form_of(name: str, layout: Layout) -> ObservationForm:
    """The form of that name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in FORMS:
        raise UnknownNameError("form of observation", name, FORMS)
    return FORMS[name](layout)


def _space_of(channel: Channel) -> spaces.Box:
    if channel.is_color:
        return spaces.Box(0, 255, channel.shape, np.uint8)
    return spaces.Box(channel.low, channel.high, channel.shape or (channel.size,), np.float32)


def _shaped(rows: NDArray[np.float32], channel: Channel) -> NDArray:
    shaped = rows.reshape(len(rows), *(channel.shape or (channel.size,)))
    return np.round(shaped * 255).astype(np.uint8) if channel.is_color else shaped.copy()


def _flat(values: NDArray, channel: Channel) -> NDArray[np.float32]:
    rows = values.reshape(len(values), -1)
    return (rows / np.float32(255) if channel.is_color else rows).astype(np.float32)
