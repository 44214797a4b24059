"""Compares what is logged of a model with MuJoCo's own abstract scene of it."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
import rerun as rr

from embodied.view.scene import Scene

KIND = mujoco.mjtGeom
FIGURES = {
    KIND.mjGEOM_BOX: rr.Boxes3D,
    KIND.mjGEOM_PLANE: rr.Boxes3D,
    KIND.mjGEOM_SPHERE: rr.Ellipsoids3D,
    KIND.mjGEOM_ELLIPSOID: rr.Ellipsoids3D,
    KIND.mjGEOM_CYLINDER: rr.Cylinders3D,
    KIND.mjGEOM_CAPSULE: rr.Capsules3D,
    KIND.mjGEOM_MESH: rr.Mesh3D,
    KIND.mjGEOM_SDF: rr.Mesh3D,
    KIND.mjGEOM_HFIELD: rr.Mesh3D,
}


class Log:
    """What a scene logs, by path: the last of each kind of archetype."""

    def __init__(self) -> None:
        self.entries: dict[str, dict[str, Any]] = {}

    def log(self, path: str, entity: Any, static: bool = False) -> None:
        self.entries.setdefault(path, {})[type(entity).__name__] = entity

    def shape(self, path: str) -> Any:
        return next(entity for kind, entity in self.entries[path].items() if kind != "Transform3D")

    def pose(self, path: str) -> tuple[np.ndarray, np.ndarray]:
        """Rotation and translation of an entity in the world, along the tree of paths."""
        R, p = np.eye(3), np.zeros(3)
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            at = self.entries.get("/".join(parts[:depth]), {}).get("Transform3D")
            if at is not None:
                R, p = R @ _matrix(at.quaternion), R @ numbers(at.translation) + p
        return R, p


def numbers(component: Any) -> np.ndarray:
    flat = component.as_arrow_array()
    while hasattr(flat, "flatten"):
        flat = flat.flatten()
    return np.asarray(flat, np.float64)


def _matrix(quaternion: Any) -> np.ndarray:
    R = np.zeros(9)
    mujoco.mju_quat2Mat(R, np.roll(numbers(quaternion), 1))
    return R.reshape(3, 3)


def moved(model: mujoco.MjModel) -> mujoco.MjData:
    """A state in which every joint is somewhere else."""
    data = mujoco.MjData(model)
    mujoco.mj_integratePos(model, data.qpos, np.random.default_rng(0).normal(0.0, 0.4, model.nv), 1.0)
    mujoco.mj_forward(model, data)
    return data


def differences(model: mujoco.MjModel) -> list[str]:
    """In what the logged scene of a model in another state differs from MuJoCo's; empty where it does in nothing."""
    data, log = moved(model), Log()
    scene = Scene(model, log)  # type: ignore[arg-type]
    scene.log(data)
    option = mujoco.MjvOption()
    nothing_else = not any((groups < 3).any() for groups in (model.geom_group, model.flex_group, model.skin_group))
    for group in range(mujoco.mjNGROUP):
        shown = group < 3 or nothing_else
        option.geomgroup[group] = option.sitegroup[group] = option.tendongroup[group] = shown
        option.flexgroup[group] = option.skingroup[group] = shown
    theirs = mujoco.MjvScene(model, 100_000)
    camera, everything = mujoco.MjvCamera(), int(mujoco.mjtCatBit.mjCAT_ALL)
    mujoco.mjv_updateScene(model, data, option, None, camera, everything, theirs)
    found, seen, segments = [], set(), 0
    for geom in (theirs.geoms[i] for i in range(theirs.ngeom)):
        kind = {mujoco.mjtObj.mjOBJ_GEOM: "geom", mujoco.mjtObj.mjOBJ_SITE: "site"}.get(geom.objtype)
        segments += geom.objtype == mujoco.mjtObj.mjOBJ_TENDON
        if kind is not None:
            seen.add((kind, int(geom.objid)))
            found += _difference(model, geom, kind, scene, log)
    found += [f"{kind} {i} is shown, but not by MuJoCo" for kind, i in sorted(set(scene.paths) - seen)]
    strips = log.entries.get("world/tendons", {}).get("LineStrips3D")
    if segments and (strips is None or len(strips.strips.as_arrow_array()) != segments):
        found.append(f"tendons have {segments} segments")
    for name, count in (("Mesh3D", model.nskin + int((model.flex_dim > 1).sum())),):
        soft = [path for path, kinds in log.entries.items() if name in kinds and path not in scene.paths.values()]
        if len(soft) != count:
            found.append(f"{len(soft)} of {count} flexes and skins are shown")
    return found


