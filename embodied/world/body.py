"""A robot in N worlds: declared sensors and actuators bound to the arrays of a batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embodied.body.robot import Robot
from embodied.body.sensors import LineCamera
from embodied.physics.batch import Batch
from embodied.seeding import WorldStreams, as_normal


class Body:
    """Reads and drives one robot in every world of a batch; names in the model carry `prefix`.

    `sense` writes observations in the order of `robot.layout`; `command` takes actions in [-1, 1].
    """

    def __init__(self, robot: Robot, batch: Batch, streams: WorldStreams, prefix: str) -> None:
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
        self.cameras = [CameraInWorlds(c, batch, prefix) for c in robot.cameras]
        self._bind_sensors(streams)
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

    def sense(self, out: NDArray, step: NDArray, worlds: NDArray[np.intp] | None = None) -> None:
        """Writes the frames of step number `step (N,)` into the rows `worlds` of `out (N, dim)`."""
        rows: NDArray[np.intp] | slice = slice(None) if worlds is None else worlds
        bits = self._noise.bits(step[rows], rows)
        slices = iter(self._slices)
        for camera, lanes in zip(self.cameras, self._camera_lanes, strict=True):
            ranges, seen = camera.frame(bits[:, lanes], worlds)
            out[rows, next(slices)] = ranges
            out[rows, next(slices)] = camera.camera.indicators(seen).reshape(len(seen), -1)
        noise = as_normal(bits[:, self._sensor_lanes])
        truth = self._sensordata[rows][:, self._columns]
        for sensor, columns in zip(self.robot.sensors, self._sensor_columns, strict=True):
            out[rows, next(slices)] = sensor.measure(truth[:, columns], noise[:, columns])

    def _bind_sensors(self, streams: WorldStreams) -> None:
        """Lays out one noise stream with lanes for every camera pixel and every sensor reading."""
        model, prefix, robot = self.batch.model, self.prefix, self.robot
        cameras = [(f"{prefix}{c.name}", c.lanes) for c in robot.cameras]
        sensors = [(f"{prefix}{s.name}", s.size) for s in robot.sensors]
        self._noise = streams.stream(*cameras, *sensors)
        self._camera_lanes = _consecutive([size for _, size in cameras])
        self._sensor_columns = _consecutive([size for _, size in sensors])
        self._sensor_lanes = slice(sum(size for _, size in cameras), None)
        self._columns = [
            model.sensor(prefix + source).adr[0] + axis
            for s in robot.sensors
            for source in s.sources
            for axis in s.axes
        ]
        self._sensordata = self.batch.array("sensordata")


class CameraInWorlds:
    """A line camera of every world; `seen` and `ranges (N, pixels)` keep its last frame."""

    def __init__(self, camera: LineCamera, batch: Batch, prefix: str) -> None:
        self.camera = camera
        self._batch = batch
        model = batch.model
        self._site = model.site(prefix + camera.site).id
        self._body = model.body(prefix + camera.body).id
        names = [model.geom(i).name for i in range(model.ngeom)]
        self._class_of_geom = camera.class_table(names)
        self._position = batch.array("site_xpos")
        self._rotation = batch.array("site_xmat")
        self.seen = np.zeros((batch.n, camera.pixels), np.intp)
        self.ranges = np.full((batch.n, camera.pixels), camera.max_range)

    def frame(self, bits: NDArray, worlds: NDArray[np.intp] | None) -> tuple[NDArray, NDArray]:
        """Returns ranges [m] and class indices, `(n, pixels)` each, given random bits `(n, lanes)`."""
        rows: NDArray[np.intp] | slice = slice(None) if worlds is None else worlds
        distance, geom = self._batch.rays(*self.rays(worlds), self._body, worlds)
        ranges, seen = self.camera.see(distance, self._class_of_geom[geom], bits)
        self.ranges[rows], self.seen[rows] = ranges, seen
        return ranges, seen

    def rays(self, worlds: NDArray[np.intp] | None = None) -> tuple[NDArray, NDArray]:
        """Returns origins `(n, 1, 3)` [m] and directions `(n, pixels, 3)` in the world frame."""
        rows: NDArray[np.intp] | slice = slice(None) if worlds is None else worlds
        R_wc = self._rotation[rows, self._site].reshape(-1, 1, 3, 3)
        ahead, left = self.camera.directions[:, :1], self.camera.directions[:, 1:2]
        return self._position[rows, self._site][:, None], R_wc[..., 0] * ahead + R_wc[..., 1] * left


def _consecutive(sizes: list[int]) -> list[slice]:
    """Returns slices of the given sizes, one after the other."""
    ends = np.cumsum(sizes, dtype=int)
    return [slice(int(end - size), int(end)) for end, size in zip(ends, sizes, strict=True)]
