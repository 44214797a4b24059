"""Actuators: what the policy commands in [-1, 1], and the motor that MuJoCo simulates for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import mujoco

from embodied.body.datasheet import GearMotor, ServoMotor


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
        joint.frictionloss = motor.motor_constant * motor.no_load_current


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
