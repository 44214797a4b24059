"""Dry friction of gears that grows with what is put into them, in N worlds."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from embodied.physics.batch import Batch
from embodied.robot.actuators.spec import Actuator
from embodied.robot.frames import Parameters, columns
from embodied.seeding import Worlds, grid


def pressed_friction(motor: Any, load: Any, by_motor: Any, by_load: Any) -> Any:
    """Dry friction [N·m] that torques add, as they press teeth onto each other.

    Args:
        motor: what the motor puts into the gear [N·m]; load: what gravity and inertia put into it from behind [N·m].
        by_motor, by_load: friction per torque of each.
    """
    return by_motor * np.abs(motor) + by_load * np.abs(load)


class GearFriction:
    """Sets the dry friction of joints for the physics that follow, from the torques of MuJoCo's last tick.

    Attributes:
        dry: friction without any torque, `(N, gears)` [N·m]; load_friction, back_load_friction: per torque.
    """

    VARIES = ("load_friction", "back_load_friction")

    def __init__(self, gears: list[Actuator], batch: Batch, prefix: str) -> None:
        model, n = batch.model, batch.n
        self.names = [actuator.name for actuator in gears]
        self._ids = np.array([model.actuator(prefix + actuator.name).id for actuator in gears], np.intp)
        self._dofs = np.array([model.joint(prefix + actuator.joint).dofadr[0] for actuator in gears], np.intp)
        parts: list[Any] = [actuator.part for actuator in gears]
        self.load_friction, self.back_load_friction = (
            np.tile([getattr(part, name) for part in parts], (n, 1)).astype(float) for name in self.VARIES
        )
        self.dry = np.tile(model.dof_frictionloss[self._dofs], (n, 1))
        self._brake = np.array([part.motor_constant**2 / part.resistance for part in parts])
        self._field = batch.field("dof_frictionloss")
        self._force, self._speed, self._load = (batch.array(a) for a in ("actuator_force", "qvel", "qfrc_bias"))

    def parameters(self) -> Parameters:
        """How to get per-world values, by name; `friction` is that without a torque."""
        table: Parameters = {}
        for i, name in enumerate(self.names):
            for what, values in (("friction", self.dry), *((what, getattr(self, what)) for what in self.VARIES)):
                table[f"{name}/{what}"] = partial(columns, values, slice(i, i + 1))
        return table

    def begin(self, rows: Worlds) -> None:
        """Starts an episode without any torque."""
        self._field[grid(rows, self._dofs)] = self.dry[rows]

    def control_tick(self, rows: Worlds) -> None:
        """Takes in the torques of the last tick; that of a motor is what its voltage would give it at rest."""
        motor = self._force[grid(rows, self._ids)] + self._brake * self._speed[grid(rows, self._dofs)]
        load = self._load[grid(rows, self._dofs)]
        added = pressed_friction(motor, load, self.load_friction[rows], self.back_load_friction[rows])
        self._field[grid(rows, self._dofs)] = self.dry[rows] + added


def gears_of(actuators: tuple[Actuator, ...]) -> list[Actuator]:
    """The actuators whose gear has friction under load."""
    return [a for a in actuators if any(getattr(a.part, name, 0.0) for name in GearFriction.VARIES)]
