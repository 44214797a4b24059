"""From a rendered picture to what a real color camera delivers: lens, shutter, sensor, white balance, JPEG.

Light is handled in linear units, where white is 1; pictures come and go as sRGB bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from embodied.errors import ModelError
from embodied.extras import advice
from embodied.seeding import quick_normal

with advice():
    import cv2

Image = NDArray[np.uint8]  # (height, width, 3), sRGB
REFINEMENTS = 20  # of the inverse of the distortion
TABLE = 4096  # entries of the table that turns linear light into sRGB bytes


@dataclass(frozen=True)
class Lens:
    """OpenCV's camera model: focal lengths and principal point [pixels], and distortion (k1, k2, p1, p2, k3)."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The intrinsic matrix, `(3, 3)`."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.0]])

    def mjcf(self) -> dict[str, str]:
        """Attributes of an MJCF camera that draws what this lens sees before distortion.

        OpenCV counts pixels from the middle of the first one, MuJoCo from the middle of the picture to where the
        principal point is on the sensor, on which the picture stands upside down.
        """
        size = (self.width, self.height)
        center = (self.width / 2 - (self.cx + 0.5), self.height / 2 - (self.cy + 0.5))
        return {
            "resolution": f"{size[0]} {size[1]}",
            "sensorsize": f"{size[0] * 1e-3:.9g} {size[1] * 1e-3:.9g}",
            "focalpixel": f"{self.fx:.9g} {self.fy:.9g}",
            "principalpixel": f"{center[0]:.9g} {center[1]:.9g}",
        }

    @cached_property
    def _maps(self) -> tuple[NDArray, NDArray]:
        """For each pixel of the distorted picture, where its light falls in the undistorted one."""
        x, y = np.meshgrid(np.arange(self.width, dtype=np.float64), np.arange(self.height, dtype=np.float64))
        points = np.stack([x.ravel(), y.ravel()], axis=1)[:, None]
        distortion, still, focal = np.array(self.distortion), np.zeros(3), np.array([self.fx, self.fy])
        rays = cv2.undistortPoints(points, self.matrix, distortion)
        for _ in range(REFINEMENTS):  # OpenCV stops after five, a quarter of a pixel away where lenses are strong
            bent, _ = cv2.projectPoints(cv2.convertPointsToHomogeneous(rays), still, still, self.matrix, distortion)
            rays = rays + (points - bent) / focal
        placed = (rays * focal + [self.cx, self.cy]).astype(np.float32).reshape(self.height, self.width, 2)
        return placed[..., 0].copy(), placed[..., 1].copy()

    def distort(self, light: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bends an undistorted picture `(height, width, 3)` as the lens does."""
        if not any(self.distortion):
            return light
        bent = cv2.remap(light, *self._maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(bent, np.float32)


@dataclass(frozen=True)
class ImagePipeline:
    """What stands between the scene and the bytes.

    Attributes:
        lens: distortion; None for none.
        exposure: relative exposure; 1 shows the scene as it was rendered.
        gain: amplification after the sensor; noise is amplified with the signal.
        full_well: electrons that a white pixel collects at exposure 1 and gain 1.
        read_noise: standard deviation of the readout [electrons].
        white_balance: gains of red, green and blue.
        shutter: share of the frame's time for which each row collects light, for motion blur.
        readout: share of the frame's time from the first row to the last, for a rolling shutter.
        jpeg_quality: 1 to 100, or 0 for no compression.

    Raises:
        ModelError: a value outside what is physical.
    """

    lens: Lens | None = None
    exposure: float = 1.0
    gain: float = 1.0
    full_well: float = 10_000.0
    read_noise: float = 5.0
    white_balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    shutter: float = 0.0
    readout: float = 0.0
    jpeg_quality: int = 0

    def __post_init__(self) -> None:
        if min(self.exposure, self.gain, self.full_well, *self.white_balance) <= 0 or self.read_noise < 0:
            raise ModelError("exposure, gain, full well and white balance must be positive, read noise not negative")
        if not (0 <= self.shutter <= 1 and 0 <= self.readout <= 1 and self.shutter + self.readout <= 1):
            raise ModelError("shutter and readout are shares of a frame's time that fit into it together")
        if not 0 <= self.jpeg_quality <= 100:
            raise ModelError(f"jpeg_quality is {self.jpeg_quality}, expected 1 to 100, or 0 for none")

    @property
    def moves(self) -> bool:
        """Whether light is collected over time, so that several renderings are needed."""
        return bool(self.shutter or self.readout)

    def random_values(self, width: int, height: int) -> int:
        """How many random values a picture of that size takes."""
        return -(-width * height * 3 // 4)

    def process(self, frames: list[Image], bits: NDArray[np.uint64]) -> Image:
        """Returns the picture that the camera delivers.

        Args:
            frames: pictures rendered at equal steps through the frame's time, oldest first; one is enough without
                shutter and readout.
            bits: random bits, `(random_values,)`.
        """
        light = self.collect(frames)
        if self.lens is not None:
            light = self.lens.distort(light)
        sensed = self.sense(light * np.float32(self.exposure), bits) * np.asarray(self.white_balance, np.float32)
        return self.compress(to_srgb(np.minimum(sensed, 1.0)))

    def collect(self, frames: list[Image]) -> NDArray[np.float32]:
        """Light that each row collects while its shutter is open: motion blur and rolling shutter."""
        light = to_linear(np.stack(frames))
        if len(frames) == 1:
            return light[0]
        time = np.linspace(0, 1, len(frames))
        rows = np.linspace(0, 1, light.shape[1])[:, None]
        opened = (1 - self.shutter - self.readout) + self.readout * rows
        weight = np.maximum(1 - np.abs(time - np.clip(time, opened, opened + self.shutter)) * (len(frames) - 1), 0.0)
        weight /= weight.sum(axis=1, keepdims=True)
        return np.einsum("rk,krwc->rwc", weight.astype(np.float32), light)

    def sense(self, light: NDArray[np.float32], bits: NDArray[np.uint64]) -> NDArray[np.float32]:
        """Adds photon and readout noise (Poisson–Gaussian, Foi et al. 2008) and amplifies."""
        electrons = np.clip(light, 0, None) * self.full_well
        noise = quick_normal(bits, light.size).reshape(light.shape)
        electrons += np.sqrt(electrons + self.read_noise**2) * noise
        return np.clip(np.minimum(electrons, self.full_well) * (self.gain / self.full_well), 0.0, 1.0)

    def compress(self, picture: Image) -> Image:
        """Encodes as JPEG and decodes again."""
        if not self.jpeg_quality:
            return picture
        _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality])
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert decoded is not None
        return np.ascontiguousarray(decoded[..., ::-1]).astype(np.uint8, copy=False)


def to_linear(picture: Image) -> NDArray[np.float32]:
    """Turns sRGB bytes into linear light (IEC 61966-2-1)."""
    return _LINEAR_OF_BYTE[picture]


def to_srgb(light: NDArray[np.float32]) -> Image:
    """Turns linear light in [0, 1] into sRGB bytes."""
    return _BYTE_OF_LINEAR[(light * (TABLE - 1) + 0.5).astype(np.intp)]


def _srgb_curve(light: NDArray) -> NDArray:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055)


def _linear_curve(value: NDArray) -> NDArray:
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


_LINEAR_OF_BYTE = _linear_curve(np.arange(256) / 255).astype(np.float32)
_BYTE_OF_LINEAR = np.round(255 * _srgb_curve(np.arange(TABLE) / (TABLE - 1))).astype(np.uint8)
