"""Gymnasium's Hopper as a task, for a batch of worlds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import gymnasium
import mujoco
import numpy as np
from mujoco import mjtObj, mjtSensor
from numpy.typing import NDArray

from embodied.robot.actuators.spec import TorqueMotor
from embodied.robot.robot import Robot
from embodied.robot.sensors.spec import Sensor, Source
from embodied.world.task import ROBOT_PREFIX, Draw, Outcome, Task, World
from embodied_envs.scene import entry_points

MJCF = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / "hopper.xml"
JOINTS = ("rootz", "rooty", "thigh_joint", "leg_joint", "foot_joint")
TORQUE = 200.0  # N·m
FASTEST = 10.0  # m/s and rad/s, where its speeds are cut off
NUDGE = 5e-3  # of the first state
UPRIGHT = 0.2  # rad, how far it may lean
HOPS = 1.0  # m/s: who comes forward so fast, to the end, does what is wanted


def hopper() -> Robot:
    """Its joints and their speeds, exactly and at once, as in Gymnasium."""
    where = [Source(mjtSensor.mjSENS_JOINTPOS, mjtObj.mjOBJ_JOINT, joint) for joint in JOINTS]
    speeds = tuple(Source(mjtSensor.mjSENS_JOINTVEL, mjtObj.mjOBJ_JOINT, joint) for joint in ("rootx", *JOINTS))
    sensors = (
        Sensor("height", (where[0],), "m", 2.0),
        Sensor("pitch", (where[1],), "rad", 2.5 * UPRIGHT),
        Sensor("joints", tuple(where[2:]), "rad", math.pi),
        Sensor("speeds", speeds, "m/s, rad/s", FASTEST),
    )
    motors = tuple(TorqueMotor(joint.replace("joint", "motor"), joint, TORQUE) for joint in JOINTS[2:])
    return Robot("hopper", MJCF, "torso", sensors, (), motors)


@dataclass(frozen=True)
class HopperOptions:
    """Attributes:
    episode_s: time limit [s].
    """

    episode_s: float = 8.0


class Hopper(Task):
    """Hopping forward without falling, rewarded as in Gymnasium's Hopper-v5; nothing is hidden."""

    control_hz: ClassVar[float] = 125.0
    hidden = ()

    def __init__(self, options: HopperOptions) -> None:
        self.episode_s, self.robot = options.episode_s, hopper()

    def compose(self) -> mujoco.MjSpec:
        return mujoco.MjSpec.from_string(
            '<mujoco><option integrator="RK4" timestep="0.002"/><visual><map znear="0.02"/></visual></mujoco>'
        )

    def bind(self, world: World) -> None:
        batch = world.batch
        self._world = world
        self._qpos, self._qvel, self._ctrl = (batch.array(name) for name in ("qpos", "qvel", "ctrl"))
        model = batch.model
        self._at = np.array([model.joint(ROBOT_PREFIX + joint).qposadr[0] for joint in ("rootx", *JOINTS)])
        self._moving = np.array([model.joint(ROBOT_PREFIX + joint).dofadr[0] for joint in ("rootx", *JOINTS)])
        self._x = np.zeros(batch.n)
        self._begun = np.zeros(batch.n)

    def begin(self, worlds: NDArray[np.intp], draw: Draw) -> None:
        size = len(self._at)
        self._qpos[np.ix_(worlds, self._at)] += draw.uniform("position", size, -NUDGE, NUDGE)
        self._qvel[np.ix_(worlds, self._moving)] = draw.uniform("speed", size, -NUDGE, NUDGE)
        self._x[worlds] = self._begun[worlds] = self._qpos[worlds, self._at[0]]

    def outcome(self) -> Outcome:
        x = self._qpos[:, self._at[0]].copy()
        speed, self._x = (x - self._x) * self.control_hz, x
        effort = np.sum((self._ctrl / TORQUE) ** 2, axis=1)
        fallen = ~self._upright()
        reward = speed + ~fallen - 1e-3 * effort
        late = self._world.elapsed_s >= self.episode_s - 0.5 / self.control_hz
        return Outcome(reward, fallen, ~fallen & late & (x - self._begun > HOPS * self.episode_s))

    def _upright(self) -> NDArray[np.bool_]:
        positions = self._qpos[:, self._at]
        sane = (np.abs(positions[:, 2:]) < 100).all(axis=1) & (np.abs(self._qvel) < 100).all(axis=1)
        return sane & (positions[:, 1] > 0.7) & (np.abs(positions[:, 2]) < UPRIGHT)

    def truth(self) -> NDArray[np.float64]:
        return np.zeros((len(self._x), 0))

    def state(self) -> NDArray[np.float64]:
        speeds = np.clip(self._qvel[:, self._moving] / FASTEST, -1.0, 1.0)
        return np.column_stack([self._qpos[:, self._at[1:]], speeds, self._world.elapsed_s / self.episode_s])


make, make_vec = entry_points(Hopper, HopperOptions)
