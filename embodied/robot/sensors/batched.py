"""All sensors of a robot that are not optical, in N worlds at once: which frames are read, and what they say."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.physics.batch import Batch
from embodied.robot.frames import ClockChannel, FrameBuffer, Parameters, columns
from embodied.robot.sensors.error_model import BatchedErrors
from embodied.robot.sensors.spec import Sensor
from embodied.seeding import Stream, Worlds, WorldStreams, as_normal, grid

ERROR_PARAMETERS = (
    "noise",
    "noise_density",
    "bias",
    "scale",
    "resolution",
    "drift",
    "drift_time_s",
    "random_walk",
)


class BatchedSensors:
    """The declared sensors, side by side in one array of readings `(N, D)`, so that each operation is done once.

    Args:
        sensors: declared; `channels` holds the channel of each, or None for those without timing.
        telemetry: what the electronics know, by name, `(N,)` each.
    """

    def __init__(
        self,
        sensors: Sequence[Sensor],
        channels: Sequence[ClockChannel | None],
        batch: Batch,
        streams: WorldStreams,
        prefix: str,
        decision_s: float,
        telemetry: dict[str, NDArray],
    ) -> None:
        self.sensors, self._channels = sensors, channels
        self._tick_s = batch.model.opt.timestep
        ends = np.cumsum([0, *(sensor.readings for sensor in sensors)])
        self._places = [slice(a, b) for a, b in itertools.pairwise(ends)]
        self._timed = next((channel.clock for channel in channels if channel is not None), None)
        none = 0 if self._timed is None else len(self._timed.timings)  # sensors without timing count decisions
        numbers = [none if channel is None else channel.number for channel in channels]
        self._channel_of = np.repeat(numbers, [sensor.readings for sensor in sensors]).astype(np.intp)
        self._bind_sources(batch, prefix, telemetry)
        self.errors = self._errors(batch.n, streams, prefix, decision_s)
        self._skewed = [
            _Misalignment(sensor, place, batch, streams, prefix)
            for sensor, place in zip(sensors, self._places, strict=True)
            if batch.model.nsensor and _is_vector(sensor, batch, prefix)
        ]
        self._finish = _Finish(sensors, self._places, batch.n)

    def parameters(self) -> Parameters:
        """How to get per-world values, by name, `(N, readings)` each."""
        named: Parameters = {
            f"{sensor.name}/{name}": partial(columns, getattr(self.errors, name), place)
            for sensor, place in zip(self.sensors, self._places, strict=True)
            for name in ERROR_PARAMETERS
        }
        return named | {f"{skew.sensor.name}/misalignment": partial(getattr, skew, "spread") for skew in self._skewed}

    def begin(self, rows: Worlds) -> None:
        """Starts an episode: draws the errors that stay, and asks MuJoCo for present readings."""
        self.errors.begin(rows)
        for skew in self._skewed:
            skew.begin(rows)
        self._write_delays(rows, 0.0)

    def initialize_history(self, rows: Worlds) -> None:
        """Once the present readings are there: makes them the whole past."""
        for history in self._histories:
            history.fill(rows)

    def schedule_reads(self, tick: NDArray, rows: Worlds) -> None:
        """Before the physics moves on to `tick (n,)`, sets how far back MuJoCo is to read then."""
        if self._delayed.size and self._timed is not None:
            lag = (tick[:, None] - self._timed.captured_tick[rows][:, self._delayed_channels]) * self._tick_s
            # a quarter tick less, so that rounding never picks the sample before
            self._write_delays(rows, np.maximum(lag - self._late_s - 0.25 * self._tick_s, 0.0))

    def frame(self, tick: NDArray, step: NDArray, rows: Worlds) -> NDArray:
        """Returns everything that the sensors deliver at `tick` and decision `step (n,)`, in order, `(n, …)`."""
        frame = step[:, None] if self._timed is None else np.column_stack([self._timed.index[rows], step])
        truth, beyond = self._truth(step, rows)
        readings = self._limits.saturated(self.errors.apply(truth, frame[:, self._channel_of], rows), beyond)
        return self._finish(readings, beyond, frame[:, self._channel_of], self._ages(tick, rows), step, rows)

    def _truth(self, step: NDArray, rows: Worlds) -> tuple[NDArray, NDArray]:
        """What is to be measured, and where there is nothing to measure, `(n, D)` each."""
        raw = self._data[rows][:, self._columns]
        truth = raw * self._gain
        for place, values, buffer in self._telemetry:
            now = np.stack([value[rows] for value in values], axis=1)
            if buffer is not None:
                buffer.exchange(now, step, rows)
                now = buffer.held[rows]
            truth[:, place] = now * self._gain[place]
        for skew in self._skewed:
            skew.add(truth, rows)
        return truth, self._limits.beyond(raw)

    def _ages(self, tick: NDArray, rows: Worlds) -> dict[str, NDArray]:
        """How old each reading is whose age is observed, `(n,)` [s]."""
        aged = [(s, channel) for s, channel in zip(self.sensors, self._channels, strict=True) if s.age]
        zero = np.zeros(len(tick))
        return {s.name: zero if channel is None else self._age(s, channel, tick, rows) for s, channel in aged}

    def _age(self, sensor: Sensor, channel: ClockChannel, tick: NDArray, rows: Worlds) -> NDArray:
        per_tick = self._tick_s / channel.clock.tick_s[channel.number]
        return channel.age(tick * per_tick, rows)

    def _bind_sources(self, batch: Batch, prefix: str, telemetry: dict[str, NDArray]) -> None:
        """Finds where each reading comes from."""
        model = batch.model
        self._data = batch.array("sensordata") if model.nsensor else np.zeros((batch.n, 1))
        self._columns = np.zeros(len(self._channel_of), np.intp)
        self._gain = np.ones(len(self._channel_of))
        self._limits = _Limits([sensor.limit for sensor in self.sensors for _ in range(sensor.readings)])
        self._telemetry: list[tuple[slice, list[NDArray], FrameBuffer | None]] = []
        delayed, channels, self._histories = [], [], []
        for sensor, channel, place in zip(self.sensors, self._channels, self._places, strict=True):
            self._gain[place] = sensor.gain
            if sensor.is_telemetry:
                buffer = None if channel is None else FrameBuffer(channel, (sensor.readings,))
                self._telemetry.append((place, [telemetry[name] for name in sensor.source_names], buffer))
                continue
            ids = [model.sensor(prefix + source).id for source in sensor.source_names]
            self._columns[place] = [model.sensor_adr[i] + axis for i in ids for axis in sensor.axes]
            self._limits.add(place, np.repeat(ids, len(sensor.axes)), model)
            if channel is not None:
                delayed += ids
                channels += [channel.number] * len(ids)
                self._histories += [_History(batch, i) for i in ids]
        self._delayed, self._delayed_channels = np.array(delayed, np.intp), np.array(channels, np.intp)
        # after a step, forces and accelerations are those before its last tick
        self._late_s = self._tick_s * (model.sensor_needstage[self._delayed] == mujoco.mjtStage.mjSTAGE_ACC)
        self._delay = batch.field("sensor_delay") if self._delayed.size else None

    def _errors(self, n: int, streams: WorldStreams, prefix: str, decision_s: float) -> BatchedErrors:
        each = [sensor for sensor in self.sensors for _ in range(sensor.readings)]
        periods = [
            decision_s if channel is None else channel.clock.period_s[channel.number]
            for sensor, channel in zip(self.sensors, self._channels, strict=True)
            for _ in range(sensor.readings)
        ]

        def stream(part: str) -> Stream:
            return streams.stream(*((f"{prefix}{s.name}/{part}", 3 * s.readings) for s in self.sensors))

        # the way since the last reading is bounded, not the angle itself
        limits = [np.inf if sensor.increment or sensor.wrap else sensor.limit for sensor in each]
        return BatchedErrors([s.errors for s in each], n, limits, periods, stream("start"), stream("frame"))

    def _write_delays(self, rows: Worlds, delay: NDArray | float) -> None:
        if self._delay is not None:
            self._delay[grid(rows, self._delayed)] = delay


class _Limits:
    """Where MuJoCo's numbers are no measurements: a range finder's −1 for nothing met, and what a cutoff holds back.

    A range of nothing is the sensor's limit, and not valid; a range is never negative.
    """

    def __init__(self, limits: Sequence[float]) -> None:
        self._limit = np.array(limits)
        self._cutoff = np.full(len(limits), np.inf)
        self._ranges, self._distances = np.zeros(len(limits), bool), np.zeros(len(limits), bool)
        self._any = False

    def add(self, place: slice, ids: NDArray[np.intp], model: mujoco.MjModel) -> None:
        """Tells which sensors of the model readings come from."""
        kind, cutoff = model.sensor_type[ids], model.sensor_cutoff[ids]
        self._ranges[place] = kind == mujoco.mjtSensor.mjSENS_RANGEFINDER
        self._distances[place] = self._ranges[place] | (kind == mujoco.mjtSensor.mjSENS_GEOMDIST)
        self._cutoff[place] = np.where(cutoff > 0, cutoff, np.inf)
        self._any |= bool(self._distances[place].any() or (cutoff > 0).any())

    def beyond(self, raw: NDArray) -> NDArray[np.bool_]:
        """Where nothing was measured, `(n, D)`."""
        return (self._ranges & (raw < 0)) | (np.abs(raw) >= self._cutoff)

    def saturated(self, readings: NDArray, beyond: NDArray[np.bool_]) -> NDArray:
        """Readings with the limit in place of distances to nothing."""
        if not self._any:
            return readings
        readings = np.where(self._ranges, np.maximum(readings, 0.0), readings)
        return np.where(self._distances & beyond, self._limit, readings)


class _Finish:
    """Turns readings into what is delivered: wrapped, as increments, combined, with age and validity."""

    def __init__(self, sensors: Sequence[Sensor], places: Sequence[slice], n: int) -> None:
        self._sensors = list(zip(sensors, places, strict=True))
        self._plain = not any(s.wrap or s.increment or s.combine or s.age or s.valid for s in sensors)
        self._before = {s.name: np.zeros((n, s.readings)) for s in sensors if s.increment}
        self._combine = {s.name: np.array(s.combine) for s in sensors if s.combine}

    def __call__(
        self,
        readings: NDArray,
        beyond: NDArray[np.bool_],
        frame: NDArray,
        ages: dict[str, NDArray],
        step: NDArray,
        rows: Worlds,
    ) -> NDArray:
        if self._plain:
            return readings
        parts: list[NDArray] = []
        for sensor, place in self._sensors:
            reading, sound = self._delivered(sensor, readings[:, place], step, rows)
            parts.append(reading)
            if sensor.age:
                parts.append(ages[sensor.name][:, None])
            if sensor.valid:
                arrived = (frame[:, place.start] >= 0) & ~beyond[:, place].any(axis=1)
                parts.append((sound & arrived)[:, None])
        return np.concatenate(parts, axis=1)

    def _delivered(self, sensor: Sensor, reading: NDArray, step: NDArray, rows: Worlds) -> tuple[NDArray, NDArray]:
        """Returns what is delivered, `(n, size)`, and whether nothing of it is saturated, `(n,)`."""
        if sensor.wrap:
            reading = (reading + np.pi) % (2 * np.pi) - np.pi
        if sensor.increment:
            before = np.where(step[:, None] == 0, reading, self._before[sensor.name][rows])
            self._before[sensor.name][rows] = reading
            reading = reading - before
        sound = sensor.wrap | (np.abs(reading) < sensor.limit).all(axis=1)
        if sensor.increment:
            reading = np.clip(reading, -sensor.limit, sensor.limit)
        if sensor.combine:
            reading = np.einsum("oi,ni->no", self._combine[sensor.name], reading)
        return reading, sound


class _Misalignment:
    """What each axis of a vector sensor picks up of the others; `spread (N, 1)` may differ per world."""

    def __init__(self, sensor: Sensor, place: slice, batch: Batch, streams: WorldStreams, prefix: str) -> None:
        self.sensor, self._place = sensor, place
        model = batch.model
        start = [int(model.sensor_adr[model.sensor(prefix + name).id]) for name in sensor.source_names]
        self._columns = np.array([[adr + k for k in range(3)] for adr in start for _ in sensor.axes])
        self._own = np.array([axis for _ in start for axis in sensor.axes])
        self._data = batch.array("sensordata")
        self.spread = np.full((batch.n, 1), sensor.errors.misalignment)
        self._stream = streams.stream((f"{prefix}{sensor.name}/misalignment", 3 * sensor.readings))
        self._share = np.zeros((batch.n, sensor.readings, 3))
        self._any = False

    def begin(self, rows: Worlds) -> None:
        share = as_normal(self._stream.bits(0, rows)).reshape(-1, *self._share.shape[1:]) * self.spread[rows][..., None]
        share[:, np.arange(len(self._own)), self._own] = 0.0
        self._share[rows] = share
        self._any = bool(self.spread.any())

    def add(self, truth: NDArray, rows: Worlds) -> None:
        if self._any:
            vectors = self._data[rows][:, self._columns] * self.sensor.gain
            truth[:, self._place] += np.einsum("nij,nij->ni", self._share[rows], vectors)


class _History:
    """Where MuJoCo keeps the past readings of one sensor: two numbers of its own, times, values."""

    def __init__(self, batch: Batch, sensor: int) -> None:
        model: Any = batch.model
        samples, dim = int(model.sensor_history[sensor, 0]), int(model.sensor_dim[sensor])
        start = int(model.sensor_historyadr[sensor]) + 2 + samples
        self._values = batch.array("history")[:, start : start + samples * dim]
        column = int(model.sensor_adr[sensor])
        self._now = batch.array("sensordata")[:, column : column + dim]
        self._samples = samples

    def fill(self, rows: Worlds) -> None:
        """Makes the whole past equal to the present reading."""
        self._values[rows] = np.tile(self._now[rows], self._samples)


def _is_vector(sensor: Sensor, batch: Batch, prefix: str) -> bool:
    return not sensor.is_telemetry and all(batch.model.sensor(prefix + s).dim[0] == 3 for s in sensor.source_names)
