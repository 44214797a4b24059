"""Least squares over the regressor, with bodies that can exist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize

from embodied.errors import ModelError, RecordingError, UnknownNameError
from embodied.physics.loading import compile_spec, read_spec
from embodied.sysid.inverse.inertia import PER_BODY, inertia_matrix, parameters_of, possible, slopes, unbounded
from embodied.sysid.inverse.motion import Motion, motion_of
from embodied.sysid.inverse.regressor import FRICTION, moving_bodies, regressor
from embodied.sysid.plant import check_joints
from embodied.sysid.recording import Recording
from embodied.sysid.residuals import BLOCK_S, clustered

REACH = 0.1  # m, the size of bodies to which a prior compares changes of moments and inertias
PRIOR = 0.1  # of one standard error of the torques, for a change by a body's whole mass: decides what no torque shows
PROBES = 200  # random states that show which parameters torques depend on
RANK = 1e-8  # share of the largest, from which a direction counts
COND = 1e-10  # share of the largest singular value, below which nothing is told
MOST_TRIES = 200  # of the search among bodies that can exist
EASY = 1e-6  # standard errors of the torques, for a change of friction by 1, that decides what none of them tells
LIGHT = (0.1, 0.0, 0.0, 0.0, 1e-4, 1e-4, 1e-4, 0.0, 0.0, 0.0)  # a payload before anything is known
ROUNDS = 3  # of weighing joints by how well they are explained
OF_BODY = ("m", "mx", "my", "mz", "Ixx", "Iyy", "Izz", "Ixy", "Ixz", "Iyz")


@dataclass(frozen=True)
class Inverse:
    """Masses and friction that explain the torques of joints.

    Attributes:
        joints: J of them.
        bodies: those that were sought: all B that the joints move, or the payload alone.
        parameters: of each body in its own frame, possible: mass [kg], mass times center of mass [kg·m], inertia about
            the frame's origin as xx, yy, zz, xy, xz, yz [kg·m²], `(B, 10)`. Where no torque tells, as in the model.
        friction: friction loss, damping, armature and constant torque of each joint, `(J, 4)`.
        base_names: the combinations that torques tell, each by the parameter that it begins with.
        base, standard_error: their estimates without regard to what is possible, and how uncertain they are, `(P,)`.
        errors: root mean square torque that is left, by the model as it was and as found, `(2, J)`.
        is_payload: whether the bodies' parameters are what was added to the model's.
    """

    joints: tuple[str, ...]
    bodies: tuple[str, ...]
    parameters: NDArray[np.float64]
    friction: NDArray[np.float64]
    base_names: tuple[str, ...]
    base: NDArray[np.float64]
    standard_error: NDArray[np.float64]
    errors: NDArray[np.float64]
    is_payload: bool = False

    @property
    def mass(self) -> NDArray[np.float64]:
        """`(B,)` [kg]."""
        return self.parameters[:, 0]

    @property
    def center(self) -> NDArray[np.float64]:
        """Centers of mass in the bodies' frames, `(B, 3)` [m]."""
        return self.parameters[:, 1:4] / np.maximum(self.parameters[:, :1], 1e-12)

    @property
    def inertia(self) -> NDArray[np.float64]:
        """About the centers of mass, along the bodies' axes, `(B, 3, 3)` [kg·m²]."""
        out = []
        for one, c in zip(self.parameters, self.center, strict=True):
            out.append(inertia_matrix(one) - one[0] * (c @ c * np.eye(3) - np.outer(c, c)))
        return np.array(out)

    def jsonable(self) -> dict[str, Any]:
        """Everything, as JSON can hold it, in MJCF's terms."""
        upper = ([0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2])
        bodies = {
            name: {"mass": float(m), "pos": c.tolist(), "fullinertia": about[upper].tolist()}
            for name, m, c, about in zip(self.bodies, self.mass, self.center, self.inertia, strict=True)
        }
        joints = {
            name: dict(zip(FRICTION, row, strict=True))
            for name, row in zip(self.joints, self.friction.tolist(), strict=True)
        }
        base = {
            name: {"estimate": float(value), "standard_error": float(error)}
            for name, value, error in zip(self.base_names, self.base, self.standard_error, strict=True)
        }
        rest = {"joints": joints, "base": base, "errors": self.errors.tolist()}
        return {"payload" if self.is_payload else "bodies": bodies} | rest


