"""Real robots of this project, as drivers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from embodied.contract import Contract
from embodied.deploy.dataset import LeRobotFolder
from embodied.deploy.driver import JointLimits
from embodied.deploy.drivers.cameras import SeeingRobot, VideoCamera
from embodied.deploy.drivers.servos import Calibration, ServoArm
from embodied.deploy.workspace import Workspace
from embodied.errors import OptionError, UnknownNameError
from embodied.robot.kinematics import SerialChain
from embodied_envs.arm.so101 import GRASP, GRIP, JOINTS, TOP_SPEED, arm_chain, control_of
from embodied_scripts.cli.port import OnPort

CURRENT = 2.0  # A
PIXELS = 64  # of a picture's side, where no policy says otherwise
UPRIGHT = np.array([0.0, -0.8, 0.5, 0.6, 0.0, 0.5])  # rad, high over the table, where an arm can move freely


def so101_arm(port: str, library: str = "feetech", calibration: Path | None = None, **more: Any) -> ServoArm:
    """SO-101 on a port; without LeRobot's calibration file its servos read their middles where the model is at 0."""
    control = control_of("targets", 0.1)
    limits = JointLimits.of(control.low, control.high, 1.2 * np.array(TOP_SPEED), CURRENT)
    middle = 0.5 * (control.low + control.high)
    known = None if calibration is None else Calibration.of_lerobot(calibration, JOINTS, middle.tolist())
    return ServoArm(JOINTS, port, limits, known, library, torque={"gripper": GRIP}, **more)


@dataclass(frozen=True)
class KnownRobot:
    """A robot that policies can be put on.

    Attributes:
        driver: makes its driver from a port, a library and a calibration file; hand: makes the chain to its hand.
        lerobot: what LeRobot calls its type.
    """

    driver: Callable[[str, str, Path | None], ServoArm]
    hand: Callable[[], SerialChain]
    lerobot: str


ROBOTS = {"so101": KnownRobot(so101_arm, lambda: arm_chain(GRASP), "so101_follower")}


def known_robot(name: str) -> KnownRobot:
    """A robot by its name; raises UnknownNameError for one without a driver."""
    if name not in ROBOTS:
        raise UnknownNameError("robot with a driver", name, ROBOTS)
    return ROBOTS[name]


def workspace_of(robot: str, corners: Sequence[float]) -> Workspace:
    """A box for the middle of a robot's fingers: least x, y, z, and greatest [m]; OptionError: it is none."""
    return Workspace(known_robot(robot).hand(), corners[:3], corners[3:])


def dataset_in(folder: Path, robot: str, joints: tuple[str, ...], hz: float) -> LeRobotFolder:
    """A LeRobot dataset of a robot, new or to be added to; RecordingError: it is of another robot or rate."""
    return LeRobotFolder(folder, hz, joints, known_robot(robot).lerobot)


def robot_on(asked: OnPort, contract: Contract | None = None) -> Any:
    """The driver of a robot, with its cameras, whose pictures are as large as a policy was promised.

    Raises:
        UnknownNameError: there is none for that robot; OptionError: a camera without a name or a source.
    """
    arm = known_robot(asked.robot).driver(asked.port, asked.library, asked.calibration)
    cameras = dict(_camera(text, contract) for text in asked.camera)
    return SeeingRobot(arm, cameras) if cameras else arm


def _camera(text: str, contract: Contract | None) -> tuple[str, VideoCamera]:
    name, equals, source = text.partition("=")
    if not (name and equals and source):
        raise OptionError(f"{text!r} is no camera: write NAME=SOURCE")
    promised = {channel.name: channel.size for channel in contract.observation} if contract is not None else {}
    side = math.isqrt(promised.get(f"{name}/rgb", 3 * PIXELS**2) // 3)
    return name, VideoCamera(int(source) if source.isdigit() else source, side, side)
