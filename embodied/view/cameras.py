"""Where the cameras of a model are, and what they look at."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
import rerun as rr
from numpy.typing import NDArray

DISTANCE = 0.05  # [m] at which the frame of a camera is drawn


def is_fixed(model: mujoco.MjModel, camera: int) -> bool:
    """Whether a camera stands still in the frame of its body, neither tracking nor aiming."""
    return int(model.cam_mode[camera]) == int(mujoco.mjtCamLight.mjCAMLIGHT_FIXED)


def is_orthographic(model: mujoco.MjModel, camera: int) -> bool:
    """Whether its rays are parallel."""
    return int(model.cam_projection[camera]) == int(mujoco.mjtProjection.mjPROJ_ORTHOGRAPHIC)


def camera_shape(model: mujoco.MjModel, camera: int) -> Any:
    """The archetype of a camera, which looks along its own −z with y up; a box of parallel rays if orthographic."""
    width, height = (int(side) for side in model.cam_resolution[camera])
    aspect = width / height if height > 1 else 4 / 3
    if is_orthographic(model, camera):
        return rr.LineStrips3D(_box(0.5 * float(model.cam_fovy[camera]), aspect))
    style: dict[str, Any] = {"camera_xyz": rr.ViewCoordinates.RUB, "image_plane_distance": DISTANCE}
    sensor = model.cam_sensorsize[camera]
    if not sensor.any():
        return rr.Pinhole(fov_y=np.deg2rad(model.cam_fovy[camera]), aspect_ratio=aspect, **style)
    pixels = np.array([width, height]) / sensor
    focal, principal = np.split(model.cam_intrinsic[camera] * np.tile(pixels, 2), 2)
    center = np.array([width, height]) / 2 - principal
    return rr.Pinhole(resolution=[width, height], focal_length=focal, principal_point=center, **style)


def _box(half_height: float, aspect: float) -> list[NDArray[np.float64]]:
    """The outline of what an orthographic camera sees, up to `DISTANCE`."""
    x, y = half_height * aspect, half_height
    frame = np.array([[-x, -y, 0], [x, -y, 0], [x, y, 0], [-x, y, 0], [-x, -y, 0]])
    far = frame - [0, 0, DISTANCE]
    return [frame, far, *(np.stack([a, b]) for a, b in zip(frame[:4], far[:4], strict=True))]