def identify_inverse(
    model: Path | str | mujoco.MjSpec,
    joints: Sequence[str],
    recordings: Sequence[Recording],
    *,
    torque: str | None = None,
    payload: str | None = None,
    cutoff_hz: float = 5.0,
    packages: Mapping[str, Path] | None = None,
) -> Inverse:
    """Finds masses, centers of mass, inertias and friction of a rigid arm from the torques of its joints.

    Velocities and accelerations are those of positions that were filtered without lag; torques and their regressor go
    through the same filter. Nothing is simulated.

    Args:
        joints: those that the columns of the recordings are for; all others rest where the model has them.
        torque: the signal that holds torques (None: the first that does by its unit or name, or else the command).
        payload: the body that carries something: only that is sought, and friction; the arm is as the model has it.
        cutoff_hz: what is faster than that is left out.

    Raises:
        UnknownNameError: a joint or body that the model does not have.
        ModelError: joints that are neither hinges nor slides.
        RecordingError: no torques, or too little of them.
        OptionError: no joints, or a cutoff that is not positive.
    """
    motions = [motion_of(recording, len(joints), torque, cutoff_hz) for recording in recordings]
    if not motions:
        raise RecordingError("there are no recordings to explain")
    arm = _Arm(_bare(model, joints, packages or {}), tuple(joints), payload)
    Y, tau, blocks = arm.system(motions)
    known = Y @ arm.as_it_is
    free = arm.free
    rest = tau if payload is None else tau - Y[..., : arm.inertial] @ arm.as_it_is[: arm.inertial]
    independent = _independent(arm.probed[..., free])
    base, errors, weights = _base(Y[..., free][..., independent], rest, blocks)
    parameters, friction = _possible_fit(Y[..., free], rest, weights, arm.prior, arm.friction)
    after = rest - Y[..., free] @ np.concatenate([parameters.ravel(), friction.ravel()])
    left = np.sqrt(np.stack([np.mean((tau - known) ** 2, axis=0), np.mean(after**2, axis=0)]))
    return Inverse(
        tuple(joints), arm.names_of_bodies, parameters, friction, tuple(arm.names[i] for i in independent), base,
        errors, left, payload is not None,
    )  # fmt: skip


class _Arm:
    """What is sought of an arm, as columns of its regressor."""

    def __init__(self, model: mujoco.MjModel, joints: tuple[str, ...], payload: str | None) -> None:
        self.model, self.joints = model, joints
        self.dofs = [int(model.joint(joint).dofadr[0]) for joint in joints]
        self.bodies = moving_bodies(model, self.dofs)
        self._inertia = np.array([parameters_of(model, body) for body in self.bodies])
        fields = (model.dof_frictionloss, model.dof_damping, model.dof_armature, np.zeros(model.nv))
        self.friction = np.stack([field[self.dofs] for field in fields], 1).reshape(len(joints), -1)
        self.as_it_is = np.concatenate([self._inertia.ravel(), self.friction.ravel()])
        self._carrier = None if payload is None else self._carrier_of(payload)
        self.names_of_bodies = (payload,) if payload else tuple(model.body(body).name for body in self.bodies)

    def _carrier_of(self, payload: str) -> int:
        known = [self.model.body(body).name for body in range(1, self.model.nbody)]
        if payload not in known:
            raise UnknownNameError("body", payload, known)
        first = int(self.model.body_weldid[self.model.body(payload).id])
        if first not in self.bodies or first != self.model.body(payload).id:
            raise ModelError(
                f"{payload} is not the first body behind one of the joints: name that which it is fixed to"
            )
        return self.bodies.index(first)

    @property
    def inertial(self) -> int:
        """How many columns are of bodies."""
        return PER_BODY * len(self.bodies)

    @property
    def free_bodies(self) -> list[int]:
        """Columns of the bodies that are sought."""
        if self._carrier is None:
            return list(range(self.inertial))
        return list(range(PER_BODY * self._carrier, PER_BODY * (self._carrier + 1)))

    @property
    def free(self) -> list[int]:
        """Columns of all that is sought."""
        return [*self.free_bodies, *range(self.inertial, len(self.as_it_is))]

    @property
    def names(self) -> list[str]:
        """Of all that is sought."""
        names = [f"{what}[{body}]" for body in self.names_of_bodies for what in OF_BODY]
        return names + [f"{what}[{joint}]" for joint in self.joints for what in FRICTION]

    @property
    def prior(self) -> NDArray[np.float64]:
        """What bodies are before anything is known; of a payload, next to nothing."""
        return self._inertia if self._carrier is None else np.array([LIGHT])

    @property
    def probed(self) -> NDArray[np.float64]:
        """The regressor at random states."""
        q, v, a = np.random.default_rng(0).normal(size=(3, PROBES, len(self.joints)))
        return regressor(self.model, self.joints, self.bodies, q, v, a)

    def system(self, motions: Sequence[Motion]) -> tuple[NDArray, NDArray, NDArray[np.intp]]:
        """The regressor, `(N, J, C)`, what was left of torques by known springs, `(N, J)`, and half seconds, `(N,)`."""
        rows, torques, blocks, first = [], [], [], 0
        places = [int(self.model.joint(joint).qposadr[0]) for joint in self.joints]
        springs = self.model.jnt_stiffness[self.model.dof_jntid[self.dofs]]
        for motion in motions:
            q, v, a = motion.states
            rows.append(motion.thinned(regressor(self.model, self.joints, self.bodies, q, v, a)))
            torques.append(motion.thinned(motion.torque - springs * (q - self.model.qpos_spring[places])))
            time = motion.thinned(motion.tick_s * np.arange(len(q)))
            blocks.append(first + (time / BLOCK_S).astype(int))
            first = int(blocks[-1].max()) + 1
        return np.concatenate(rows), np.concatenate(torques), np.unique(np.concatenate(blocks), return_inverse=True)[1]


