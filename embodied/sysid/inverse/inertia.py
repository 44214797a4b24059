"""The ten inertial parameters of rigid bodies, and numbers without bounds for all that can exist.

Parameters of a body, in its own frame: mass, mass times center of mass (3), and the inertia about the frame's origin
as xx, yy, zz, xy, xz, yz. They are possible where the pseudo-inertia, 4 by 4, has no negative eigenvalue (Wensing, Kim
and Slotine 2018); its Cholesky factor has no bounds.
"""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

PER_BODY = 10
TRIANGLE = np.tril_indices(4)
LEAST = 1e-6  # share by which a pseudo-inertia is lifted off the border of what is possible, to begin with


def parameters_of(model: mujoco.MjModel, body: int) -> NDArray[np.float64]:
    """The parameters of a body and of all that is welded to it, `(10,)`, in its frame."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    R, origin = data.xmat[body].reshape(3, 3), data.xpos[body]
    total = np.zeros(PER_BODY)
    for part in np.flatnonzero(model.body_weldid == body):
        mass, center = model.body_mass[part], R.T @ (data.xipos[part] - origin)
        turn = R.T @ data.ximat[part].reshape(3, 3)
        about = turn @ np.diag(model.body_inertia[part]) @ turn.T
        about += mass * (center @ center * np.eye(3) - np.outer(center, center))
        total += np.array([mass, *mass * center, *np.diag(about), about[0, 1], about[0, 2], about[1, 2]])
    return total


def pseudo_inertia(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
    """Second moments of mass, `(4, 4)`: [[∫xxᵀ, ∫x], [∫xᵀ, ∫1]]."""
    mass, moment, inertia = parameters[0], parameters[1:4], inertia_matrix(parameters)
    out = np.empty((4, 4))
    out[:3, :3] = 0.5 * np.trace(inertia) * np.eye(3) - inertia
    out[:3, 3] = out[3, :3] = moment
    out[3, 3] = mass
    return out


def inertia_matrix(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inertia about the frame's origin, `(3, 3)` [kg·m²]."""
    xx, yy, zz, xy, xz, yz = parameters[4:]
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def unbounded(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
    """Numbers without bounds, `(10,)`, of parameters that are possible or nearly so."""
    values, vectors = np.linalg.eigh(pseudo_inertia(parameters))
    least = LEAST * max(float(values.max()), LEAST)
    return np.linalg.cholesky(vectors @ np.diag(np.maximum(values, least)) @ vectors.T)[TRIANGLE]


def possible(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """The parameters, `(10,)`, of numbers without bounds; inverse of `unbounded`."""
    factor = _factor(numbers)
    return _of_pseudo_inertia(factor @ factor.T)


def slopes(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Derivatives of `possible` by each of the numbers, `(10, 10)`."""
    factor, out = _factor(numbers), np.empty((PER_BODY, PER_BODY))
    for k, (row, column) in enumerate(zip(*TRIANGLE, strict=True)):
        turn = np.zeros((4, 4))
        turn[row] = factor[:, column]
        out[:, k] = _of_pseudo_inertia(turn + turn.T)
    return out


def _factor(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    factor = np.zeros((4, 4))
    factor[TRIANGLE] = numbers
    return factor


def _of_pseudo_inertia(pseudo: NDArray[np.float64]) -> NDArray[np.float64]:
    second = pseudo[:3, :3]
    inertia = np.trace(second) * np.eye(3) - second
    return np.array([
        pseudo[3, 3], *pseudo[:3, 3], *np.diag(inertia), inertia[0, 1], inertia[0, 2], inertia[1, 2],
    ])  # fmt: skip
