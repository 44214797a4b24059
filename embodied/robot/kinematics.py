"""Forward and inverse kinematics of a serial arm in N poses at once.

Shape suffixes: N poses, J joints; `R_ba` turns vectors of frame a into frame b, p_b is a place in frame b.
"""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.errors import ModelError, UnknownNameError

DAMPING = 1e-3  # of the least squares, in units of the weighted Jacobian [m]
ITERATIONS = 4
TURN_WEIGHT = 0.05  # m/rad: how much an error of orientation counts beside one of place


class SerialChain:
    """The hinges between a model's world and a site, as far as they are named; everything else stays at its reference.

    Args:
        model: of the arm.
        joints: hinges on the way to the site, from the base outwards.
        site: whose pose is meant.

    Raises:
        UnknownNameError: the model has no such joint or site.
        ModelError: a joint is no hinge, or does not move the site.
    """

    def __init__(self, model: mujoco.MjModel, joints: Sequence[str], site: str) -> None:
        known = {
            "joint": [model.joint(j).name for j in range(model.njnt)],
            "site": [model.site(s).name for s in range(model.nsite)],
        }
        for kind, name in [("joint", joint) for joint in joints] + [("site", site)]:
            if name not in known[kind]:
                raise UnknownNameError(kind, name, known[kind])
        ids = [model.joint(joint).id for joint in joints]
        way = _ancestors(model, int(model.site_bodyid[model.site(site).id]))
        for joint, i in zip(joints, ids, strict=True):
            if model.jnt_type[i] != mujoco.mjtJoint.mjJNT_HINGE or int(model.jnt_bodyid[i]) not in way:
                raise ModelError(f"joint {joint!r} is no hinge that moves site {site!r}")
        data = mujoco.MjData(model)
        mujoco.mj_resetData(model, data)
        mujoco.mj_kinematics(model, data)
        self.joints = tuple(joints)
        self.low, self.high = _ranges(model, ids)
        self._reference = np.array([model.qpos0[model.jnt_qposadr[i]] for i in ids])
        self._axes, self._anchors = data.xaxis[ids].copy(), data.xanchor[ids].copy()  # in the world, at the reference
        self._site_p = data.site(site).xpos.copy()
        self._site_R = data.site(site).xmat.reshape(3, 3).copy()

    @property
    def base(self) -> NDArray[np.float64]:
        """Where the first joint is in the world, `(3,)` [m]."""
        return self._anchors[0]

    def forward(self, q_NJ: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The place `(N, 3)` [m] and the orientation `(N, 3, 3)` of the site in the world, at angles [rad]."""
        p_N3, R_N33, _, _ = self._walk(q_NJ)
        return p_N3, R_N33

    def jacobian(self, q_NJ: NDArray) -> NDArray[np.float64]:
        """Velocity [m/s] and turn [rad/s] of the site in the world by speeds of the joints, `(N, 6, J)`."""
        p_N3, _, axes_NJ3, anchors_NJ3 = self._walk(q_NJ)
        return _jacobian(p_N3, axes_NJ3, anchors_NJ3)

    def solve(
        self,
        q_NJ: NDArray,
        p_N3: NDArray,
        R_N33: NDArray | None = None,
        turn_weight: float = TURN_WEIGHT,
        iterations: int = ITERATIONS,
    ) -> NDArray[np.float64]:
        """Angles `(N, J)` [rad], within the joints' ranges, at which the site is nearest to a pose.

        Damped least squares (Wampler 1986), each step in all poses at once.

        Args:
            q_NJ: where to begin.
            p_N3: the place that is wanted [m].
            R_N33: the orientation that is wanted; None for any.
            turn_weight: how much an error of orientation counts beside one of place [m/rad].
            iterations: how many steps.
        """
        q_NJ = np.array(q_NJ, np.float64)
        weight = np.array([1.0] * 3 + [turn_weight if R_N33 is not None else 0.0] * 3)
        for _ in range(iterations):
            now_N3, turned_N33, axes_NJ3, anchors_NJ3 = self._walk(q_NJ)
            turn_N3 = np.zeros_like(now_N3) if R_N33 is None else rotation_between(turned_N33, R_N33)
            error_N6 = np.concatenate([p_N3 - now_N3, turn_N3], axis=1) * weight
            J_N6J = _jacobian(now_N3, axes_NJ3, anchors_NJ3) * weight[:, None]
            q_NJ += _damped(J_N6J, error_N6)
            np.clip(q_NJ, self.low, self.high, out=q_NJ)
        return q_NJ

    def moved(self, q_NJ: NDArray, move_N3: NDArray, turn_N3: NDArray) -> NDArray[np.float64]:
        """Angles `(N, J)` at which the site has moved by `move_N3` [m] and turned by `turn_N3` [rad], in the world."""
        p_N3, R_N33 = self.forward(q_NJ)
        wanted_N33 = np.einsum("nij,njk->nik", rotation(turn_N3), R_N33)
        return self.solve(q_NJ, p_N3 + move_N3, wanted_N33)

    def _walk(self, q_NJ: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Pose of the site, and axes and anchors of the joints, in the world (product of exponentials)."""
        N = len(q_NJ)
        turned = np.broadcast_to(np.eye(3), (N, 3, 3))
        shifted = np.zeros((N, 3))
        axes, anchors = np.empty((N, len(self.joints), 3)), np.empty((N, len(self.joints), 3))
        for j, (axis, anchor) in enumerate(zip(self._axes, self._anchors, strict=True)):
            axes[:, j] = np.einsum("nij,j->ni", turned, axis)
            anchors[:, j] = np.einsum("nij,j->ni", turned, anchor) + shifted
            turned = np.einsum("nij,njk->nik", turned, rotation((q_NJ[:, j] - self._reference[j])[:, None] * axis))
            shifted = anchors[:, j] - np.einsum("nij,j->ni", turned, anchor)
        place = np.einsum("nij,j->ni", turned, self._site_p) + shifted
        return place, np.einsum("nij,jk->nik", turned, self._site_R), axes, anchors


def rotation(turn_N3: NDArray) -> NDArray[np.float64]:
    """Matrices `(N, 3, 3)` that turn by vectors `(N, 3)` [rad] (Rodrigues)."""
    angle = np.linalg.norm(turn_N3, axis=1)[:, None, None]
    x, y, z = turn_N3.T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
    safe = np.where(angle > 1e-12, angle, 1.0)
    first = np.where(angle > 1e-12, np.sin(safe) / safe, 1.0)
    second = np.where(angle > 1e-12, (1 - np.cos(safe)) / safe**2, 0.5)
    return np.eye(3) + first * cross + second * np.einsum("nij,njk->nik", cross, cross)


def rotation_between(from_N33: NDArray, to_N33: NDArray) -> NDArray[np.float64]:
    """The vectors `(N, 3)` [rad] in the world by which one orientation is turned to become the other."""
    R = np.einsum("nij,nkj->nik", to_N33, from_N33)
    axis = 0.5 * np.stack([R[:, 2, 1] - R[:, 1, 2], R[:, 0, 2] - R[:, 2, 0], R[:, 1, 0] - R[:, 0, 1]], axis=1)
    sine = np.linalg.norm(axis, axis=1)
    angle = np.arctan2(sine, 0.5 * (np.trace(R, axis1=1, axis2=2) - 1))
    return axis * np.where(sine > 1e-9, angle / np.maximum(sine, 1e-9), 1.0)[:, None]


def _jacobian(p_N3: NDArray, axes_NJ3: NDArray, anchors_NJ3: NDArray) -> NDArray[np.float64]:
    return np.concatenate([np.cross(axes_NJ3, p_N3[:, None] - anchors_NJ3), axes_NJ3], axis=2).transpose(0, 2, 1)


def _damped(J_N6J: NDArray, error_N6: NDArray) -> NDArray[np.float64]:
    """The damped least-squares step, `(N, J)`."""
    gram = np.einsum("nij,nik->njk", J_N6J, J_N6J) + DAMPING**2 * np.eye(J_N6J.shape[2])
    return np.linalg.solve(gram, np.einsum("nij,ni->nj", J_N6J, error_N6)[..., None])[..., 0]


def _ancestors(model: mujoco.MjModel, body: int) -> set[int]:
    found = {body}
    while body:
        body = int(model.body_parentid[body])
        found.add(body)
    return found


def _ranges(model: mujoco.MjModel, ids: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    free = ~model.jnt_limited[ids].astype(bool)
    low, high = model.jnt_range[ids].T.copy()
    low[free], high[free] = -np.inf, np.inf
    return low, high
