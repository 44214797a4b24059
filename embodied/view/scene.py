"""Any MuJoCo model as Rerun entities: shapes logged once, poses at every step or all at once.

Entity paths follow the tree of bodies, so that hiding a shoulder hides its arm; every pose is relative to the parent.
"""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np
import rerun as rr
from numpy.typing import NDArray

from embodied.physics.batch import VISIBLE_GROUPS
from embodied.view.cameras import camera_shape, is_fixed
from embodied.view.shapes import approximated, geom_shape, site_shape, xyzw
from embodied.view.soft import SoftParts

FORCE_SCALE = 0.01  # [m/N] of the arrows at contacts
FRAMES_BETWEEN_ALL = 100


class Scene:
    """Logs one model below `root`.

    Args:
        contacts: also log contact points and forces, which costs more than everything else.
        cameras: also show where its cameras are.
        groups: which groups of geoms, sites, tendons, flexes and skins are shown (None: those that MuJoCo shows, or
            all geoms of a model that has none in these).

    Attributes:
        paths: where geoms and sites are logged, by kind and number.
        left_out: what is not shown, or not as it is, in words.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        recording: rr.RecordingStream,
        root: str = "world",
        contacts: bool = False,
        cameras: bool = True,
        groups: Sequence[int] | None = None,
    ) -> None:
        self._model = model
        self._recording = recording
        self._root = root
        self._contacts = contacts
        self._taken = {root}
        self._groups = _groups_of(model) if groups is None else tuple(groups)
        self._soft = SoftParts(model, self._groups)
        self._moving_cameras: dict[int, str] = {}
        self.paths: dict[tuple[str, int], str] = {}
        self.left_out: list[str] = []
        self._poses, self._frames = np.full((model.nbody, 7), np.nan), 0
        self.bodies = [root]
        for body in range(1, model.nbody):
            parent = self.bodies[model.body_parentid[body]]
            self.bodies.append(self._path(parent, _local_name(model, body), "body"))
        recording.log(root, rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        self._log_shapes()
        if cameras:
            self._log_cameras()

    def log(self, data: mujoco.MjData) -> None:
        """Logs where every body is, at the recording's present time."""
        pos, wxyz = relative_poses(self._model, data.xpos, data.xquat)
        for body in self._moved(np.concatenate([pos, wxyz], axis=1)):
            turn = rr.Quaternion(xyzw=xyzw(wxyz[body]))
            self._recording.log(self.bodies[body], rr.Transform3D(translation=pos[body], quaternion=turn))
        if self._contacts:
            self._log_contacts(data)
        for name, shape in self._soft.shapes(data).items():
            self._recording.log(f"{self._root}/{name}", shape)
        for camera, path in self._moving_cameras.items():
            wxyz = np.zeros(4)
            mujoco.mju_mat2Quat(wxyz, data.cam_xmat[camera])
            turn = rr.Quaternion(xyzw=xyzw(wxyz))
            self._recording.log(path, rr.Transform3D(translation=data.cam_xpos[camera], quaternion=turn))

    def _moved(self, poses: NDArray) -> NDArray[np.intp]:
        """The bodies that have moved since they were logged; now and then all, as viewers drop what is old."""
        moved = np.any(poses != self._poses, axis=1) | (self._frames % FRAMES_BETWEEN_ALL == 0)
        self._frames += 1
        self._poses = poses
        return np.flatnonzero(moved[1:]) + 1

    def log_many(self, time_s: NDArray, xpos: NDArray, xquat: NDArray) -> None:
        """Logs whole trajectories as columns, faster than step by step.

        Args:
            time_s: `(T,)` [s].
            xpos, xquat: `(T, nbody, 3)` [m] and `(T, nbody, 4)` in the world, as in MjData.
        """
        pos, wxyz = relative_poses(self._model, xpos, xquat)
        when = [rr.TimeColumn("time", duration=time_s)]
        for body in range(1, self._model.nbody):
            poses = rr.Transform3D.columns(translation=pos[:, body], quaternion=xyzw(wxyz[:, body]))
            self._recording.send_columns(self.bodies[body], when, poses)

    def _path(self, parent: str, name: str, kind: str) -> str:
        """A path that nothing else has; names may be used twice in a model, once for a body and once for a shape."""
        path = "/".join([parent, *(rr.escape_entity_path_part(part) for part in name.split("/"))])
        while path in self._taken:
            path += f"_{kind}"
        self._taken.add(path)
        return path

    def _log_shapes(self) -> None:
        model = self._model
        for kind, groups, bodies, draw in (
            ("geom", model.geom_group, model.geom_bodyid, geom_shape),
            ("site", model.site_group, model.site_bodyid, site_shape),
        ):
            hidden = ~np.isin(groups, self._groups)
            if hidden.any():
                which = ", ".join(map(str, np.unique(groups[hidden])))
                self.left_out.append(f"{hidden.sum()} {kind}s of hidden groups ({which})")
            for i in np.flatnonzero(~hidden):
                shape = draw(model, int(i))
                if shape is not None:
                    name = getattr(model, kind)(i).name.split("/")[-1] or f"{kind}{i}"
                    path = self.paths[kind, int(i)] = self._path(self.bodies[bodies[i]], name, kind)
                    self._recording.log(path, shape, static=True)
        self.left_out += approximated(model, np.isin(model.geom_group, self._groups))

    def _log_cameras(self) -> None:
        """Fixed cameras hang from their body; those that track or aim are placed anew at every step."""
        model = self._model
        for camera in range(model.ncam):
            name = model.camera(camera).name.split("/")[-1] or f"camera{camera}"
            fixed = is_fixed(model, camera)
            path = self._path(self.bodies[model.cam_bodyid[camera]] if fixed else self._root, name, "camera")
            if fixed:
                turn = rr.Quaternion(xyzw=xyzw(model.cam_quat[camera]))
                at = rr.Transform3D(translation=model.cam_pos[camera], quaternion=turn)
                self._recording.log(path, at, static=True)
            else:
                self._moving_cameras[camera] = path
            self._recording.log(path, camera_shape(model, camera), static=True)

    def _log_contacts(self, data: mujoco.MjData) -> None:
        points, forces = contact_forces(self._model, data)
        arrows = rr.Arrows3D(origins=points, vectors=FORCE_SCALE * forces, colors=[(230, 120, 30)], radii=0.004)
        self._recording.log(f"{self._root}/contacts", arrows)


