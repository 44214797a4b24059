"""A camera's lens from pictures of a ChArUco board (OpenCV's calibration, Zhang 2000)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from embodied.errors import ModelError
from embodied.robot.cameras.image import Image, Lens

FEWEST_PICTURES, FEWEST_CORNERS = 4, 8


@dataclass(frozen=True)
class Board:
    """A printed ChArUco board: squares across and down, edge of a square and of a marker [m]."""

    across: int = 7
    down: int = 5
    square: float = 0.04
    marker: float = 0.03
    dictionary: int = cv2.aruco.DICT_4X4_50

    def opencv(self) -> cv2.aruco.CharucoBoard:
        """The board as OpenCV knows it."""
        markers = cv2.aruco.getPredefinedDictionary(self.dictionary)
        return cv2.aruco.CharucoBoard((self.across, self.down), self.square, self.marker, markers)


@dataclass(frozen=True)
class Calibration:
    """A lens, the root mean square reprojection error [pixels], and how many pictures were used."""

    lens: Lens
    error: float
    pictures: int


def calibrate(pictures: Iterable[Image], board: Board) -> Calibration:
    """Finds the lens that explains where the corners of the board fell in the pictures.

    Raises:
        ModelError: the board was recognized in too few pictures, or the pictures differ in size.
    """
    known = board.opencv()
    detector = cv2.aruco.CharucoDetector(known)
    objects: list[np.ndarray] = []
    images: list[np.ndarray] = []
    size: tuple[int, ...] | None = None
    for picture in pictures:
        gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        if size is not None and gray.shape != size:
            raise ModelError(f"pictures differ in size: {size} and {gray.shape}")
        size = gray.shape
        corners, ids, *_ = detector.detectBoard(gray)
        if ids is not None and len(ids) >= FEWEST_CORNERS:
            points, places = known.matchImagePoints(corners, ids)  # type: ignore[call-overload]
            objects.append(np.asarray(points, np.float32))
            images.append(np.asarray(places, np.float32))
    if size is None or len(images) < FEWEST_PICTURES:
        raise ModelError(
            f"the board was recognized in {len(images)} pictures, at least {FEWEST_PICTURES} are needed: check the "
            "numbers of squares and the marker dictionary, and take sharper pictures from more angles"
        )
    height, width = size
    error, matrix, distortion, *_ = cv2.calibrateCamera(objects, images, (width, height), None, None)
    k1, k2, p1, p2, k3 = (float(v) for v in np.asarray(distortion).ravel()[:5])
    intrinsics = (float(matrix[0, 0]), float(matrix[1, 1]), float(matrix[0, 2]), float(matrix[1, 2]))
    lens = Lens(width, height, *intrinsics, (k1, k2, p1, p2, k3))
    return Calibration(lens, float(error), len(images))
