"""Real robots of this project, as drivers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from embodied.deploy.driver import JointLimits
from embodied.deploy.drivers.servos import Calibration, ServoArm
from embodied.errors import UnknownNameError
from embodied_envs.arm.so101 import GRIP, JOINTS, TOP_SPEED, control_of

CURRENT = 2.0  # A


def so101_arm(port: str, library: str = "feetech", calibration: Path | None = None, **more: Any) -> ServoArm:
    """SO-101 on a port; without LeRobot's calibration file its servos read their middles where the model is at 0."""
    control = control_of("targets", 0.1)
    limits = JointLimits.of(control.low, control.high, 1.2 * np.array(TOP_SPEED), CURRENT)
    middle = 0.5 * (control.low + control.high)
    known = None if calibration is None else Calibration.of_lerobot(calibration, JOINTS, middle.tolist())
    return ServoArm(JOINTS, port, limits, known, library, torque={"gripper": GRIP}, **more)


ARMS = {"so101": so101_arm}


def arm_named(robot: str, port: str, library: str, calibration: Path | None) -> ServoArm:
    """The driver of a robot.

    Raises:
        UnknownNameError: there is none for that robot.
    """
    if robot not in ARMS:
        raise UnknownNameError("robot with a driver", robot, ARMS)
    return ARMS[robot](port, library, calibration)