def _groups_of(model: mujoco.MjModel) -> tuple[int, ...]:
    """The groups that MuJoCo shows; all where no geom, flex or skin is in one of them."""
    drawn = [*model.geom_group, *model.flex_group, *model.skin_group]
    seen = not drawn or any(group in VISIBLE_GROUPS for group in drawn)
    return VISIBLE_GROUPS if seen else tuple(range(mujoco.mjNGROUP))


def _local_name(model: mujoco.MjModel, body: int) -> str:
    """The name of a body without the prefix, as of an attached robot, that its parent's name has already."""
    prefix = model.body(model.body_parentid[body]).name.rpartition("/")[0]
    return model.body(body).name.removeprefix(f"{prefix}/").strip("/") or f"body{body}"


def relative_poses(model: mujoco.MjModel, xpos: NDArray, xquat: NDArray) -> tuple[NDArray, NDArray]:
    """Returns positions `(…, nbody, 3)` and quaternions `(…, nbody, 4)` of bodies in the frames of their parents."""
    parent = model.body_parentid
    inverse = xquat[..., parent, :] * np.array([1.0, -1.0, -1.0, -1.0])
    return _turned(inverse, xpos - xpos[..., parent, :]), _product(inverse, xquat)


def contact_forces(model: mujoco.MjModel, data: mujoco.MjData) -> tuple[NDArray, NDArray]:
    """Returns where contacts are, `(K, 3)` [m], and the forces from the first geom on the second, `(K, 3)` [N]."""
    forces, wrench = np.zeros((data.ncon, 3)), np.zeros(6)
    for i in range(data.ncon):
        mujoco.mj_contactForce(model, data, i, wrench)
        forces[i] = data.contact.frame[i].reshape(3, 3).T @ wrench[:3]
    return data.contact.pos.copy().reshape(-1, 3), forces


def _product(a: NDArray, b: NDArray) -> NDArray:
    """Quaternions multiplied, along the last axis, w first."""
    w, v = a[..., :1], a[..., 1:]
    u, x = b[..., :1], b[..., 1:]
    return np.concatenate([w * u - np.sum(v * x, -1, keepdims=True), w * x + u * v + np.cross(v, x)], -1)


def _turned(q: NDArray, x: NDArray) -> NDArray:
    """Vectors turned by unit quaternions, along the last axis."""
    w, v = q[..., :1], q[..., 1:]
    return x + 2 * np.cross(v, np.cross(v, x) + w * x)
