"""The named layout of a flat observation: which numbers mean what, in which unit, within which bounds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from embodied.errors import UnknownNameError

SHARE_OF_WHITE = "share of white"  # unit of the pixels of color pictures


@dataclass(frozen=True)
class Channel:
    """`size` neighboring numbers of an observation that share a meaning, a unit and finite bounds.

    Attributes:
        shape: what they are an array of, such as `(height, width, 3)`; empty for a vector.
        labels: what each number of a vector is of, such as the name of a joint; empty where nothing has a name.
    """

    name: str
    size: int
    low: float
    high: float
    unit: str
    shape: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def is_color(self) -> bool:
        """Whether it is a picture in colors."""
        return self.unit == SHARE_OF_WHITE and len(self.shape) == 3


@dataclass(frozen=True)
class Layout:
    """Channels in the order in which they stand in the observation."""

    channels: tuple[Channel, ...]

    def extended(self, channels: Iterable[Channel]) -> Layout:
        """This layout with more channels behind its own."""
        return Layout((*self.channels, *channels))

    @property
    def size(self) -> int:
        """Length of the flat observation."""
        return sum(channel.size for channel in self.channels)

    @property
    def low(self) -> NDArray[np.float32]:
        """Lower bounds, `(size,)`."""
        return np.concatenate([np.full(c.size, c.low, np.float32) for c in self.channels])

    @property
    def high(self) -> NDArray[np.float32]:
        """Upper bounds, `(size,)`."""
        return np.concatenate([np.full(c.size, c.high, np.float32) for c in self.channels])

    def slice(self, name: str) -> slice:
        """Returns where channel `name` stands.

        Raises:
            UnknownNameError: there is no such channel.
        """
        start = 0
        for channel in self.channels:
            if channel.name == name:
                return slice(start, start + channel.size)
            start += channel.size
        raise UnknownNameError("channel", name, [c.name for c in self.channels])


def joined(layouts: dict[str, Layout]) -> Layout:
    """The layouts of several bodies side by side, with their prefixes; that of a single one as it is."""
    if len(layouts) == 1:
        return next(iter(layouts.values()))
    channels = [replace(c, name=prefix + c.name) for prefix, layout in layouts.items() for c in layout.channels]
    return Layout(tuple(channels))