def _bare(model: Path | str | mujoco.MjSpec, joints: Sequence[str], packages: Mapping[str, Path]) -> mujoco.MjModel:
    """The model, whose joints are checked."""
    spec = model.copy() if isinstance(model, mujoco.MjSpec) else read_spec(model, packages, visuals=False)
    check_joints(spec, joints)
    return compile_spec(spec, "the arm")


def _independent(probed: NDArray[np.float64]) -> list[int]:
    """Columns that are combinations of no others, `(P,)`, in their order."""
    flat = probed.reshape(-1, probed.shape[-1])
    size = np.linalg.norm(flat, axis=0)
    scaled = flat / np.where(size > 0, size, 1.0)
    R, order = linalg.qr(scaled, mode="r", pivoting=True)
    along = np.abs(np.diag(R))
    return sorted(order[: len(along)][along > RANK * along[0]].tolist())


def _base(
    Y: NDArray[np.float64], tau: NDArray[np.float64], blocks: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Weighted least squares: estimates and standard errors `(P,)`, and the weights of the joints `(J,)`.

    Raises:
        RecordingError: fewer torques than numbers to be found.
    """
    N, J, P = Y.shape
    if N * J <= P:
        raise RecordingError(f"{N * J} torques cannot tell {P} parameters: record for longer")
    weights, found = np.ones(J), np.zeros(P)
    for _ in range(ROUNDS):
        found = linalg.lstsq((weights[:, None] * Y).reshape(-1, P), (weights * tau).ravel(), cond=COND)[0]
        weights = 1 / np.maximum(np.std(tau - Y @ found, axis=0), 1e-9)
    weighed = (weights[:, None] * Y).reshape(-1, P)
    scores = weighed * (weights * (tau - Y @ found)).reshape(-1, 1)
    count = int(blocks.max()) + 1
    scale = np.linalg.norm(weighed, axis=0)
    scale[scale == 0] = 1.0
    bread = np.linalg.pinv((weighed / scale).T @ (weighed / scale), rcond=1e-12, hermitian=True) / np.outer(
        scale, scale
    )
    covariance = clustered(scores, bread, np.repeat(blocks, J)) * count / max(count - 1, 1)
    return found, np.sqrt(np.diag(covariance)), weights


def _possible_fit(
    Y: NDArray[np.float64],
    tau: NDArray[np.float64],
    weights: NDArray[np.float64],
    prior: NDArray[np.float64],
    friction: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bodies that can exist, `(B, 10)`, and friction that brakes, `(J, 4)`; next to the prior where in doubt."""
    B, C = len(prior), Y.shape[-1]
    weighed = (weights[:, None] * Y).reshape(-1, C)
    R, target = _reduced(weighed, (weights * tau).ravel())
    units = np.array([1.0, *3 * [REACH], *6 * [REACH**2]])
    spread = PRIOR / (np.maximum(prior[:, :1], LIGHT[0]) * units)

    def unpack(x: NDArray) -> NDArray[np.float64]:
        bodies = [possible(one) for one in x[: PER_BODY * B].reshape(B, PER_BODY)]
        return np.concatenate([*bodies, x[PER_BODY * B :]])

    def misses(x: NDArray) -> NDArray[np.float64]:
        theta = unpack(x)
        away = spread * (theta[: PER_BODY * B].reshape(B, PER_BODY) - prior)
        return np.concatenate([R @ theta - target, away.ravel()])

    pull = np.concatenate([spread.ravel(), np.full(C - PER_BODY * B, EASY)])
    rest = np.concatenate([prior.ravel(), friction.ravel()])
    first = linalg.lstsq(np.concatenate([R, np.diag(pull)]), np.concatenate([target, pull * rest]))[0]

    def jacobian(x: NDArray) -> NDArray[np.float64]:
        bodies = [slopes(one) for one in x[: PER_BODY * B].reshape(B, PER_BODY)]
        turn = linalg.block_diag(*bodies, np.eye(C - PER_BODY * B))
        return np.concatenate([R @ turn, spread.ravel()[:, None] * turn[: PER_BODY * B]])

    least = np.zeros_like(friction)
    least[:, FRICTION.index("offset")] = -np.inf
    low = np.concatenate([np.full(PER_BODY * B, -np.inf), least.ravel() - 1e-12])
    first[PER_BODY * B :] = np.maximum(first[PER_BODY * B :], least.ravel())
    x0 = np.concatenate(
        [*(unbounded(one) for one in first[: PER_BODY * B].reshape(B, PER_BODY)), first[PER_BODY * B :]]
    )
    found = optimize.least_squares(misses, x0, jacobian, bounds=(low, np.inf), max_nfev=MOST_TRIES).x
    theta = unpack(found)
    return theta[: PER_BODY * B].reshape(B, PER_BODY), np.maximum(theta[PER_BODY * B :].reshape(friction.shape), least)


def _reduced(matrix: NDArray, target: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A square system with the same least squares."""
    Q, R = np.linalg.qr(matrix)
    return R, Q.T @ target
