"""A MuJoCo scene as Rerun entities: shapes logged once, poses at every step."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.errors import MissingExtraError

try:
    import rerun as rr
except ImportError as error:  # pragma: no cover - depends on the installation
    raise MissingExtraError("rerun", "view") from error

HIDDEN_GROUPS = 3  # geom groups from here on are collision shapes


class Scene:
    """Logs one model below `root`; entity paths are `root/body/geom`."""

    def __init__(self, model: mujoco.MjModel, recording: rr.RecordingStream, root: str = "world") -> None:
        self._model = model
        self._recording = recording
        self._root = root
        self._bodies = [(i, f"{root}/{model.body(i).name or i}") for i in range(model.nbody)]
        self._recording.log(root, rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        for geom in range(model.ngeom):
            self._log_shape(geom)

    def log(self, data: mujoco.MjData) -> None:
        """Logs where every body is, at the recording's present time."""
        for body, path in self._bodies:
            turn = rr.Quaternion(xyzw=_xyzw(data.xquat[body]))
            self._recording.log(path, rr.Transform3D(translation=data.xpos[body], quaternion=turn))

    def _log_shape(self, geom: int) -> None:
        model = self._model
        name = model.geom(geom).name or f"geom{geom}"
        if model.geom_group[geom] >= HIDDEN_GROUPS:
            return
        shape = _shape(model, geom)
        if shape is not None:
            body = model.body(int(model.geom_bodyid[geom])).name or str(model.geom_bodyid[geom])
            self._recording.log(f"{self._root}/{body}/{name.split('/')[-1]}", shape, static=True)


def _shape(model: mujoco.MjModel, geom: int) -> Any:
    """Returns the archetype of one geom in its body's frame, or None for kinds that are not drawn."""
    size, kind = model.geom_size[geom], model.geom_type[geom]
    solid: dict[str, Any] = {"colors": [_colour(model, geom)], "fill_mode": "solid"}
    pose: dict[str, Any] = {"centers": [model.geom_pos[geom]], "quaternions": [_xyzw(model.geom_quat[geom])]}
    types = mujoco.mjtGeom
    if kind == types.mjGEOM_BOX:
        return rr.Boxes3D(half_sizes=[size], **pose, **solid)
    if kind == types.mjGEOM_PLANE:
        return rr.Boxes3D(half_sizes=[_plane_size(size)], **_below(pose, 0.005), **solid)
    if kind == types.mjGEOM_SPHERE:
        return rr.Ellipsoids3D(half_sizes=[[size[0]] * 3], **pose, **solid)
    if kind == types.mjGEOM_ELLIPSOID:
        return rr.Ellipsoids3D(half_sizes=[size], **pose, **solid)
    if kind == types.mjGEOM_CYLINDER:
        return rr.Cylinders3D(lengths=[2 * size[1]], radii=[size[0]], **pose, **solid)
    if kind == types.mjGEOM_CAPSULE:
        return _capsule(model, geom, solid)
    return None


def _capsule(model: mujoco.MjModel, geom: int, solid: dict[str, Any]) -> Any:
    """Rerun's capsules start at one end, MuJoCo's are centred."""
    radius, half = model.geom_size[geom, :2]
    R = np.zeros(9)
    mujoco.mju_quat2Mat(R, model.geom_quat[geom])
    start = model.geom_pos[geom] - half * R.reshape(3, 3)[:, 2]
    quaternion = _xyzw(model.geom_quat[geom])
    return rr.Capsules3D(lengths=[2 * half], radii=[radius], translations=[start], quaternions=[quaternion], **solid)


def _colour(model: mujoco.MjModel, geom: int) -> NDArray[np.uint8]:
    material = model.geom_matid[geom]
    rgba = model.geom_rgba[geom] if material < 0 else model.mat_rgba[material]
    texture = model.mat_texid[material, mujoco.mjtTextureRole.mjTEXROLE_RGB] if material >= 0 else -1
    if texture >= 0:
        rgba = np.append(_mean_colour(model, int(texture)), rgba[3])
    return (np.clip(rgba, 0, 1) * 255).astype(np.uint8)


def _mean_colour(model: mujoco.MjModel, texture: int) -> NDArray:
    start, channels = model.tex_adr[texture], model.tex_nchannel[texture]
    count = model.tex_width[texture] * model.tex_height[texture]
    pixels = model.tex_data[start : start + count * channels].reshape(-1, channels)
    return pixels[:, :3].mean(axis=0) / 255


def _plane_size(size: NDArray) -> list[float]:
    return [float(half) if half > 0 else 10.0 for half in size[:2]] + [0.005]


def _below(pose: dict[str, Any], depth: float) -> dict[str, Any]:
    """A plane is drawn as a thin plate whose upper face is the plane."""
    return pose | {"centers": [pose["centers"][0] - np.array([0, 0, depth])]}


def _xyzw(wxyz: NDArray) -> NDArray:
    return np.array([wxyz[1], wxyz[2], wxyz[3], wxyz[0]])
