"""From recordings of an arm to what its servos are, and to what a policy for it is to be trained under."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

import embodied_assets as assets
from embodied.randomization.distributions import Uniform
from embodied.randomization.spec import Randomization, RandomizationTerm
from embodied.sysid import Fit, Parameter, Recording, ServoPlant, fit
from embodied.sysid.drive import Servo
from embodied_envs.arm.so101 import GRIP, HAND_MASS, JOINTS, SUPPLY, TERMS, fitted_servo, servo_randomization

TICK_S = 0.005
SEGMENT_S, SETTLE_S, ITERATIONS = 10.0, 0.3, 15
CHARGE, VOLTS = "battery/charge", 0.2  # of the supply, and by how much it may be misread, as a share of its range
HEAVIER = (0.0, 0.1)  # kg, of the hand, of which motions in the air say too little
WIDEN = 2.0  # a posterior that trusts its model is too narrow
RANGES = {
    "stiffness": (3.0, 40.0),
    "dof_damping": (0.05, 3.0),
    "dof_frictionloss": (0.0, 0.4),
    "dof_armature": (0.001, 0.06),
    "latency_s": (0.0, 0.06),
    "load_friction": (0.0, 0.8),
    "back_load_friction": (0.0, 0.8),
}


def servo_plant(joints: Sequence[str] = JOINTS, supply: str | None = "volts", threads: int | None = 1) -> ServoPlant:
    """The package's arm, driven as its servos drive it; the gripper with the torque that its driver leaves to it.

    Args:
        joints: that were recorded; supply: the signal of its voltage, if that was.
    """
    servo = fitted_servo().servo
    drive = Servo(
        stiffness=12.0, limit=servo.stall_torque, load_friction=0.05, back_load_friction=0.05, supply=supply,
        volts=servo.voltage,
    )  # fmt: skip
    drives = dict.fromkeys(joints, drive) | {"gripper": replace(drive, limit=GRIP * drive.limit)}
    return ServoPlant(assets.robot_path("so101"), joints, drives, tick_s=TICK_S, threads=threads)


def identify_servos(recordings: Sequence[Recording], iterations: int = ITERATIONS) -> Fit:
    """What the servos of an arm are, one number for all of them, by replaying what was recorded of it.

    The search begins at what the servos of this project's arm were found to be.
    """
    usual = fitted_servo().mean
    wanted = [Parameter(name, *RANGES[name], tied=True, start=usual.get(name)) for name in TERMS]
    return fit(
        servo_plant(),
        recordings,
        wanted,
        segment_s=SEGMENT_S,
        settle_s=SETTLE_S,
        remove_offset=True,
        iterations=iterations,
    )


def fitted_randomization(found: Fit, recordings: Sequence[Recording], widen: float = WIDEN) -> Randomization:
    """What a fit leaves open, the supply as it was read, and what a fit says nothing about: what hangs on the hand."""
    volts = np.mean([recording.signal("volts").mean() for recording in recordings])
    charge = float(np.interp(volts, SUPPLY, (0.0, 1.0)))
    known = (
        RandomizationTerm(CHARGE, Uniform(max(charge - VOLTS, 0.0), min(charge + VOLTS, 1.0)), "set"),
        RandomizationTerm(HAND_MASS, Uniform(*HEAVIER), "add"),
    )
    return servo_randomization(found, widen) + Randomization(known)
