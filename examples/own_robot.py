"""Your own robot: any MJCF, with sensors and motors declared, in a task of your own, under a name of your own.

    python examples/own_robot.py path/to/so101.xml

The arm cannot see. A post stands at one of two places within its reach, and it must touch the post: it has to feel
where that is. Registers `mine/Feel-v0`, which `SequencePPO`, `gymnasium.make` and `make_vec` take like any other.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import mujoco
import numpy as np
from numpy.typing import NDArray

import embodied_assets as assets
from embodied.hidden import Discrete
from embodied.robot.actuators.spec import Servo
from embodied.robot.datasheet import read_bus_servo
from embodied.robot.robot import Robot
from embodied.robot.sensors.error_model import ErrorModel
from embodied.robot.sensors.presets import absolute_encoder, motor_current
from embodied.robot.timing import Timing
from embodied.world.task import Draw, Outcome, Task, World
from embodied_envs.scene import AWAY, CYLINDER, Props, entry_points, room

SIDE = Discrete("side", ("left", "right"), (0.5, 0.5))
RADIUS = 0.02  # m, of the post
COUNTS = 4096  # per turn, of the encoder in the servo


def robot_of(mjcf: Path, base: str, joints: tuple[str, ...]) -> Robot:
    """Declares an arm of serial bus servos: an encoder in each, and the currents of all."""
    servo = read_bus_servo(assets.datasheet_path("sts3215"))
    bus = Timing(rate_hz=50.0, latency_s=0.005, jitter_s=0.001, bus="bus")
    encoders = tuple(absolute_encoder(f"{joint}_angle", joint, COUNTS, bus) for joint in joints)
    motors = tuple(f"{joint}_servo" for joint in joints)
    currents = motor_current("current", motors, 3.0, ErrorModel(noise=0.01, resolution=6.5e-3))
    actuators = tuple(Servo(name, joint, servo) for name, joint in zip(motors, joints, strict=True))
    return Robot("arm", mjcf, base, (*encoders, currents), (), actuators)


@dataclass(frozen=True)
class FeelOptions:
    """Attributes:
    mjcf: the robot's file; base, tip: bodies of it; joints: those that move, with commas between.
    reach: how far the post is from the base [m]; angle: to the left or to the right [rad].
    episode_s: time limit [s].
    """

    mjcf: str = ""
    base: str = "base"
    tip: str = "gripper"
    joints: str = "shoulder_pan,shoulder_lift,elbow_flex,wrist_flex,wrist_roll,gripper"
    reach: float = 0.2
    angle: float = 0.7
    episode_s: float = 8.0


class Feel(Task):
    """Touching the post +1, and time costs; where it stands is hidden."""

    hidden = (SIDE,)

    def __init__(self, options: FeelOptions) -> None:
        self.options, self.episode_s = options, options.episode_s
        self.robot = robot_of(Path(options.mjcf), options.base, tuple(options.joints.split(",")))

    def compose(self) -> mujoco.MjSpec:
        spec = room(0.8, 0.8)
        post = spec.worldbody.add_body(name="post", mocap=True, pos=AWAY)
        post.add_geom(name="post", type=CYLINDER, size=[RADIUS, 0.12, 0], rgba=[0.9, 0.6, 0.2, 1])
        return spec

    def bind(self, world: World) -> None:
        self._world, self._props = world, Props(world)
        self._tip = world.batch.model.body(f"robot/{self.options.tip}").id
        self._xpos = world.batch.array("xpos")
        self._side = np.zeros(world.batch.n, np.intp)

    def begin(self, worlds: NDArray[np.intp], draw: Draw) -> None:
        self._side[worlds] = draw.choice("side", SIDE.prior)
        slot = np.column_stack([self._post()[worlds], np.zeros(len(worlds))])
        self._props.place("post", worlds, slot, 0.12)

    def _post(self) -> NDArray[np.float64]:
        angle = self.options.angle * np.where(self._side == 0, 1.0, -1.0)
        return self.options.reach * np.column_stack([np.cos(angle), np.sin(angle)])

    def _distance(self) -> NDArray[np.float64]:
        return np.linalg.norm(self._xpos[:, self._tip, :2] - self._post(), axis=1)

    def outcome(self) -> Outcome:
        touched = self._distance() < RADIUS + 0.04
        return Outcome(touched - 0.01 / self.control_hz, touched, touched)

    def truth(self) -> NDArray[np.float64]:
        return self._side[:, None].astype(np.float64)

    def state(self) -> NDArray[np.float64]:
        return np.column_stack([self._xpos[:, self._tip], self._world.elapsed_s / self.episode_s])

    def potential(self) -> NDArray[np.float64]:
        return -self._distance()


make, make_vec = entry_points(Feel, FeelOptions)


def register(**options: object) -> None:
    """Registers `mine/Feel-v0` with these options."""
    gym.register("mine/Feel-v0", entry_point=make, vector_entry_point=make_vec, kwargs=options)


if __name__ == "__main__":
    register(mjcf=sys.argv[1])
    env = gym.make_vec("mine/Feel-v0", num_envs=8)
    obs, info = env.reset(seed=0)
    for channel in env.unwrapped.layout.channels:
        print(f"{channel.name}: {channel.size} [{channel.unit}]")
    for _ in range(100):
        obs, reward, terminated, truncated, info = env.step(env.action_space.sample())
    print("posts touched by chance:", int(info["success"].sum()))
