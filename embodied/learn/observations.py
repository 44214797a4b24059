"""Any observation as one flat row of numbers, and the encoder that makes features of it.

Vectors are scaled by their bounds, choices become indicators, pictures go through a small convolutional network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor, nn

from embodied.errors import OptionError
from embodied.learn.scaling import RunningScale

MASK = "action_mask"  # a Dict observation may hold which actions are allowed; the policy does not see it as a number
SMALLEST_PICTURE = 12  # pixels; smaller boxes of three dimensions are flattened


def mask_of(observation: Any) -> Any:
    """The mask of allowed actions that a Dict observation holds, also below `obs`; None without one."""
    if not isinstance(observation, dict):
        return None
    return observation[MASK] if MASK in observation else mask_of(observation.get("obs"))


@dataclass(frozen=True)
class Part:
    """One simple space within an observation, and where its numbers stand in the flat row."""

    path: tuple[str | int, ...]
    space: spaces.Space
    start: int

    @property
    def is_picture(self) -> bool:
        """Whether it is a picture, height × width × channels or channels first."""
        box = self.space
        return isinstance(box, spaces.Box) and len(box.shape) == 3 and min(_sides(box)) >= SMALLEST_PICTURE

    @property
    def size(self) -> int:
        """How many numbers it takes."""
        if isinstance(self.space, spaces.Discrete):
            return int(self.space.n)
        if isinstance(self.space, spaces.MultiDiscrete):
            return int(self.space.nvec.sum())
        return int(np.prod(self.space.shape or (1,)))

    @property
    def stop(self) -> int:
        return self.start + self.size

    def numbers(self, observation: Any) -> NDArray:
        """Its numbers in a batch of observations, `(N, size)`."""
        value = observation
        for key in self.path:
            value = value[key]
        value = np.asarray(value)
        if isinstance(self.space, spaces.Discrete):
            return _indicators(value.reshape(-1, 1) - self.space.start, np.array([self.space.n]))
        if isinstance(self.space, spaces.MultiDiscrete):
            count = self.space.nvec.size
            return _indicators(value.reshape(-1, count) - self.space.start.reshape(-1), self.space.nvec.reshape(-1))
        return value.reshape(-1, self.size)


class Codec:
    """Turns batches of observations of a space into rows `(N, size)` of float32.

    Raises:
        OptionError: the space holds something else than Box, Discrete, MultiDiscrete, MultiBinary, Dict and Tuple.
    """

    def __init__(self, space: spaces.Space) -> None:
        self.space = space
        self.parts: list[Part] = []
        self._collect(space, ())
        if not self.parts:
            raise OptionError(f"there is nothing to observe in {space}")
        self.size = self.parts[-1].stop
        self.is_flat = isinstance(space, spaces.Box) and len(space.shape) == 1

    @property
    def pictures(self) -> list[Part]:
        return [part for part in self.parts if part.is_picture]

    @property
    def vectors(self) -> list[Part]:
        return [part for part in self.parts if not part.is_picture]

    def rows(self, observation: Any) -> NDArray[np.float32]:
        """Returns a batch of observations as rows, `(N, size)`."""
        if self.is_flat:
            return np.asarray(observation, np.float32)
        return np.concatenate([part.numbers(observation) for part in self.parts], axis=1).astype(np.float32)

    def batched(self, observation: Any) -> tuple[Any, bool]:
        """Returns an observation as a batch, and whether it was a single one."""
        part = self.parts[0]
        value = observation
        for key in part.path:
            value = value[key]
        single = np.ndim(value) == len(part.space.shape or ())
        return (_with_batch(observation) if single else observation), single

    def _collect(self, space: spaces.Space, path: tuple[str | int, ...]) -> None:
        if isinstance(space, spaces.Dict):
            for key, inner in space.spaces.items():
                if key != MASK:
                    self._collect(inner, (*path, key))
        elif isinstance(space, spaces.Tuple):
            for i, inner in enumerate(space.spaces):
                self._collect(inner, (*path, i))
        elif isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
            self.parts.append(Part(path, space, self.parts[-1].stop if self.parts else 0))
        else:
            raise OptionError(
                f"observations of {type(space).__name__} are not supported; known: Box, Discrete, MultiDiscrete, "
                "MultiBinary, and Dict or Tuple of these"
            )


class Encoder(nn.Module):
    """Features of rows: vectors through one linear layer, each picture through a small network; all added up.

    With `normalises`, vectors are also brought to zero mean and unit spread, as `observe` comes to know them.
    """

    offset: Tensor
    scale: Tensor

    def __init__(self, codec: Codec, features: int, normalises: bool = False) -> None:
        super().__init__()
        offset, scale = zip(*(_normaliser(part) for part in codec.parts), strict=True)
        self.register_buffer("offset", torch.cat(offset), persistent=False)
        self.register_buffer("scale", torch.cat(scale), persistent=False)
        columns = [torch.arange(part.start, part.stop) for part in codec.vectors]
        self._columns = torch.cat(columns) if codec.pictures and columns else None
        self.running = RunningScale(codec.size, _measured(codec)) if normalises else None
        self.linear = nn.Linear(sum(part.size for part in codec.vectors), features) if columns else None
        self._pictures = [(part.start, part.stop, tuple(part.space.shape or ())) for part in codec.pictures]
        self.pictures = nn.ModuleList(_picture_network(part.space, features) for part in codec.pictures)

    def forward(self, rows: Tensor) -> Tensor:
        """Returns features of rows `(…, size)`, `(…, features)`."""
        rows = self.normalised(rows)
        total: Tensor | None = None
        if self.linear is not None:
            total = self.linear(rows if self._columns is None else rows[..., self._columns.to(rows.device)])
        for network, (start, stop, shape) in zip(self.pictures, self._pictures, strict=True):
            picture = rows[..., start:stop].reshape(-1, *shape)
            channels_last = shape[2] < shape[0]
            seen = network(picture.permute(0, 3, 1, 2) if channels_last else picture)
            seen = seen.reshape(*rows.shape[:-1], -1)
            total = seen if total is None else total + seen
        assert total is not None
        return total

    def normalised(self, rows: Tensor) -> Tensor:
        """Rows with bounded numbers in [-1, 1]; in spreads from their mean, where that is kept."""
        rows = (rows - self.offset) * self.scale
        return rows if self.running is None else self.running(rows)

    def observe(self, rows: Tensor) -> None:
        """Takes note of how numbers are spread in rows `(n, size)`, if it normalises them."""
        if self.running is not None:
            self.running.update((rows - self.offset) * self.scale)


def _measured(codec: Codec) -> Tensor:
    """Which numbers of a row are measurements: neither pixels nor indicators."""
    parts = [part for part in codec.vectors if isinstance(part.space, spaces.Box)]
    return torch.cat([torch.arange(0), *(torch.arange(part.start, part.stop) for part in parts)])


def _picture_network(space: spaces.Space, features: int) -> nn.Sequential:
    """A small convolutional network (after Mnih et al. 2015) that takes pictures from 12 pixels up."""
    height, width = _sides(space)
    channels = min((space.shape or ())[::2])
    layers: list[nn.Module] = []
    size, inward = min(height, width), channels
    for outward in (16, 32, 32):
        if size < 6:
            break
        layers += [nn.Conv2d(inward, outward, 3, stride=2), nn.ReLU()]
        size, inward = (size - 3) // 2 + 1, outward
    layers.append(nn.Flatten())
    with torch.no_grad():
        flat = nn.Sequential(*layers)(torch.zeros(1, channels, height, width)).shape[1]
    return nn.Sequential(*layers, nn.Linear(flat, features))


def _sides(space: spaces.Space) -> tuple[int, int]:
    assert space.shape is not None
    a, b, c = space.shape
    return (a, b) if c < a else (b, c)


def _normaliser(part: Part) -> tuple[Tensor, Tensor]:
    """Offset and scale that bring bounded numbers into [-1, 1] and leave unbounded ones and indicators alone."""
    box = part.space
    if not isinstance(box, spaces.Box):
        return torch.zeros(part.size), torch.ones(part.size)
    low, high = box.low.reshape(-1).astype(np.float64), box.high.reshape(-1).astype(np.float64)
    bounded = np.isfinite(low) & np.isfinite(high) & (high - low < 1e6) & (high > low)
    low, high = np.where(bounded, low, -1.0), np.where(bounded, high, 1.0)
    return torch.as_tensor((low + high) / 2, dtype=torch.float32), torch.as_tensor(
        2 / (high - low), dtype=torch.float32
    )


def _indicators(choice: NDArray, sizes: NDArray) -> NDArray[np.float32]:
    """Choices `(N, k)` among `sizes (k,)` as indicators side by side, `(N, sum of sizes)`."""
    rows = np.zeros((len(choice), int(sizes.sum())), np.float32)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    np.put_along_axis(rows, (choice + starts).astype(np.intp), 1.0, axis=1)
    return rows


def _with_batch(observation: Any) -> Any:
    if isinstance(observation, dict):
        return {key: _with_batch(value) for key, value in observation.items()}
    if isinstance(observation, tuple):
        return tuple(_with_batch(value) for value in observation)
    return np.asarray(observation)[None]