def _difference(model: mujoco.MjModel, geom: Any, kind: str, scene: Scene, log: Log) -> list[str]:
    path = scene.paths.get((kind, int(geom.objid)))
    if path is None:
        return [f"{kind} {geom.objid} is not shown"]
    shape, found = log.shape(path), []
    if type(shape) is not FIGURES[KIND(geom.type)]:
        return [f"{path} is a {type(shape).__name__} for a {KIND(geom.type).name}"]
    R, p = log.pose(path.rpartition("/")[0])
    pos, mat = np.asarray(geom.pos, float), np.asarray(geom.mat, float).reshape(3, 3)
    extent = max(float(model.stat.extent), 1e-3)
    local = (corners(shape) @ R.T + p - pos) @ mat
    low, high = _bounds(model, geom)
    tolerance = 2e-4 * extent + 1e-3 * float(np.abs(high[np.isfinite(high)]).max(initial=0.0))
    for ours, expected in ((local.min(0), low), (local.max(0), high)):
        wrong = np.isfinite(expected) & (np.abs(ours - expected) > tolerance)
        if wrong.any():
            found.append(f"{path} reaches {ours.round(4)}, not {expected.round(4)}")
    rgba = np.asarray(geom.rgba, float)
    if geom.matid < 0 and not np.allclose(_rgba(shape), np.clip(rgba, 0, 1), atol=1 / 255 + 1e-6):
        found.append(f"{path} has color {_rgba(shape).round(3)}, not {rgba.round(3)}")
    if geom.matid >= 0 and abs(_rgba(shape)[3] - np.clip(rgba[3], 0, 1)) > 1 / 255 + 1e-6:
        found.append(f"{path} has alpha {_rgba(shape)[3]:.3f}, not {rgba[3]:.3f}")
    if (
        geom.matid >= 0
        and int(model.mat_texid[geom.matid, 1]) < 0
        and not np.allclose(_rgba(shape), np.clip(rgba, 0, 1), atol=1 / 255 + 1e-6)
    ):
        found.append(f"{path} has color {_rgba(shape).round(3)}, not {rgba.round(3)}")
    return found


def _rgba(shape: Any) -> np.ndarray:
    packed = int(numbers(shape.albedo_factor if isinstance(shape, rr.Mesh3D) else shape.colors)[0])
    return np.array([packed >> 24 & 255, packed >> 16 & 255, packed >> 8 & 255, packed & 255]) / 255


def corners(shape: Any) -> np.ndarray:
    """`(K, 3)` points of a logged shape, in its body's frame, whose bounds in its own frame are those of the shape."""
    if isinstance(shape, rr.Mesh3D):
        return numbers(shape.vertex_positions).reshape(-1, 3)
    pos = numbers(shape.translations if isinstance(shape, rr.Capsules3D) else shape.centers)
    if isinstance(shape, rr.Boxes3D | rr.Ellipsoids3D):
        half = numbers(shape.half_sizes)
        low, high = -half, half
    else:
        length, radius = numbers(shape.lengths)[0], numbers(shape.radii)[0]
        ends = (-radius, length + radius) if isinstance(shape, rr.Capsules3D) else (-length / 2, length / 2)
        low, high = np.array([-radius, -radius, ends[0]]), np.array([radius, radius, ends[1]])
    box = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1).T
    return box @ _matrix(shape.quaternions).T + pos


def _bounds(model: mujoco.MjModel, geom: Any) -> tuple[np.ndarray, np.ndarray]:
    """What a shape of MuJoCo's scene reaches in its own frame; infinite where it is not compared."""
    size, kind = np.asarray(geom.size, float), KIND(geom.type)
    if kind in (KIND.mjGEOM_MESH, KIND.mjGEOM_SDF):
        mesh = int(model.geom_dataid[geom.objid])
        first, count = int(model.mesh_vertadr[mesh]), int(model.mesh_vertnum[mesh])
        faces = slice(model.mesh_faceadr[mesh], model.mesh_faceadr[mesh] + model.mesh_facenum[mesh])
        used = np.unique(model.mesh_face[faces])
        points = model.mesh_vert[first : first + count][used]
        return points.min(0), points.max(0)
    if kind == KIND.mjGEOM_HFIELD:
        field = int(model.geom_dataid[geom.objid])
        x, y, top, _ = model.hfield_size[field]
        start = int(model.hfield_adr[field])
        data = model.hfield_data[start : start + int(model.hfield_nrow[field]) * int(model.hfield_ncol[field])]
        return np.array([-x, -y, top * data.min()]), np.array([x, y, top * data.max()])
    if kind == KIND.mjGEOM_PLANE:
        halves = [side if side > 0 else np.inf for side in model.geom_size[geom.objid][:2]]
        return np.array([-halves[0], -halves[1], -np.inf]), np.array([*halves, 0.0])
    if kind == KIND.mjGEOM_CAPSULE:
        size = size + np.array([0, 0, size[0]])
    return -size, size
