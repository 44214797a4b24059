"""Actuators: what the policy commands in [-1, 1], and the motor that MuJoCo simulates for it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.errors import ModelError
from embodied.physics.elements import add_actuator, add_joint
from embodied.robot.actuators.motors import Electrics, GearMotor, ServoMotor
from embodied.robot.timing import IMMEDIATE, Timing


@dataclass(frozen=True)
class Actuator(ABC):
    """A declared actuator on a joint; compiles into a MuJoCo actuator, and takes the place of those of the file.

    Attributes:
        MOVES: the kind of joint that it drives.
        command: how commands travel: the actuator takes the newest at `rate_hz` (0: at once), and it works after a
            latency with jitter; a lost one leaves the actuator with the command before.
    """

    MOVES: ClassVar[mujoco.mjtJoint] = mujoco.mjtJoint.mjJNT_HINGE
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

        A limit that the file has for whatever actuates the joint, such as the effort of a URDF, holds no longer.

        Raises:
            ModelError: the limit is not positive.
        """
        if not 0 < limit < math.inf:
            raise ModelError(f"actuator {self.name!r}: what command 1 means must be positive and finite, not {limit}")
        spec.joint(self.joint).actfrclimited = False
        return add_actuator(
            spec,
            name=self.name,
            target=self.joint,
            trntype=mujoco.mjtTrn.mjTRN_JOINT,
            ctrllimited=True,
            ctrlrange=[-limit, limit],
            forcelimited=False,
            actlimited=False,
        )


@dataclass(frozen=True)
class IdealMotor(Actuator):
    """A source of whatever moves its joint, up to `limit`."""

    limit: float

    @property
    def scale(self) -> float:
        return self.limit

    def compile(self, spec: mujoco.MjSpec) -> None:
        self._add(spec, self.limit).set_to_motor()


@dataclass(frozen=True)
class TorqueMotor(IdealMotor):
    """An ideal source of torque [N·m], as a drive with its own current loop comes close to."""

    @property
    def unit(self) -> str:
        return "N·m"


@dataclass(frozen=True)
class ForceMotor(IdealMotor):
    """An ideal source of force on a slide joint [N]."""

    MOVES = mujoco.mjtJoint.mjJNT_SLIDE

    @property
    def unit(self) -> str:
        return "N"


@dataclass(frozen=True)
class Motorized(Actuator):
    """A motor behind a driver; MuJoCo's own DC motor simulates back-EMF, the driver's loop, heat and friction."""

    mode: ClassVar[int] = 0  # what the driver takes, of MuJoCo's `mjtCtrlInput`; 0 for voltage

    @property
    @abstractmethod
    def part(self) -> GearMotor | ServoMotor: ...

    @property
    @abstractmethod
    def electrics(self) -> Electrics: ...

    @property
    def reach(self) -> float:
        """The greatest control that MuJoCo lets through."""
        return self.scale

    @property
    def line(self) -> tuple[NDArray, NDArray]:
        return np.array([0.0, self.part.no_load_speed]), np.array([self.part.stall_torque, 0.0])

    def compile(self, spec: mujoco.MjSpec) -> None:
        part, electrics = self.part, self.electrics
        self._add(spec, self.reach).set_to_dcmotor(
            motorconst=[part.motor_constant] * 2,
            resistance=part.resistance,
            controller=electrics.loop() if electrics.closes_a_loop else [0.0] * 6,
            thermal=part.thermal.native if part.thermal else [0.0] * 6,
            lugre=part.stribeck.native if part.stribeck else [0.0] * 5,
            ctrlspec=int(self.mode),
        )
        driven = spec.joint(self.joint)
        driven.armature = part.armature
        if part.friction or part.stribeck:
            driven.frictionloss = 0.0 if part.stribeck else part.friction
        if part.backlash:
            add_backlash(spec, self.joint, part.backlash)


@dataclass(frozen=True)
class DCMotor(Motorized):
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
    def electrics(self) -> Electrics:
        return self.motor.electrics()

    @property
    def reach(self) -> float:
        return 2 * self.motor.voltage  # a full battery may have more than the nominal voltage


@dataclass(frozen=True)
class VelocityMotor(Motorized):
    """A gear motor whose driver holds a speed: voltage = K · target + `gain` · (target − speed), within the supply."""

    motor: GearMotor
    top_speed: float = 10.0  # rad/s
    gain: float = 1.0  # V·s/rad
    mode = mujoco.mjtCtrlInput.mjINPUT_VEL

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
    def electrics(self) -> Electrics:
        return self.motor.electrics(velocity_gain=self.gain)


@dataclass(frozen=True)
class Servo(Motorized):
    """A servo whose firmware turns position error into duty: command ±1 is `half_range` from the middle.

    MuJoCo's DC motor with position input computes the torque `kp · error − kd · speed` and the voltage for it, limited
    to the supply. With kp = K k / R and kd = K² / R that voltage is the firmware's k · error, back-EMF included.
    """

    servo: ServoMotor
    half_range: float | None = None  # rad; None: all of the servo's travel
    mode = mujoco.mjtCtrlInput.mjINPUT_POS

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
    def electrics(self) -> Electrics:
        return self.servo.electrics()


def add_backlash(spec: mujoco.MjSpec, joint: str, width: float) -> mujoco.MjsJoint:
    """Puts a loose hinge of `width` [rad] between a motor's joint and its load; returns the loose hinge.

    The motor turns `joint`; the load follows within ± width / 2. The rotor's inertia must sit on `joint`, as armature.
    Each world can have its own width: field `jnt_range` of the joint `<joint>_backlash`.
    """
    driven = spec.joint(joint)
    half = math.degrees(width / 2) if spec.compiler.degree else width / 2
    return add_joint(
        driven.parent,
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
