"""Any MuJoCo model as Rerun entities: shapes logged once, poses at every step or all at once.

Entity paths follow the tree of bodies, so that hiding a shoulder hides its arm; every pose is relative to the parent.
"""

from __future__ import annotations

import mujoco
import numpy as np
import rerun as rr
from numpy.typing import NDArray

from embodied.view.shapes import geom_shape, site_shape, xyzw

HIDDEN_GROUPS = 3  # groups from here on are collision shapes, if there are others
FORCE_SCALE = 0.01  # [m/N] of the arrows at contacts
FRAMES_BETWEEN_ALL = 100
CAMERA_DISTANCE = 0.05  # [m] at which the frame of a camera is drawn


class Scene:
    """Logs one model below `root`.

    Args:
        contacts: also log contact points and forces, which costs more than everything else.
        cameras: also show where its cameras are.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        recording: rr.RecordingStream,
        root: str = "world",
        contacts: bool = False,
        cameras: bool = True,
    ) -> None:
        self._model = model
        self._recording = recording
        self._root = root
        self._contacts = contacts
        self._taken = {root}
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
        if self._model.ntendon:
            self._recording.log(f"{self._root}/tendons", tendons(self._model, data))

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
            shown = groups < HIDDEN_GROUPS
            for i in np.flatnonzero(shown if shown.any() or kind == "site" else ~shown):
                shape = draw(model, int(i))
                if shape is not None:
                    name = getattr(model, kind)(i).name.split("/")[-1] or f"{kind}{i}"
                    self._recording.log(self._path(self.bodies[bodies[i]], name, kind), shape, static=True)

    def _log_cameras(self) -> None:
        """Cameras look along their own −z, with y up."""
        model = self._model
        for camera in range(model.ncam):
            name = model.camera(camera).name.split("/")[-1] or f"camera{camera}"
            path = self._path(self.bodies[model.cam_bodyid[camera]], name, "camera")
            turn = rr.Quaternion(xyzw=xyzw(model.cam_quat[camera]))
            self._recording.log(path, rr.Transform3D(translation=model.cam_pos[camera], quaternion=turn), static=True)
            width, height = (int(side) for side in model.cam_resolution[camera])
            eye = rr.Pinhole(
                fov_y=np.deg2rad(model.cam_fovy[camera]),
                aspect_ratio=width / height if height > 1 else 4 / 3,
                camera_xyz=rr.ViewCoordinates.RUB,
                image_plane_distance=CAMERA_DISTANCE,
            )
            self._recording.log(path, eye, static=True)

    def _log_contacts(self, data: mujoco.MjData) -> None:
        points, forces = contact_forces(self._model, data)
        arrows = rr.Arrows3D(origins=points, vectors=FORCE_SCALE * forces, colors=[(230, 120, 30)], radii=0.004)
        self._recording.log(f"{self._root}/contacts", arrows)


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


def tendons(model: mujoco.MjModel, data: mujoco.MjData) -> rr.LineStrips3D:
    """The paths of tendons that have one."""
    points = data.wrap_xpos.reshape(-1, 3)
    starts, counts = data.ten_wrapadr, data.ten_wrapnum
    visible = [i for i in range(model.ntendon) if counts[i] > 1]
    strips = [points[starts[i] : starts[i] + counts[i]] for i in visible]
    colors = (np.clip(model.tendon_rgba[visible], 0, 1) * 255).astype(np.uint8)
    return rr.LineStrips3D(strips, radii=model.tendon_width[visible], colors=colors)


def _product(a: NDArray, b: NDArray) -> NDArray:
    """Quaternions multiplied, along the last axis, w first."""
    w, v = a[..., :1], a[..., 1:]
    u, x = b[..., :1], b[..., 1:]
    return np.concatenate([w * u - np.sum(v * x, -1, keepdims=True), w * x + u * v + np.cross(v, x)], -1)


def _turned(q: NDArray, x: NDArray) -> NDArray:
    """Vectors turned by unit quaternions, along the last axis."""
    w, v = q[..., :1], q[..., 1:]
    return x + 2 * np.cross(v, np.cross(v, x) + w * x)
