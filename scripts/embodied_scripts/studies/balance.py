"""Gymnasium's cart and pole on a rail as a task, whose motor may be wired either way and be of any strength."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import gymnasium
import mujoco
import numpy as np
from mujoco import mjtObj, mjtSensor
from numpy.typing import NDArray

from embodied.robot.actuators.spec import ForceMotor
from embodied.robot.robot import Robot
from embodied.robot.sensors.spec import Sensor, Source
from embodied.world.task import ROBOT_PREFIX, Draw, Outcome, Task, World
from embodied_envs.scene import entry_points

MJCF = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / "inverted_pendulum.xml"
JOINTS = ("slider", "hinge")
FORCE = 60.0  # N, of the 300 that Gymnasium allows
UPRIGHT = 0.2  # rad, how far the pole may lean
NUDGE = 0.01  # of the first state
RAIL, FASTEST = 1.0, 10.0  # m; m/s and rad/s, where speeds are cut off


def cart() -> Robot:
    """Its joints and their speeds, exactly and at once, as in Gymnasium."""
    where = [Source(mjtSensor.mjSENS_JOINTPOS, mjtObj.mjOBJ_JOINT, joint) for joint in JOINTS]
    speeds = tuple(Source(mjtSensor.mjSENS_JOINTVEL, mjtObj.mjOBJ_JOINT, joint) for joint in JOINTS)
    sensors = (
        Sensor("place", (where[0],), "m", RAIL),
        Sensor("lean", (where[1],), "rad", 2 * UPRIGHT),
        Sensor("speeds", speeds, "m/s, rad/s", FASTEST),
    )
    return Robot("cart", MJCF, "cart", sensors, (), (ForceMotor("drive", "slider", FORCE),))


@dataclass(frozen=True)
class BalanceOptions:
    """Attributes:
    episode_s: time limit [s].
    """

    episode_s: float = 8.0


class Balance(Task):
    """Keeping the pole up: 1 for every decision, as in Gymnasium's InvertedPendulum-v5."""

    control_hz: ClassVar[float] = 25.0
    hidden = ()

    def __init__(self, options: BalanceOptions) -> None:
        self.episode_s, self.robot = options.episode_s, cart()

    def compose(self) -> mujoco.MjSpec:
        return mujoco.MjSpec.from_string(
            '<mujoco><option integrator="RK4" timestep="0.02"/><visual><map znear="0.02"/></visual></mujoco>'
        )

    def bind(self, world: World) -> None:
        model = world.batch.model
        self._world = world
        self._qpos, self._qvel = (world.batch.array(name) for name in ("qpos", "qvel"))
        self._at = np.array([model.joint(ROBOT_PREFIX + joint).qposadr[0] for joint in JOINTS])

    def begin(self, worlds: NDArray[np.intp], draw: Draw) -> None:
        self._qpos[np.ix_(worlds, self._at)] = draw.uniform("position", 2, -NUDGE, NUDGE)
        self._qvel[worlds] = draw.uniform("speed", 2, -NUDGE, NUDGE)

    def outcome(self) -> Outcome:
        lean = self._qpos[:, self._at[1]]
        up = np.isfinite(lean) & (np.abs(lean) <= UPRIGHT)
        late = self._world.elapsed_s >= self.episode_s - 0.5 / self.control_hz
        return Outcome(1.0 * up, ~up, up & late)

    def truth(self) -> NDArray[np.float64]:
        return np.zeros((len(self._qpos), 0))

    def state(self) -> NDArray[np.float64]:
        lean = self._qpos[:, self._at] / (RAIL, UPRIGHT)
        return np.column_stack([lean, np.clip(self._qvel / FASTEST, -1, 1), self._world.elapsed_s / self.episode_s])


make, make_vec = entry_points(Balance, BalanceOptions)
