"""Cameras whose pictures MuJoCo renders: color, through the chain of a real one, and depth."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodied.errors import ModelError
from embodied.layout import SHARE_OF_WHITE, Channel
from embodied.physics.batch import VISIBLE_GROUPS, group_mask
from embodied.robot.timing import AGE_LIMIT_S, IMMEDIATE, Timing
from embodied.seeding import as_uniforms, quick_normal


@dataclass(frozen=True)
class Camera(ABC):
    """A rendered camera.

    Attributes:
        camera: of the robot's MJCF; what it sees must not include itself.
        width, height: of the picture [pixels].
        timing: when frames are captured and when they arrive; captured at instants of decision. If a frame can be
            late or held, its age is observed, and whether it is new.
        groups: geom groups that it sees; by default those that MuJoCo draws.
    """

    name: str
    camera: str
    width: int = 64
    height: int = 64
    timing: Timing = IMMEDIATE
    groups: tuple[int, ...] = VISIBLE_GROUPS

    def __post_init__(self) -> None:
        group_mask(self.groups)
        if min(self.width, self.height) < 1:
            raise ModelError(f"camera {self.name!r} needs a width and a height of at least a pixel")

    @property
    @abstractmethod
    def image_channels(self) -> tuple[Channel, ...]:
        """What a frame adds to the observation."""

    @property
    @abstractmethod
    def depth(self) -> bool:
        """Whether distances are rendered rather than colors."""

    @property
    @abstractmethod
    def random_values(self) -> int:
        """How many random values a frame takes."""

    @property
    def renders(self) -> int:
        """How many renderings a frame is made of, at equal steps up to the moment of its capture."""
        return 1

    @abstractmethod
    def process(self, rendered: list[NDArray], bits: NDArray[np.uint64]) -> NDArray:
        """Returns what the camera delivers as the numbers of a frame, flat, in the type it is kept in."""

    @abstractmethod
    def encode(self, frames: NDArray) -> list[NDArray]:
        """Returns kept frames `(n, …)` as numbers of the observation, one array per channel of `image_channels`."""

    @abstractmethod
    def ideal(self) -> Camera:
        """Returns this camera without its imperfections."""

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Its place in the observation."""
        if self.timing.immediate:
            return self.image_channels
        age = Channel(f"{self.name}/age", 1, 0.0, AGE_LIMIT_S, "s")
        return (*self.image_channels, age, Channel(f"{self.name}/new", 1, 0.0, 1.0, "flag"))


@dataclass(frozen=True)
class ColorCamera(Camera):
    """A color camera; `pipeline` (an `embodied.robot.cameras.image.ImagePipeline`) turns the rendering into its image.

    Attributes:
        renders_per_frame: renderings behind a frame, for motion blur and a rolling shutter.
    """

    pipeline: Any = None
    renders_per_frame: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.renders_per_frame < 1:
            raise ModelError(f"camera {self.name!r}: a frame needs at least one rendering")
        if self.pipeline is not None and self.pipeline.moves and self.renders_per_frame < 2:
            raise ModelError(f"camera {self.name!r}: shutter and readout need several renders_per_frame")

    @property
    def image_channels(self) -> tuple[Channel, ...]:
        shape = (self.height, self.width, 3)
        return (Channel(f"{self.name}/rgb", math.prod(shape), 0.0, 1.0, SHARE_OF_WHITE, shape),)

    @property
    def depth(self) -> bool:
        return False

    @property
    def random_values(self) -> int:
        return self.pipeline.random_values(self.width, self.height) if self.pipeline is not None else 1

    @property
    def renders(self) -> int:
        return self.renders_per_frame

    def process(self, rendered: list[NDArray], bits: NDArray[np.uint64]) -> NDArray[np.uint8]:
        picture = rendered[-1] if self.pipeline is None else self.pipeline.process(rendered, bits)
        return picture.reshape(-1)

    def encode(self, frames: NDArray) -> list[NDArray]:
        return [frames * np.float32(1 / 255)]

    def ideal(self) -> ColorCamera:
        return replace(self, timing=IMMEDIATE, pipeline=None, renders_per_frame=1)


@dataclass(frozen=True)
class DepthCamera(Camera):
    """A depth camera: distances along its axis [m], and whether each pixel returned one.

    Attributes:
        min_range, max_range: beyond these a pixel returns nothing: `max_range`, and invalid [m].
        noise_floor: standard deviation at no distance [m].
        noise_quadratic: standard deviation per square of the distance [1/m], as triangulation has it.
        resolution: of the distance [m]; 0 for continuous.
        dropout: probability that a pixel returns nothing.
    """

    min_range: float = 0.1
    max_range: float = 3.0
    noise_floor: float = 0.0
    noise_quadratic: float = 0.0
    resolution: float = 0.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.min_range < self.max_range:
            raise ModelError(f"camera {self.name!r}: ranges must be ordered")
        if min(self.noise_floor, self.noise_quadratic, self.resolution) < 0 or not 0 <= self.dropout < 1:
            raise ModelError(f"camera {self.name!r}: noise and resolution must not be negative, dropout below 1")

    @property
    def image_channels(self) -> tuple[Channel, ...]:
        shape = (self.height, self.width, 1)
        ranges = Channel(f"{self.name}/depth", math.prod(shape), 0.0, self.max_range, "m", shape)
        return ranges, Channel(f"{self.name}/valid", math.prod(shape), 0.0, 1.0, "flag", shape)

    @property
    def depth(self) -> bool:
        return True

    @property
    def random_values(self) -> int:
        pixels = self.width * self.height
        return -(-pixels // 4) + pixels  # four normals of 16 bits in each of the first, and one fate per pixel

    def process(self, rendered: list[NDArray], bits: NDArray[np.uint64]) -> NDArray[np.float32]:
        truth = rendered[-1].reshape(-1).astype(np.float32)
        spread = np.hypot(np.float32(self.noise_floor), np.float32(self.noise_quadratic) * truth**2)
        depth = truth + spread * quick_normal(bits[: self.random_values - truth.size], truth.size)
        u = as_uniforms(bits[self.random_values - truth.size :])[0]
        if self.resolution:
            depth = np.round(depth / self.resolution) * np.float32(self.resolution)
        lost = (truth < self.min_range) | (truth > self.max_range) | (u < self.dropout)
        return np.where(lost, np.float32(-1.0), np.clip(depth, 0.0, self.max_range)).astype(np.float32)

    def encode(self, frames: NDArray) -> list[NDArray]:
        valid = frames >= 0
        return [np.where(valid, frames, np.float32(self.max_range)), valid]

    def ideal(self) -> DepthCamera:
        exact: dict[str, Any] = {"noise_floor": 0.0, "noise_quadratic": 0.0, "resolution": 0.0, "dropout": 0.0}
        return replace(self, timing=IMMEDIATE, **exact)
