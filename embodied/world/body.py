"""A robot in N worlds: declared sensors and actuators bound to the arrays of a batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embodied.body.robot import Robot
from embodied.body.timing import FrameClock, Timing
from embodied.physics.batch import Batch
from embodied.seeding import WorldStreams
from embodied.world.senses import CameraInWorlds, SensorInWorlds


class Body:
    """Reads and drives one robot in every world of a batch; names in the model carry `prefix`.

    `sense` writes observations in the order of `robot.layout`; `command` takes actions in [-1, 1].
    """

    def __init__(self, robot: Robot, batch: Batch, streams: WorldStreams, prefix: str, decision_s: float) -> None:
        self.robot = robot
        self.prefix = prefix
        self.batch = batch
        model = batch.model
        self.base = model.body(prefix + robot.base).id
        joint = model.body_jntadr[self.base]
        self._place = int(model.jnt_qposadr[joint])
        self._motion = int(model.jnt_dofadr[joint])
        self._scale = np.array([a.scale for a in robot.actuators])
        self._controls = [model.actuator(prefix + a.name).id for a in robot.actuators]
        self.cameras = [CameraInWorlds(c, batch, streams, prefix, decision_s) for c in robot.cameras]
        self.rangers = [CameraInWorlds(r, batch, streams, prefix, decision_s) for r in robot.rangers]
        clocks: dict[Timing, FrameClock] = {}
        self.sensors = [SensorInWorlds(s, batch, streams, prefix, decision_s, clocks) for s in robot.sensors]
        self._slices = [robot.layout.slice(c.name) for c in robot.layout.channels]
        self._ctrl = batch.array("ctrl")
        self._qpos = batch.array("qpos")
        self._qvel = batch.array("qvel")

    def command(self, actions: NDArray, worlds: NDArray[np.intp] | slice) -> None:
        """Drives the actuators of `worlds` with actions `(n, nu)` in [-1, 1]."""
        self._ctrl[worlds, self._controls[0] : self._controls[-1] + 1] = actions * self._scale

    def place(self, worlds: NDArray[np.intp], xy: NDArray, heading: NDArray, height: float) -> None:
        """Stands the robots of `worlds` at `xy (n, 2)` [m] with `heading (n,)` [rad]."""
        p = self._place
        zero = np.zeros_like(heading)
        self._qpos[worlds, p : p + 2] = xy
        self._qpos[worlds, p + 2] = height
        quaternion = np.stack([np.cos(heading / 2), zero, zero, np.sin(heading / 2)], axis=1)
        self._qpos[worlds, p + 3 : p + 7] = quaternion

    @property
    def xy(self) -> NDArray:
        """Positions on the floor, `(N, 2)` [m]."""
        return self._qpos[:, self._place : self._place + 2]

    @property
    def heading(self) -> NDArray:
        """Headings, `(N,)` [rad]."""
        w, x, y, z = (self._qpos[:, self._place + i] for i in (3, 4, 5, 6))
        return np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))

    @property
    def velocity(self) -> NDArray:
        """Linear velocity in the world frame [m/s] and angular velocity [rad/s], `(N, 6)`."""
        return self._qvel[:, self._motion : self._motion + 6]

    def aim(self, ticks: NDArray, rows: NDArray[np.intp] | slice) -> None:
        """Before the physics of `rows` moves on to `ticks (n,)`, sets which frames are to be read then."""
        for sensor in self.sensors:
            sensor.aim(ticks, rows)

    def begin(self, worlds: NDArray[np.intp]) -> None:
        """Starts an episode: draws the errors that stay, and forgets the frames of the last one."""
        for camera in (*self.cameras, *self.rangers):
            camera.begin(worlds)
        for sensor in self.sensors:
            sensor.begin(worlds)

    def settle(self, worlds: NDArray[np.intp]) -> None:
        """Once the first state of an episode is computed: the robot has been at rest in it all along."""
        for sensor in self.sensors:
            sensor.settle(worlds)

    def sense(self, out: NDArray, step: NDArray, ticks: NDArray, worlds: NDArray[np.intp] | None = None) -> None:
        """Writes what is read at decision `step (N,)` into the rows `worlds` of `out (N, dim)`."""
        rows: NDArray[np.intp] | slice = slice(None) if worlds is None else worlds
        parts = [part for camera in (*self.cameras, *self.rangers) for part in camera.frame(step[rows], worlds)]
        parts += [part for sensor in self.sensors for part in sensor.frame(ticks[rows], step[rows], rows)]
        for place, part in zip(self._slices, parts, strict=True):
            out[rows, place] = part
