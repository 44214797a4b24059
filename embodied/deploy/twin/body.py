"""The body of a twin: servos with windings, gears and a supply on an arm that MuJoCo simulates, one tick at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from embodied.errors import ModelError
from embodied.physics.batch import Batch
from embodied.physics.loading import compile_spec
from embodied.robot.actuators.friction import pressed_friction
from embodied.robot.actuators.spec import Servo, add_backlash
from embodied.robot.robot import Robot

TICK_S = 0.001
AIR = 25.0  # °C


@dataclass(frozen=True)
class BodyTruth:
    """What a body really is; arrays are `(joints,)`, or one number for all of them.

    Attributes:
        constant: of the motors [N·m/A]; resistance: of their windings [Ω].
        duty_per_count: share of the supply per count of error and unit of the gain P.
        viscous: friction of the gears per speed [N·m·s/rad]; friction: dry [N·m]; None for what the robot's file has.
        load_friction, back_load_friction: dry friction per torque of the motor, and per torque from behind.
        armature: of rotors, at the shaft [kg·m²]; backlash: of the gears [rad].
        offset: what encoders say where a joint stands at 0 [rad].
        latency_s: from the arrival of a goal to its effect, and its jitter (standard deviation) [s].
        supply: open-circuit voltage [V], and its resistance [Ω].
        payload: mass at the hand [kg]; mount: stiffness of what the base stands on [N·m/rad] (inf: a rock).
        warming: from windings to the air [K/W], and the heat that they hold [J/K].
    """

    constant: ArrayLike
    resistance: ArrayLike
    duty_per_count: ArrayLike
    viscous: ArrayLike | None = None
    friction: ArrayLike | None = None
    load_friction: ArrayLike = 0.0
    back_load_friction: ArrayLike = 0.0
    armature: ArrayLike = 0.0
    backlash: ArrayLike = 0.0
    offset: ArrayLike = 0.0
    latency_s: float = 0.0
    jitter_s: float = 0.0
    supply: float = 12.0
    supply_resistance: float = 0.2
    payload: float = 0.0
    mount: float = np.inf
    warming: tuple[float, float] = (8.0, 40.0)

    @classmethod
    def of(cls, robot: Robot) -> BodyTruth:
        """The body that a robot is declared to have.

        Raises:
            ModelError: it has actuators that are no servos.
        """
        parts = [a.servo for a in robot.actuators if isinstance(a, Servo)]
        if not parts or len(parts) != len(robot.actuators):
            raise ModelError(f"robot {robot.name!r} has actuators that are no servos: a twin speaks for servos only")
        values: dict[str, Any] = {
            "constant": [p.motor_constant for p in parts],
            "resistance": [p.resistance for p in parts],
            "duty_per_count": [p.duty_per_gain_count for p in parts],
            "load_friction": [p.load_friction for p in parts],
            "back_load_friction": [p.back_load_friction for p in parts],
            "armature": [p.armature for p in parts],
            "backlash": [p.backlash for p in parts],
        }
        command, battery = robot.actuators[0].command, robot.battery
        made = cls(**values, latency_s=command.latency_s, jitter_s=command.jitter_s)
        if battery is None:
            return made
        return replace(made, supply=max(battery.open_circuit), supply_resistance=battery.resistance)


class TwinBody:
    """Joints behind servos, in one world that is moved tick by tick with the duties that the firmware chose.

    Args:
        scene: where the robot stands, such as a table; robot: whose servos are simulated by their duty.
        truth: what the body really is.
        prefix: of the robot's names in the scene.

    Attributes:
        batch: the world, of one; current `(joints,)` [A], temperature `(joints,)` [°C]; volts: at the servos.
        supply: open-circuit voltage; may be changed at any time.
    """

    def __init__(self, scene: mujoco.MjSpec, robot: Robot, truth: BodyTruth, prefix: str = "robot/") -> None:
        self.truth = truth
        self.joints = tuple(actuator.joint for actuator in robot.actuators)
        n = len(self.joints)
        self.constant, self.resistance, self.armature, self.backlash, self.offset, self._by_motor, self._by_load = (
            _each(getattr(truth, name), n)
            for name in (
                "constant", "resistance", "armature", "backlash", "offset", "load_friction", "back_load_friction",
            )
        )  # fmt: skip
        self._torque_per_volt, self._brake = self.constant / self.resistance, self.constant**2 / self.resistance
        model = self._compile(scene, robot, prefix)
        self.batch = Batch(model, 1, 1)
        joints = [model.joint(prefix + joint) for joint in self.joints]
        self._places, self._dofs = (
            np.array([getattr(joint, name)[0] for joint in joints], np.intp) for name in ("qposadr", "dofadr")
        )
        of = self.batch.array
        self._qpos, self._qvel, self._bias, self._applied = (
            of(name)[0] for name in ("qpos", "qvel", "qfrc_bias", "qfrc_applied")
        )
        self._friction, self._damping = (self.batch.field(name)[0] for name in ("dof_frictionloss", "dof_damping"))
        self.supply = truth.supply
        self.current, self.temperature, self.volts = np.zeros(n), np.full(n, AIR), truth.supply
        self.begin()

    def _compile(self, scene: mujoco.MjSpec, robot: Robot, prefix: str) -> mujoco.MjModel:
        built = robot.build(TICK_S)
        for actuator in list(built.actuators):
            built.delete(actuator)
        driven = [built.joint(joint) for joint in self.joints]
        viscous, dry = self.truth.viscous, self.truth.friction
        self.viscous = _each([j.damping[0] for j in driven] if viscous is None else viscous, len(driven))
        self.dry_friction = _each([j.frictionloss for j in driven] if dry is None else dry, len(driven))
        for joint, armature, backlash in zip(driven, self.armature, self.backlash, strict=True):
            joint.armature = armature
            if backlash and not any(j.name == f"{joint.name}_backlash" for j in built.joints):
                add_backlash(built, joint.name, backlash)
        base = built.body(robot.base)
        if np.isfinite(self.truth.mount):
            for name, axis in (("x", [1, 0, 0]), ("y", [0, 1, 0])):
                damping = 0.02 * self.truth.mount
                base.add_joint(
                    name=f"mount_{name}", axis=axis, stiffness=[self.truth.mount, 0, 0], damping=[damping, 0, 0]
                )
        if self.truth.payload:
            hand = driven[-1].parent
            hand.add_geom(size=[0.008, 0, 0], mass=self.truth.payload, contype=0, conaffinity=0)
        scene.option.timestep = TICK_S
        scene.attach(built, prefix=prefix, frame=scene.worldbody.add_frame())
        return compile_spec(scene, f"twin of {robot.name!r}")

    def begin(self) -> None:
        """Cold and without a current, wherever the joints are now."""
        self.current[:], self.temperature[:], self.volts = 0.0, AIR, self.supply
        self._applied[self._dofs] = 0.0
        self.batch.forward()

    @property
    def angles(self) -> NDArray[np.float64]:
        """What the shafts' encoders see, `(joints,)` [rad]."""
        return self._qpos[self._places] + self.offset

    @property
    def true_angles(self) -> NDArray[np.float64]:
        """Where the joints are, `(joints,)` [rad]."""
        return self._qpos[self._places]

    @property
    def speeds(self) -> NDArray[np.float64]:
        """Speeds of the shafts, `(joints,)` [rad/s]."""
        return self._qvel[self._dofs]

    def place(self, angles: NDArray) -> None:
        """Puts the joints at rest at `angles (joints,)` [rad]."""
        self._qpos[self._places], self._qvel[self._dofs] = angles, 0.0
        self.begin()

    def tick(self, duty: NDArray, driven: NDArray[np.bool_]) -> None:
        """Moves on by one tick with a share of the supply on each winding; one that is not driven is open."""
        speed = self.speeds
        voltage = duty * self.volts
        self.current = driven * (voltage - self.constant * speed) / self.resistance
        motor = driven * voltage * self._torque_per_volt
        load = self._bias[self._dofs]
        self._damping[self._dofs] = self.viscous + driven * self._brake
        self._friction[self._dofs] = self.dry_friction + pressed_friction(motor, load, self._by_motor, self._by_load)
        self._applied[self._dofs] = motor
        self.batch.run(1)
        self._supply_and_heat(duty)

    def _supply_and_heat(self, duty: NDArray) -> None:
        drawn = float(np.abs(duty) @ np.abs(self.current))
        self.volts = max(self.supply - self.truth.supply_resistance * drawn, 0.0)
        to_air, capacity = self.truth.warming
        heat = self.current**2 * self.resistance - (self.temperature - AIR) * (1 / to_air)
        self.temperature += heat * (TICK_S / capacity)


def _each(value: ArrayLike, n: int) -> NDArray[np.float64]:
    return np.array(np.broadcast_to(np.asarray(value, float), n))
