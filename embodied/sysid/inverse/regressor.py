"""Torques of joints as linear functions of masses and friction (Atkeson, An and Hollerbach 1986)."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.sysid.inverse.inertia import PER_BODY

FRICTION = ("frictionloss", "damping", "armature", "offset")  # of a joint
STILL = 1e-3  # rad/s or m/s, below which friction has no known direction


def moving_bodies(model: mujoco.MjModel, dofs: Sequence[int]) -> list[int]:
    """Bodies that these degrees of freedom move; of those that are welded together, the first."""
    moved = []
    for body in np.unique(model.body_weldid[1:]):
        chain, at = set(), int(body)
        while at:
            first = int(model.body_dofadr[at])
            chain |= set(range(first, first + int(model.body_dofnum[at]))) if first >= 0 else set()
            at = int(model.body_parentid[at])
        if chain & set(dofs):
            moved.append(int(body))
    return moved


def regressor(
    model: mujoco.MjModel, joints: Sequence[str], bodies: Sequence[int], q: NDArray, v: NDArray, a: NDArray
) -> NDArray[np.float64]:
    """Torques of the joints per parameter, `(T, J, 10 B + 4 J)`: of each body, then of each joint's friction.

    Args:
        bodies: as `moving_bodies` gives them.
        q, v, a: positions, velocities and accelerations of the joints, `(T, J)`; all others rest where the model is.
    """
    data = mujoco.MjData(model)
    places = [int(model.joint(joint).qposadr[0]) for joint in joints]
    dofs = [int(model.joint(joint).dofadr[0]) for joint in joints]
    T, J = q.shape
    out = np.zeros((T, J, PER_BODY * len(bodies) + len(FRICTION) * J))
    for t in range(T):
        data.qpos[places], data.qvel[dofs], data.qacc[dofs] = q[t], v[t], a[t]
        mujoco.mj_fwdPosition(model, data)
        mujoco.mj_fwdVelocity(model, data)
        mujoco.mj_rnePostConstraint(model, data)
        for b, body in enumerate(bodies):
            out[t, :, b * PER_BODY : (b + 1) * PER_BODY] = _of_body(model, data, body)[dofs]
    first = PER_BODY * len(bodies)
    direction = np.where(np.abs(v) > STILL, np.sign(v), 0.0)
    for j in range(J):
        columns = (direction[:, j], v[:, j], a[:, j], np.ones(T))
        out[:, j, first + len(FRICTION) * j : first + len(FRICTION) * (j + 1)] = np.stack(columns, 1)
    return out


def _of_body(model: mujoco.MjModel, data: mujoco.MjData, body: int) -> NDArray[np.float64]:
    """Torques of all degrees of freedom per parameter of one body, `(nv, 10)`: Newton and Euler in its own frame."""
    velocity, acceleration = np.empty(6), np.empty(6)
    kind = mujoco.mjtObj.mjOBJ_XBODY
    mujoco.mj_objectVelocity(model, data, kind, body, velocity, 1)
    mujoco.mj_objectAcceleration(model, data, kind, body, acceleration, 1)
    w, alpha, proper = velocity[:3], acceleration[:3], acceleration[3:]  # less gravity, as an accelerometer has it
    force, moment = np.zeros((3, PER_BODY)), np.zeros((3, PER_BODY))
    force[:, 0] = proper
    force[:, 1:4] = _cross(alpha) + _cross(w) @ _cross(w)
    moment[:, 1:4] = -_cross(proper)
    moment[:, 4:] = _inertia_times(alpha) + _cross(w) @ _inertia_times(w)
    along, about = np.empty((3, model.nv)), np.empty((3, model.nv))
    mujoco.mj_jacBody(model, data, along, about, body)
    R = data.xmat[body].reshape(3, 3)
    return (R.T @ along).T @ force + (R.T @ about).T @ moment


def _cross(vector: NDArray) -> NDArray[np.float64]:
    x, y, z = vector
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])


def _inertia_times(vector: NDArray) -> NDArray[np.float64]:
    """The matrix of `inertia @ vector` for the six numbers xx, yy, zz, xy, xz, yz, `(3, 6)`."""
    x, y, z = vector
    return np.array([[x, 0, 0, y, z, 0], [0, y, 0, x, 0, z], [0, 0, z, 0, x, y]])
