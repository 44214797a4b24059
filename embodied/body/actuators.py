"""Actuators: what the policy commands in [-1, 1], and the motor that MuJoCo simulates for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from embodied.body.datasheet import BusServo, GearMotor, ServoMotor


class Actuator(Protocol):
    """A declared actuator: compiles into a MuJoCo actuator; `scale` turns [-1, 1] into its control."""

    @property
    def name(self) -> str: ...
    @property
    def joint(self) -> str: ...
    @property
    def scale(self) -> float: ...
    @property
    def unit(self) -> str: ...
    def compile(self, spec: mujoco.MjSpec) -> None: ...


@dataclass(frozen=True)
class DCMotor:
    """A gear motor on a voltage-controlled bridge: command 1 is nominal voltage."""

    name: str
    joint: str
    motor: GearMotor

    @property
    def scale(self) -> float:
        """Voltage at command 1 [V]."""
        return self.motor.voltage

    @property
    def unit(self) -> str:
        """Unit of the control."""
        return "V"

    def compile(self, spec: mujoco.MjSpec) -> None:
        """Adds MuJoCo's own DC motor, back-EMF included, and the rotor's inertia and dry friction."""
        motor = self.motor
        actuator = spec.add_actuator(
            name=self.name,
            target=self.joint,
            trntype=mujoco.mjtTrn.mjTRN_JOINT,
            ctrllimited=True,
            ctrlrange=[-motor.voltage, motor.voltage],
        )
        actuator.set_to_dcmotor(motorconst=[motor.motor_constant] * 2, resistance=motor.resistance)
        joint = spec.joint(self.joint)
        joint.armature = motor.armature
        joint.frictionloss = motor.friction


@dataclass(frozen=True)
class Servo:
    """A hobby servo: command ±1 is the end of its travel, and the servo drives itself there."""

    name: str
    joint: str
    servo: ServoMotor

    @property
    def scale(self) -> float:
        """Angle at command 1 [rad]."""
        return self.servo.half_range

    @property
    def unit(self) -> str:
        """Unit of the control."""
        return "rad"

    def compile(self, spec: mujoco.MjSpec) -> None:
        """Adds a position loop that saturates at the stall torque and runs free at the no-load speed."""
        servo = self.servo
        limit = [-servo.stall_torque, servo.stall_torque]
        actuator = spec.add_actuator(
            name=self.name,
            target=self.joint,
            trntype=mujoco.mjtTrn.mjTRN_JOINT,
            ctrllimited=True,
            ctrlrange=[-servo.half_range, servo.half_range],
            forcelimited=True,
            forcerange=limit,
        )
        actuator.set_to_position(kp=servo.stiffness)
        joint = spec.joint(self.joint)
        joint.armature = servo.armature
        joint.damping[0] = servo.stall_torque / servo.no_load_speed


@dataclass(frozen=True)
class FirmwareServo:
    """A bus servo whose firmware turns position error into duty: command ±1 is `half_range` from the middle.

    MuJoCo's DC motor with position input computes the torque `kp · error − kd · speed` and the voltage for it, limited
    to the supply. With kp = K k / R and kd = K² / R that voltage is the firmware's k · error, back-EMF included.
    """

    name: str
    joint: str
    servo: BusServo
    half_range: float = 1.5  # rad

    @property
    def scale(self) -> float:
        """Angle at command 1 [rad]."""
        return self.half_range

    @property
    def unit(self) -> str:
        """Unit of the control."""
        return "rad"

    def compile(self, spec: mujoco.MjSpec) -> None:
        """Adds the motor with its firmware loop, the rotor's inertia, and the gear's backlash."""
        servo = self.servo
        K, R = servo.motor_constant, servo.resistance
        actuator = spec.add_actuator(
            name=self.name,
            target=self.joint,
            trntype=mujoco.mjtTrn.mjTRN_JOINT,
            ctrllimited=True,
            ctrlrange=[-self.half_range, self.half_range],
        )
        supply = servo.max_duty * servo.voltage
        loop = [K / R * servo.stiffness_V, 0.0, K**2 / R, 0.0, 0.0, supply]
        actuator.set_to_dcmotor(
            motorconst=[K, K], resistance=R, controller=loop, ctrlspec=int(mujoco.mjtCtrlInput.mjINPUT_POS)
        )
        spec.joint(self.joint).armature = servo.armature
        if servo.backlash:
            add_backlash(spec, self.joint, servo.backlash)


def firmware_gainprm(constant: ArrayLike, resistance: ArrayLike, stiffness_V: ArrayLike, supply: ArrayLike) -> NDArray:
    """MuJoCo's parameters of a `FirmwareServo`, for worlds that differ: write to `actuator_gainprm[worlds, servo, :8]`.

    Args:
        constant: motor constant K [V·s/rad]; resistance: R [Ω]; stiffness_V: firmware gain k [V/rad]; supply: [V].
    """
    K, R, k, V = np.broadcast_arrays(*np.atleast_1d(constant, resistance, stiffness_V, supply))
    zero = np.zeros_like(K, dtype=np.float64)
    return np.stack([R, K, zero, zero, K / R * k, zero, K**2 / R, V], axis=-1)


def torque_speed(actuator: Actuator) -> tuple[NDArray, NDArray] | None:
    """The ends of an actuator's torque-speed line at full command: speeds [rad/s] and torques [N·m]."""
    if isinstance(actuator, DCMotor):
        return np.array([0.0, actuator.motor.no_load_speed]), np.array([actuator.motor.stall_torque, 0.0])
    if isinstance(actuator, FirmwareServo | Servo):
        return np.array([0.0, actuator.servo.no_load_speed]), np.array([actuator.servo.stall_torque, 0.0])
    return None


def add_backlash(spec: mujoco.MjSpec, joint: str, width: float) -> mujoco.MjsJoint:
    """Puts a loose hinge of `width` [rad] between a motor's joint and its load; returns the loose hinge.

    The motor turns `joint`; the load follows within ± width / 2. The rotor's inertia must sit on `joint`, as armature.
    Each world can have its own width: field `jnt_range` of the joint `<joint>_backlash`.
    """
    driven = spec.joint(joint)
    half = math.degrees(width / 2) if spec.compiler.degree else width / 2
    return driven.parent.add_joint(
        name=f"{joint}_backlash",
        type=mujoco.mjtJoint.mjJNT_HINGE,
        axis=driven.axis,
        pos=driven.pos,
        limited=True,
        range=[-half, half],
        armature=0.0,
        solref_limit=[0.004, 1.0],  # teeth are stiff; MuJoCo softens this by itself where its time step is too long
        solimp_limit=[0.99, 0.999, 1e-4, 0.5, 2.0],
    )
