"""Actuators: what the policy commands in [-1, 1], and the motor that MuJoCo simulates for it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.body.motors import Electrics, GearMotor, LuGre, ServoMotor, Thermal
from embodied.body.timing import IMMEDIATE, Timing
from embodied.errors import ModelError


@dataclass(frozen=True)
class Actuator(ABC):
    """A declared actuator on a joint; compiles into a MuJoCo actuator.

    Attributes:
        command: how commands travel: the actuator takes the newest at `rate_hz` (0: at once), and it works after a
            latency with jitter; a lost one leaves the actuator with the command before.
    """

    name: str
    joint: str
    command: Timing = field(default=IMMEDIATE, kw_only=True)

    @property
    @abstractmethod
    def scale(self) -> float:
        """What command 1 means, in `unit`."""

    @property
    @abstractmethod
    def unit(self) -> str:
        """Unit of the control."""

    @property
    def part(self) -> GearMotor | ServoMotor | None:
        """What it is made of."""
        return None

    @property
    def line(self) -> tuple[NDArray, NDArray] | None:
        """The ends of the torque-speed line at full command: speeds [rad/s] and torques [N·m]."""
        return None

    @property
    def electrics(self) -> Electrics | None:
        """The circuit behind it; None for an ideal source of torque."""
        return None

    @abstractmethod
    def compile(self, spec: mujoco.MjSpec) -> None:
        """Adds the MuJoCo actuator, and what motor and gear do to the joint."""

    def _add(self, spec: mujoco.MjSpec, limit: float) -> mujoco.MjsActuator:
        """Adds an actuator without dynamics whose control is limited to ± `limit`.

        Raises:
            ModelError: the limit is not positive.
        """
        if not limit > 0:
            raise ModelError(f"actuator {self.name!r}: what command 1 means must be positive, not {limit}")
        return spec.add_actuator(
            name=self.name,
            target=self.joint,
            trntype=mujoco.mjtTrn.mjTRN_JOINT,
            ctrllimited=True,
            ctrlrange=[-limit, limit],
        )


@dataclass(frozen=True)
class TorqueMotor(Actuator):
    """An ideal source of torque, as a drive with its own current loop comes close to."""

    limit: float  # N·m

    @property
    def scale(self) -> float:
        return self.limit

    @property
    def unit(self) -> str:
        return "N·m"

    def compile(self, spec: mujoco.MjSpec) -> None:
        self._add(spec, self.limit).set_to_motor()


@dataclass(frozen=True)
class DCMotor(Actuator):
    """A gear motor on a voltage-controlled bridge: command 1 is all that the supply has, nominally its voltage."""

    motor: GearMotor

    @property
    def scale(self) -> float:
        return self.motor.voltage

    @property
    def unit(self) -> str:
        return "V"

    @property
    def part(self) -> GearMotor:
        return self.motor

    @property
    def line(self) -> tuple[NDArray, NDArray]:
        return np.array([0.0, self.motor.no_load_speed]), np.array([self.motor.stall_torque, 0.0])

    @property
    def electrics(self) -> Electrics:
        motor = self.motor
        return Electrics(motor.motor_constant, motor.resistance, motor.voltage, thermal=motor.thermal)

    def compile(self, spec: mujoco.MjSpec) -> None:
        motor = self.motor
        actuator = self._add(spec, 2 * motor.voltage)  # a full battery may have more than the nominal voltage
        _set_to_motor(actuator, motor.motor_constant, motor.resistance, motor.thermal, motor.stribeck)
        _add_gear(spec, self.joint, motor.armature, 0.0 if motor.stribeck else motor.friction, motor.backlash)


@dataclass(frozen=True)
class VelocityMotor(Actuator):
    """A gear motor whose driver holds a speed: voltage = K · target + `gain` · (target − speed), within the supply."""

    motor: GearMotor
    top_speed: float = 10.0  # rad/s
    gain: float = 1.0  # V·s/rad

    @property
    def scale(self) -> float:
        return self.top_speed

    @property
    def unit(self) -> str:
        return "rad/s"

    @property
    def part(self) -> GearMotor:
        return self.motor

    @property
    def line(self) -> tuple[NDArray, NDArray]:
        return np.array([0.0, self.motor.no_load_speed]), np.array([self.motor.stall_torque, 0.0])

    @property
    def electrics(self) -> Electrics:
        motor = self.motor
        return Electrics(
            motor.motor_constant, motor.resistance, motor.voltage, velocity_gain=self.gain, thermal=motor.thermal
        )

    def compile(self, spec: mujoco.MjSpec) -> None:
        motor = self.motor
        actuator = self._add(spec, self.top_speed)
        loop = self.electrics.loop()
        mode = mujoco.mjtCtrlInput.mjINPUT_VEL
        _set_to_motor(actuator, motor.motor_constant, motor.resistance, motor.thermal, motor.stribeck, loop, mode)
        _add_gear(spec, self.joint, motor.armature, 0.0 if motor.stribeck else motor.friction, motor.backlash)


@dataclass(frozen=True)
class Servo(Actuator):
    """A servo whose firmware turns position error into duty: command ±1 is `half_range` from the middle.

    MuJoCo's DC motor with position input computes the torque `kp · error − kd · speed` and the voltage for it, limited
    to the supply. With kp = K k / R and kd = K² / R that voltage is the firmware's k · error, back-EMF included.
    """

    servo: ServoMotor
    half_range: float | None = None  # rad; None: all of the servo's travel

    @property
    def scale(self) -> float:
        return self.servo.half_range if self.half_range is None else self.half_range

    @property
    def unit(self) -> str:
        return "rad"

    @property
    def part(self) -> ServoMotor:
        return self.servo

    @property
    def line(self) -> tuple[NDArray, NDArray]:
        return np.array([0.0, self.servo.no_load_speed]), np.array([self.servo.stall_torque, 0.0])

    @property
    def electrics(self) -> Electrics:
        servo = self.servo
        return Electrics(
            servo.motor_constant,
            servo.resistance,
            servo.voltage,
            max_duty=servo.max_duty,
            stiffness=servo.stiffness_V / servo.voltage,
            deadband=servo.deadband,
            thermal=servo.thermal,
        )

    def compile(self, spec: mujoco.MjSpec) -> None:
        servo = self.servo
        actuator = self._add(spec, self.scale)
        loop = self.electrics.loop()
        mode = mujoco.mjtCtrlInput.mjINPUT_POS
        _set_to_motor(actuator, servo.motor_constant, servo.resistance, servo.thermal, servo.stribeck, loop, mode)
        _add_gear(spec, self.joint, servo.armature, 0.0, servo.backlash)


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


def _set_to_motor(
    actuator: mujoco.MjsActuator,
    constant: float,
    resistance: float,
    thermal: Thermal | None,
    stribeck: LuGre | None,
    loop: tuple[float, ...] = (0.0,) * 6,
    mode: int = 0,
) -> None:
    """Makes it MuJoCo's own DC motor: back-EMF, driver loop, heating and friction with a Stribeck curve."""
    actuator.set_to_dcmotor(
        motorconst=[constant, constant],
        resistance=resistance,
        controller=loop,
        thermal=thermal.native if thermal else [0.0] * 6,
        lugre=stribeck.native if stribeck else [0.0] * 5,
        ctrlspec=int(mode),
    )


def _add_gear(spec: mujoco.MjSpec, joint: str, armature: float, friction: float, backlash: float) -> None:
    driven = spec.joint(joint)
    driven.armature = armature
    if friction:
        driven.frictionloss = friction
    if backlash:
        add_backlash(spec, joint, backlash)
