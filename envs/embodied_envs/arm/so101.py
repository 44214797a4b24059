"""SO-101: the open arm of six serial servos, with the servos that its logs show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, Protocol, get_args

import msgspec
import mujoco
import numpy as np
from numpy.typing import ArrayLike

import embodied_assets as assets
from embodied.errors import ModelError, OptionError, UnknownNameError
from embodied.files import checked, read_json
from embodied.randomization.distributions import Correlated
from embodied.randomization.spec import Randomization, RandomizationTerm
from embodied.robot.actuators.battery import Battery
from embodied.robot.actuators.motors import ServoMotor
from embodied.robot.actuators.spec import Servo
from embodied.robot.cameras.spec import ColorCamera, DepthCamera
from embodied.robot.control import ArmControl, HandMoves, JointTargets, JointVelocities
from embodied.robot.datasheet import read_bus_servo
from embodied.robot.kinematics import SerialChain
from embodied.robot.rays.spec import RaySensor
from embodied.robot.robot import Robot
from embodied.robot.sensors.error_model import ErrorModel
from embodied.robot.sensors.presets import battery_voltage, goal_position, motor_current, motor_load
from embodied.robot.sensors.spec import Sensor, Source
from embodied.robot.timing import Timing
from embodied_envs.arm.appearance import with_meshes

ARM = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll")
JOINTS = (*ARM, "gripper")
SUPPLY = (11.0, 12.0)  # V, of an empty and of a charged battery, or of a weak and a good power supply
GRIP = 0.5  # share of its supply that the gripper may use: above its overload limit its servo would let go
HAND, GRASP = "grip", "grasp"  # sites: LeRobot's frame of the hand, and the middle of the fingers' pads
TOP_SPEED = (1.0, 1.0, 1.0, 1.5, 2.0, 2.0)  # rad/s, of targets that are moved by their speeds
Action = Literal["targets", "velocities", "hand"]
Appearance = Literal["primitives", "menagerie"]
WristCamera = Literal["none", "rgb", "depth", "rays"]
CAMERAS: dict[str, tuple[type[ColorCamera] | type[DepthCamera], ...]] = {"rgb": (ColorCamera,), "depth": (DepthCamera,)}
RAYS = RaySensor("wrist", site="wrist_rays", body="gripper", pixels=32, fov=1.2, max_range=0.6, range_floor=0.002)


LATENCY, MOST_LATENCY_S = "latency_s", 0.045  # and how late commands may be, by the buffer of those on their way [s]
HAND_MASS = "body_mass[robot/gripper]"  # what it is called in an environment
TERMS = {  # what a fit finds, and what it is called in an environment
    "stiffness": "*_servo/stiffness",
    "dof_damping": "*_servo/damping",
    "dof_frictionloss": "*_servo/friction",
    "dof_armature": "*_servo/armature",
    "latency_s": "*_servo/latency_s",
    "load_friction": "*_servo/load_friction",
    "back_load_friction": "*_servo/back_load_friction",
}


class Posterior(Protocol):
    """What a fit says (see `embodied.sysid.Fit`)."""

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def estimate(self) -> ArrayLike: ...

    @property
    def covariance(self) -> ArrayLike: ...

    @property
    def low(self) -> ArrayLike: ...

    @property
    def high(self) -> ArrayLike: ...


class _Saved(msgspec.Struct):
    """What is needed of a saved fit."""

    names: list[str]
    estimate: list[float]
    covariance: list[list[float]]
    low: list[float]
    high: list[float]


@dataclass(frozen=True)
class FittedServo:
    """The servo of the joints: of its datasheet, the printed line; of its logs, what drives and what rubs.

    Attributes:
        servo: as the posterior's mean has it; viscous: friction of the gear beyond what the winding brakes [N·m·s/rad].
        latency_s: of commands [s].
        mean: what was found, by the names of the fit.
        randomization: the posterior, as what differs from world to world.
    """

    servo: ServoMotor
    viscous: float
    latency_s: float
    mean: dict[str, float]
    randomization: Randomization


@cache
def fitted_servo() -> FittedServo:
    """Reads the datasheet and the posterior that come with the package."""
    sheet = read_bus_servo(assets.datasheet_path("sts3215_12v"))
    path = assets.posterior_path("so101")
    found = checked(read_json(path, ModelError), _Saved, f"{path} is no posterior", ModelError)
    mean = dict(zip(found.names, found.estimate, strict=True))
    duty, brake = _motor(sheet)
    servo = replace(
        sheet,
        duty_per_gain_count=mean["stiffness"] * duty * sheet.count / sheet.gain,
        armature=mean["dof_armature"],
        load_friction=mean["load_friction"],
        back_load_friction=mean["back_load_friction"],
        backlash=0.0,
    )
    viscous = mean["dof_damping"] - brake
    return FittedServo(servo, viscous, mean["latency_s"], mean, servo_randomization(found))


def _motor(sheet: ServoMotor) -> tuple[float, float]:
    """Share of the supply per torque of a motor at rest [1/(N·m)], and what its winding brakes [N·m·s/rad]."""
    return 1 / sheet.stall_torque, sheet.motor_constant**2 / sheet.resistance


def servo_randomization(found: Posterior, widen: float = 1.0) -> Randomization:
    """What a fit of all joints together leaves open, in terms of the robot's parameters, which are linear in it.

    Args:
        found: of `TERMS`, one number for all joints each; widen: factor on all standard errors.

    Raises:
        UnknownNameError: something else was found.
        OptionError: a factor that is not positive, or a latency beyond what is simulated.
    """
    if not widen > 0:
        raise OptionError(f"widen must be positive, not {widen}")
    for name in found.names:
        if name not in TERMS:
            raise UnknownNameError("found parameter", name, TERMS)
    duty, brake = _motor(read_bus_servo(assets.datasheet_path("sts3215_12v")))
    factor = np.array([duty if name == "stiffness" else 1.0 for name in found.names])
    shift = np.array([-brake if name == "dof_damping" else 0.0 for name in found.names])
    names = tuple(TERMS[name] for name in found.names)
    covariance = widen**2 * np.array(found.covariance) * np.outer(factor, factor)
    mean, low, high = (np.array(part) * factor + shift for part in (found.estimate, found.low, found.high))
    most = np.array([MOST_LATENCY_S if name == LATENCY else np.inf for name in found.names])
    if (mean > most).any():
        late = float(mean[list(found.names).index(LATENCY)])
        raise OptionError(f"commands are {late:.3g} s late: the arm is simulated with at most {MOST_LATENCY_S} s")
    by = Correlated.of(mean, covariance, np.maximum(low, 0.0), np.minimum(high, most))
    return Randomization((RandomizationTerm(names, by, "set"),))


def so101(control_hz: float, camera: str = "none", appearance: str = "primitives") -> Robot:
    """The arm as LeRobot drives it: actions are the targets of its joints, over half a turn each way.

    Args:
        camera: at its wrist: "none", "rgb" or "depth" of 64 × 64 pixels, or "rays", which are a hundred times faster.
        appearance: "primitives", or "menagerie" for the meshes of MuJoCo Menagerie, which only cameras see.

    Raises:
        UnknownNameError: another camera or appearance.
    """
    if camera not in get_args(WristCamera):
        raise UnknownNameError("camera of the wrist", camera, get_args(WristCamera))
    if appearance not in get_args(Appearance):
        raise UnknownNameError("appearance of the arm", appearance, get_args(Appearance))
    fitted = fitted_servo()
    count = 2 * math.pi / 4096
    encoder = ErrorModel(resolution=count, noise=0.5e-3)
    bus = Timing(rate_hz=100.0, latency_s=0.004, jitter_s=0.001, bus="bus")
    registers = Timing(rate_hz=control_hz, bus="registers")
    command = Timing(rate_hz=100.0, latency_s=fitted.latency_s, jitter_s=0.001)
    angles = tuple(Source(mujoco.mjtSensor.mjSENS_JOINTPOS, mujoco.mjtObj.mjOBJ_JOINT, joint) for joint in JOINTS)
    servos = tuple(f"{joint}_servo" for joint in JOINTS)
    return Robot(
        name="so101",
        mjcf=with_meshes() if appearance == "menagerie" else assets.robot_path("so101"),
        base="base",
        sensors=(
            Sensor("angle", angles, "rad", math.pi, encoder, bus),
            goal_position("goal", servos, fitted.servo.half_range, ErrorModel(resolution=count), registers),
            motor_load("load", servos, ErrorModel(resolution=1e-3, noise=2e-3), registers),
            motor_current("current", servos, 3.0, ErrorModel(resolution=6.5e-3, noise=5e-3), registers),
            battery_voltage("volts", 15.0, ErrorModel(resolution=0.1, scale=0.01), registers),
        ),
        line_cameras=(),
        range_finders=(RAYS,) if camera == "rays" else (),
        cameras=tuple(made("wrist", camera="wrist") for made in CAMERAS.get(camera, ())),
        actuators=tuple(Servo(f"{joint}_servo", joint, _servo(joint), command=command) for joint in JOINTS),
        battery=Battery("12 V supply", SUPPLY, resistance=0.2, capacity=1e9, electronics=1.0),
    )


def _servo(joint: str) -> ServoMotor:
    servo = fitted_servo().servo
    return replace(servo, max_duty=GRIP) if joint == "gripper" else servo


def arm_chain(site: str) -> SerialChain:
    """The joints from the base to a site of the hand."""
    return SerialChain(_model(), ARM, site)


def control_of(action: str, decision_s: float) -> ArmControl:
    """What turns actions of a kind into targets of the joints."""
    model = _model()
    low, high = model.jnt_range[[model.joint(joint).id for joint in JOINTS]].T
    if action == "targets":
        return JointTargets(JOINTS, low, high, decision_s)
    if action == "velocities":
        return JointVelocities(JOINTS, low, high, decision_s, TOP_SPEED)
    return HandMoves(JOINTS, low, high, decision_s, arm_chain(GRASP))


def _model() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_path(str(assets.robot_path("so101")))
