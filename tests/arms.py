"""SO-101 as simulated servos, without a port: for tests of drivers and of the loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodied.deploy.clock import SteppedClock
from embodied.deploy.driver import JointLimits
from embodied.deploy.drivers.servos import ServoArm
from embodied.deploy.twin.body import BodyTruth, TwinBody
from embodied.deploy.twin.bus import Bus, Faults
from embodied.deploy.twin.direct import DirectBus
from embodied.deploy.twin.firmware import Firmware
from embodied_envs.arm.so101 import JOINTS, so101
from embodied_envs.arm.tabletop import table

POSTURE = np.array([0.1, -0.4, 0.5, 0.7, -0.2, 0.3])
IDS = (1, 2, 3, 4, 5, 6)
LIMITS = JointLimits.of([-1.6] * 6, [1.6] * 6, 2.5, 2.0)


def servos(faults: Faults | None = None, seed: int = 0, **truth: Any) -> Bus:
    """Six servos on a line, with the gains that LeRobot sets, in an asymmetric posture, torque off."""
    robot = so101(10.0)
    body = TwinBody(table(), robot, replace(BodyTruth.of(robot), **truth))
    body.place(POSTURE)
    firmware = Firmware(body, IDS, seed)
    for memory in firmware.memories:
        memory.keep("p", 16)
    firmware.power_on()
    return Bus(firmware, faults, seed)


def arm_on(bus: Bus, **more: Any) -> tuple[ServoArm, SteppedClock]:
    """The driver of an arm on such a line, with the time that passes there."""
    clock = SteppedClock(bus)
    opened: Callable[[], DirectBus] = lambda: DirectBus(bus)  # noqa: E731
    return ServoArm(JOINTS, "no port", LIMITS, opened=opened, now=clock.now, torque={"gripper": 0.5}, **more), clock


def run_for(bus: Bus, seconds: float) -> None:
    """Lets time pass."""
    SteppedClock(bus).sleep_until(bus.firmware.time_s + seconds)


class Script:
    """An agent that does what a function of the decision's number says, `(k) -> (nu,)`."""

    def __init__(self, acts: Callable[[int], NDArray]) -> None:
        self._acts = acts
        self.seen: list[NDArray] = []

    def initial(self, n: int, seed: int) -> int:
        return 0

    def act(self, carry: int, obs: NDArray, first: NDArray) -> tuple[int, NDArray]:
        self.seen.append(np.array(obs[0]))
        return carry + 1, np.asarray(self._acts(carry), float)[None]
