"""What tasks with an arm on a table share: the scene, the arm's control, and poses of its hand."""

from __future__ import annotations

from typing import ClassVar, get_args

import mujoco
import numpy as np
from numpy.typing import NDArray

import embodied_assets as assets
from embodied.errors import UnknownNameError
from embodied.layout import Layout
from embodied.robot.kinematics import SerialChain
from embodied.world.task import ROBOT_PREFIX, Task, World
from embodied_envs.arm.so101 import JOINTS, Action, arm_chain, control_of, fitted_servo, so101

BASE = (0.0388, 0.0)  # m, where the axis of the shoulder stands on the table
OPEN = 0.85  # rad, of fingers that go around a thing
BESIDE = 0.012  # m, by which an open hand goes down inside of a thing's middle


def table() -> mujoco.MjSpec:
    """Returns an empty table."""
    return mujoco.MjSpec.from_file(str(assets.arena_path("table")))


def on_circle(radius: NDArray | float, angle: NDArray | float) -> tuple[NDArray, NDArray]:
    """Places around the axis of the shoulder, by its angle [rad]: x and y on the table [m]."""
    return BASE[0] + radius * np.cos(angle), -radius * np.sin(angle)


class TabletopTask(Task):
    """A task for SO-101, fixed to the table.

    Args:
        action: what actions are.
        hand: the site of the arm that poses are of.
        camera: at the wrist; appearance: of the arm (see `so101`).

    Servos differ from world to world as far as their logs leave open.
    """

    randomization = fitted_servo().randomization
    radius: ClassVar[float]  # m, of the circle around the axis of the shoulder on which things stand

    def __init__(self, action: str, hand: str, camera: str = "none", appearance: str = "primitives") -> None:
        if action not in get_args(Action):
            raise UnknownNameError("action", action, get_args(Action))
        self.robot = so101(self.control_hz, camera, appearance)
        self.chain: SerialChain = arm_chain(hand)
        self.control = control_of(action, 1 / self.control_hz)
        self._scale = np.array([actuator.scale for actuator in self.robot.actuators])

    @property
    def action_layout(self) -> Layout:
        """What the numbers of an action are."""
        return self.control.layout

    def pose(self, angle: float, height: float, fingers: float, beside: float = BESIDE) -> NDArray[np.float64]:
        """Angles of all joints with the hand straight down over a place of the circle, `(6,)` [rad].

        Args:
            angle: of the shoulder [rad]; height: of the site over the table [m]; fingers: angle of their joint [rad].
            beside: how far inside of the circle the site is [m].
        """
        R_wh = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
        guess = np.array([[0.0, 0.3, 0.3, 0.9, 0.0]])
        wanted = np.array([[BASE[0] + self.radius - beside, 0.0, height]])
        pose = np.append(self.chain.solve(guess, wanted, R_wh[None], iterations=40)[0], fingers)
        pose[0] += angle
        return pose

    def height_of(self, angles: NDArray) -> NDArray[np.float64]:
        """Height of the hand over the table at angles `(n, 6)` [rad], `(n,)` [m]."""
        return self.chain.forward(angles[:, :-1])[0][:, 2]

    def bind(self, world: World) -> None:
        self._world = world
        model = world.batch.model
        self._angles = np.array([int(model.joint(ROBOT_PREFIX + joint).qposadr[0]) for joint in JOINTS])
        self._qpos = world.batch.array("qpos")
        self.control.bind(world.batch.n)

    def start(self, worlds: NDArray[np.intp], angles: NDArray) -> None:
        """Puts the arm at rest at `angles (n, 6)` [rad]."""
        self._qpos[worlds[:, None], self._angles] = angles
        self.control.begin(worlds, angles)

    @property
    def angles(self) -> NDArray[np.float64]:
        """True angles of the joints, `(N, 6)` [rad]."""
        return self._qpos[:, self._angles]

    def filter_actions(self, actions: NDArray) -> NDArray:
        return self.control.targets(actions) / self._scale

    def arm_state(self) -> NDArray[np.float64]:
        """Angles, targets and the time, for a privileged state, `(N, 13)`."""
        clock = self._world.elapsed_s / self.episode_s
        return np.column_stack([self.angles / 2.0, self.control.target / 2.0, clock])
