"""Declared sensors in N worlds: which frame is read, and what it says."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.body.error_model import ErrorsInWorlds
from embodied.body.rays import RayFan
from embodied.body.robot import HISTORY_MARGIN
from embodied.body.sensors import Sensor
from embodied.body.timing import AGE_LIMIT_S, BEFORE_START, FrameClock, Timing
from embodied.physics.batch import Batch
from embodied.seeding import WorldStreams

Rows = NDArray[np.intp] | slice


class SensorInWorlds:
    """A MuJoCo sensor of every world. MuJoCo keeps its history; this decides how far back it is read.

    `clock` (None for a sensor without timing; shared by the sensors of a line, of which the first `leads`) and `errors`
    hold the parameters of every world.
    """

    def __init__(
        self,
        sensor: Sensor,
        batch: Batch,
        streams: WorldStreams,
        prefix: str,
        decision_s: float,
        clocks: dict[Timing, FrameClock],
    ) -> None:
        self.sensor = sensor
        model, n, name = batch.model, batch.n, f"{prefix}{sensor.name}"
        self._tick_s = model.opt.timestep
        self._ids = [model.sensor(prefix + source).id for source in sensor.sources]
        self._columns = [model.sensor_adr[i] + axis for i in self._ids for axis in sensor.axes]
        self._data = batch.array("sensordata")
        # after a step, forces and accelerations are those before its last tick
        late = [model.sensor_needstage[i] == mujoco.mjtStage.mjSTAGE_ACC for i in self._ids]
        self._late_s = self._tick_s * np.array(late)
        self.clock: FrameClock | None = None
        period_s = decision_s
        if not sensor.timing.immediate:
            shared = clocks.get(sensor.timing) if sensor.timing.line else None
            self.leads = shared is None
            fate = streams.stream((f"{prefix}{sensor.timing.line or sensor.name}/timing", 2))
            self.clock = shared or FrameClock(sensor.timing, n, self._tick_s, fate, HISTORY_MARGIN)
            clocks[sensor.timing] = self.clock
            period_s = self.clock.period_s
            self._delay = batch.field("sensor_delay")
            self._history = [_History(batch, i) for i in self._ids]
        self.errors = ErrorsInWorlds(
            sensor.errors,
            n,
            sensor.size,
            sensor.limit,
            period_s,
            streams.stream((f"{name}/start", 3 * sensor.size)),
            streams.stream((f"{name}/frame", 3 * sensor.size)),
        )

    def aim(self, tick: NDArray, rows: Rows) -> None:
        """Before the physics moves on to `tick (n,)`, sets how far back MuJoCo is to read then."""
        if self.clock is not None:
            if self.leads:
                self.clock.read(tick, rows)
            lag = (tick - self.clock.captured_tick[rows]) * self._tick_s
            # a quarter tick less, so that rounding never picks the sample before
            self._write_delay(rows, np.maximum(lag[:, None] - self._late_s - 0.25 * self._tick_s, 0.0))

    def begin(self, rows: Rows) -> None:
        """Starts an episode: draws the errors that stay, and asks MuJoCo for present readings."""
        self.errors.begin(rows)
        if self.clock is not None:
            self.clock.begin(rows)
            self._write_delay(rows, 0.0)

    def settle(self, rows: Rows) -> None:
        """Once the present readings are there: makes them the whole past."""
        if self.clock is not None:
            for history in self._history:
                history.fill(rows)

    def _write_delay(self, rows: Rows, delay: NDArray | float) -> None:
        self._delay[rows[:, None] if isinstance(rows, np.ndarray) else rows, self._ids] = delay

    def frame(self, tick: NDArray, step: NDArray, rows: Rows) -> list[NDArray]:
        """Returns the readings `(n, size)`, and their age `(n, 1)` [s] if it is observed."""
        index = step if self.clock is None else self.clock.index[rows]
        truth = self._data[rows][:, self._columns]
        reading = self.errors.apply(truth, index, (index + BEFORE_START).astype(np.uint64), rows)
        if not self.sensor.age:
            return [reading]
        captured = tick if self.clock is None else self.clock.captured_tick[rows]
        return [reading, np.minimum((tick - captured) * self._tick_s, AGE_LIMIT_S)[:, None]]


class _History:
    """Where MuJoCo keeps the past readings of one sensor: two numbers of its own, times, values."""

    def __init__(self, batch: Batch, sensor: int) -> None:
        model = batch.model
        samples, dim = int(model.sensor_history[sensor, 0]), int(model.sensor_dim[sensor])
        start = int(model.sensor_historyadr[sensor]) + 2 + samples
        self._values = batch.array("history")[:, start : start + samples * dim]
        column = int(model.sensor_adr[sensor])
        self._now = batch.array("sensordata")[:, column : column + dim]
        self._samples = samples

    def fill(self, rows: Rows) -> None:
        """Makes the whole past equal to the present reading."""
        self._values[rows] = np.tile(self._now[rows], self._samples)


class CameraInWorlds:
    """A line camera or ranger of every world; `seen` and `ranges (N, pixels)` are the frame that was read last.

    Frames are cast at every decision and kept until the slowest of them can have arrived.
    """

    def __init__(self, camera: RayFan, batch: Batch, streams: WorldStreams, prefix: str, decision_s: float) -> None:
        self.camera = camera
        self._batch = batch
        model, n, name = batch.model, batch.n, f"{prefix}{camera.name}"
        self._site = model.site(prefix + camera.site).id
        self._body = model.body(prefix + camera.body).id
        self._class_of_geom = camera.class_table([model.geom(i).name for i in range(model.ngeom)])
        self._position = batch.array("site_xpos")
        self._rotation = batch.array("site_xmat")
        self._noise = streams.stream((f"{name}/frame", camera.lanes))
        self._decision_s = decision_s
        self.clock: FrameClock | None = None
        if not camera.timing.immediate:
            fate = streams.stream((f"{name}/timing", 2))
            self.clock = FrameClock(camera.timing, n, decision_s, fate, HISTORY_MARGIN)
            depth = int(np.ceil(self.clock.longest_lag_s / decision_s)) + 2
            self._distance = np.zeros((n, depth, camera.pixels))
            self._label = np.zeros((n, depth, camera.pixels), self._class_of_geom.dtype)
            self._read = self._distance[:, 0].copy(), self._label[:, 0].copy()
        self.seen = np.zeros((n, camera.pixels), np.intp)
        self.ranges = np.full((n, camera.pixels), camera.max_range)

    def begin(self, rows: Rows) -> None:
        """Starts an episode: what is seen at its start has been seen all along."""
        if self.clock is not None:
            self.clock.begin(rows)

    def frame(self, step: NDArray, worlds: NDArray[np.intp] | None) -> list[NDArray]:
        """Casts a frame at decision `step (n,)` and reads the newest that has arrived.

        Returns:
            Ranges [m] and class indicators of `(n, …)`; age [s] and whether the frame is new, `(n, 1)` each, if
            frames can be late.
        """
        rows: Rows = slice(None) if worlds is None else worlds
        distance, geom = self._batch.rays(*self.rays(worlds), self._body, worlds)
        label, index, timing = self._class_of_geom[geom], step, []
        if self.clock is not None:
            distance, label, index, timing = self._exchange(distance, label, step, rows)
        bits = self._noise.bits((index + BEFORE_START).astype(np.uint64), rows)
        ranges, seen = self.camera.see(distance, label, bits)
        self.ranges[rows], self.seen[rows] = ranges, seen
        return [ranges, self.camera.encode(seen), *timing]

    def rays(self, worlds: NDArray[np.intp] | None = None) -> tuple[NDArray, NDArray]:
        """Returns origins `(n, 1, 3)` [m] and directions `(n, pixels, 3)` in the world frame."""
        rows: Rows = slice(None) if worlds is None else worlds
        R_wc = self._rotation[rows, self._site].reshape(-1, 1, 3, 3)
        ahead, left = self.camera.directions[:, :1], self.camera.directions[:, 1:2]
        return self._position[rows, self._site][:, None], R_wc[..., 0] * ahead + R_wc[..., 1] * left

    def _exchange(self, distance: NDArray, label: NDArray, step: NDArray, rows: Rows):
        """Keeps the frame just cast and returns the newest that has arrived, its index, and its timing."""
        assert self.clock is not None
        n = np.arange(len(self.seen))[rows]
        depth = self._distance.shape[1]
        starts = step == 0
        self._distance[n, step % depth], self._label[n, step % depth] = distance, label
        if starts.any():  # what is seen at the start has been seen all along
            self._distance[n[starts]], self._label[n[starts]] = distance[starts, None], label[starts, None]
        before = self.clock.index[rows].copy()
        self.clock.read(step, rows)
        captured, index = self.clock.captured_tick[rows], self.clock.index[rows]
        age = np.minimum((step - captured) * self._decision_s, AGE_LIMIT_S)
        new = (index != before) | starts
        arrived = captured[new] % depth
        self._read[0][n[new]], self._read[1][n[new]] = self._distance[n[new], arrived], self._label[n[new], arrived]
        return self._read[0][rows], self._read[1][rows], index, [age[:, None], new[:, None]]
