"""The encoder: features of an observation that is a flat row of numbers (`embodied.spaces.Codec`).

Vectors are scaled by their bounds, choices become indicators, pictures go through a small convolutional network.
"""

from __future__ import annotations

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from embodied.nn.normalization import RunningMeanStd
from embodied.spaces import Codec, Part, sides


class Encoder(nn.Module):
    """Features of rows: vectors through one linear layer, each picture through a small network; all added up.

    With `normalize`, vectors are also brought to zero mean and unit spread, as `observe` comes to know them.
    """

    offset: Tensor
    scale: Tensor

    def __init__(self, codec: Codec, features: int, normalize: bool = False) -> None:
        super().__init__()
        self.features = features
        offset, scale = zip(*(_normalizer(part) for part in codec.parts), strict=True)
        self.register_buffer("offset", torch.cat(offset), persistent=False)
        self.register_buffer("scale", torch.cat(scale), persistent=False)
        columns = [torch.arange(part.start, part.stop) for part in codec.vectors]
        self._columns = torch.cat(columns) if codec.pictures and columns else None
        self.running = RunningMeanStd(codec.size, _measured(codec)) if normalize else None
        self.linear = nn.Linear(sum(part.size for part in codec.vectors), features) if columns else None
        self._pictures = [(part.start, part.stop, tuple(part.space.shape or ())) for part in codec.pictures]
        self.pictures = nn.ModuleList(_picture_network(part.space, features) for part in codec.pictures)

    def forward(self, rows: Tensor) -> Tensor:
        """Returns features of rows `(…, size)`, `(…, features)`."""
        rows = self.normalized(rows)
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

    def normalized(self, rows: Tensor) -> Tensor:
        """Rows with bounded numbers in [-1, 1]; in spreads from their mean, where that is kept."""
        rows = (rows - self.offset) * self.scale
        return rows if self.running is None else self.running(rows)

    def update_normalizer(self, rows: Tensor) -> None:
        """Takes note of how numbers are spread in rows `(n, size)`, if it normalize them."""
        if self.running is not None:
            self.running.update((rows - self.offset) * self.scale)


def _measured(codec: Codec) -> Tensor:
    """Which numbers of a row are measurements: neither pixels nor indicators."""
    parts = [part for part in codec.vectors if isinstance(part.space, spaces.Box)]
    return torch.cat([torch.arange(0), *(torch.arange(part.start, part.stop) for part in parts)])


def _picture_network(space: spaces.Space, features: int) -> nn.Sequential:
    """A small convolutional network (after Mnih et al. 2015) that takes pictures from 12 pixels up."""
    height, width = sides(space)
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


def _normalizer(part: Part) -> tuple[Tensor, Tensor]:
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
