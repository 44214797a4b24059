"""A robot in N worlds: declared sensors and actuators bound to the arrays of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.errors import ModelError, UnknownNameError
from embodied.physics.batch import Batch
from embodied.robot.actuators.batched import BatchedActuators, tick_boundaries
from embodied.robot.actuators.power import MotorPower
from embodied.robot.cameras.batched import BatchedCamera
from embodied.robot.frames import ClockChannel, Parameters, columns
from embodied.robot.rays.batched import BatchedRays
from embodied.robot.robot import HISTORY_MARGIN, Robot
from embodied.robot.sensors.batched import BatchedSensors
from embodied.robot.sensors.spec import Sensor
from embodied.robot.timing import FrameClock, Timing
from embodied.seeding import Worlds, WorldStreams

CLOCK_PARAMETERS = {"latency_s": "latency_s", "jitter_s": "jitter_s", "frame_dropout": "dropout", "phase_s": "phase_s"}


class BatchedRobot:
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
        self._free = joint >= 0 and model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_FREE
        self._place = int(model.jnt_qposadr[joint]) if self._free else 0
        self._motion = int(model.jnt_dofadr[joint]) if self._free else 0
        self._tick_s = model.opt.timestep
        self._ticks = whole_ticks(decision_s, self._tick_s)
        self.actuators = BatchedActuators(robot, batch, streams, prefix, decision_s) if robot.actuators else None
        self.clock, channels = _clock(robot, batch, streams, prefix, decision_s)
        self._ticks_of_channel = np.array([s / self._tick_s for s in self.clock.tick_s]) if self.clock else np.zeros(0)
        self.line_cameras = [BatchedRays(c, channels[c.name], batch, streams, prefix) for c in robot.line_cameras]
        self.range_finders = [BatchedRays(r, channels[r.name], batch, streams, prefix) for r in robot.range_finders]
        self._control_ticks: set[int] = {0}
        self.cameras = [BatchedCamera(e, channels[e.name], batch, streams, prefix) for e in robot.cameras]
        self._capture_ticks = {tick for camera in self.cameras for tick in camera.due_ticks(self._ticks)}
        own = [channels[s.name] for s in robot.sensors]
        telemetry = self.actuators.telemetry if self.actuators else {}
        self.sensors = (
            BatchedSensors(robot.sensors, own, batch, streams, prefix, decision_s, telemetry) if robot.sensors else None
        )
        self._parameters = self._collect_parameters(channels)
        optical = [channel for part in robot.optical_sensors for channel in part.channels]
        self._slices = [robot.layout.slice(channel.name) for channel in optical]
        self._rest = slice(sum(channel.size for channel in optical), robot.layout.size)
        self._qpos = batch.array("qpos")
        self._qvel = batch.array("qvel")

    def parameter(self, name: str) -> NDArray:
        """Returns the live values of one parameter of a part, `(N, …)`; write to them before a world is reset.

        Names are `<part>/<what>`, as in `parameter_names`.

        Raises:
            UnknownNameError: there is no such parameter.
        """
        if name not in self._parameters:
            raise UnknownNameError("parameter", name, self.parameter_names())
        return self._parameters[name]()

    def parameter_names(self) -> list[str]:
        """Everything about this body that can differ per world."""
        return list(self._parameters)

    def _collect_parameters(self, channels: dict[str, ClockChannel | None]) -> Parameters:
        """How to get each of them."""
        table: Parameters = {}
        for part, channel in channels.items():
            if channel is not None:
                own = slice(channel.number, channel.number + 1)
                table |= {
                    f"{part}/{what}": partial(columns, getattr(channel.clock, name), own)
                    for what, name in CLOCK_PARAMETERS.items()
                }
        for beams in (*self.line_cameras, *self.range_finders):
            table |= {
                f"{beams.fan.name}/{what}": partial(beams.parameters.__getitem__, what) for what in beams.parameters
            }
        for owner in (self.sensors, self.actuators):
            table |= owner.parameters() if owner is not None else {}
        return table

    def command(self, actions: NDArray, step: NDArray, rows: Worlds) -> None:
        """Sends actions `(n, nu)` in [-1, 1] to the actuators of `rows`, before the decision that ends as `step`."""
        if self.actuators is not None:
            self.actuators.command(actions, step, (step - 1) * self._ticks, rows)

    def advance(self, step: NDArray, worlds: NDArray[np.intp] | None = None) -> NDArray[np.intp]:
        """Moves `worlds` (None: all) on by one decision, which ends as `step (n,)`; returns those that failed."""
        return advance([self], step, worlds)

    def tick_boundaries(self) -> list[int]:
        """The ticks of a decision up to which the physics runs in one go; motor control and cameras act there."""
        control = tick_boundaries(self._ticks, self.actuators.power_update_s if self.actuators else 0.0, self._tick_s)
        self._control_ticks = {0, *control}
        return sorted({*control, *self._capture_ticks})

    def control_tick(self, start: NDArray, tick: int, rows: Worlds) -> None:
        """What the motor electronics do at `tick` of the decision that began at `start (n,)`."""
        if self.actuators is not None and tick in self._control_ticks:
            self.actuators.control_tick(start + tick, rows)

    @property
    def ticks(self) -> int:
        """Physics ticks per decision."""
        return self._ticks

    @property
    def metered_power(self) -> MotorPower | None:
        """The power, if its energy is metered."""
        power = self.actuators.power if self.actuators else None
        return power if power is not None and power.measures_energy else None

    def capture(self, tick: int, worlds: NDArray[np.intp] | None) -> None:
        """Takes the pictures that are due at `tick` of a decision."""
        due = [camera for camera in self.cameras if tick in camera.due_ticks(self._ticks)]
        if due:
            self.batch.update(worlds)
        for camera in due:
            camera.capture(slice(None) if worlds is None else worlds)

    def place(self, worlds: NDArray[np.intp], xy: NDArray, heading: NDArray, height: float) -> None:
        """Stands the robots of `worlds` at `xy (n, 2)` [m] with `heading (n,)` [rad].

        Raises:
            ModelError: the base stands fast.
        """
        p = self._free_place("placed")
        zero = np.zeros_like(heading)
        self._qpos[worlds, p : p + 2] = xy
        self._qpos[worlds, p + 2] = height
        quaternion = np.stack([np.cos(heading / 2), zero, zero, np.sin(heading / 2)], axis=1)
        self._qpos[worlds, p + 3 : p + 7] = quaternion

    def recapture(self) -> None:
        """Replaces the frames of beams that are on their way by ones from where the robots have been carried."""
        self.batch.update()
        for beams in (*self.line_cameras, *self.range_finders):
            beams.recapture()

    def move_to(self, xy: NDArray, turn: NDArray) -> None:
        """Carries all robots, as they move, to `xy (N, 2)` [m], turned by `turn (N,)` [rad] about the vertical.

        Raises:
            ModelError: the base stands fast.
        """
        p, v = self._free_place("carried"), self._motion
        self._qpos[:, p : p + 2] = xy
        c, s = np.cos(turn / 2), np.sin(turn / 2)
        w, x, y, z = self._qpos[:, p + 3 : p + 7].T.copy()
        self._qpos[:, p + 3 : p + 7] = np.stack([c * w - s * z, c * x - s * y, c * y + s * x, c * z + s * w], axis=1)
        c, s = np.cos(turn), np.sin(turn)
        along, across = self._qvel[:, v : v + 2].T.copy()
        self._qvel[:, v : v + 2] = np.stack([c * along - s * across, s * along + c * across], axis=1)

    @property
    def xy(self) -> NDArray:
        """Positions on the floor, `(N, 2)` [m]."""
        p = self._free_place("located by its joint")
        return self._qpos[:, p : p + 2]

    @property
    def heading(self) -> NDArray:
        """Headings, `(N,)` [rad]."""
        p = self._free_place("turned")
        w, x, y, z = (self._qpos[:, p + i] for i in (3, 4, 5, 6))
        return np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))

    @property
    def velocity(self) -> NDArray:
        """Linear velocity in the world frame [m/s] and angular velocity [rad/s], `(N, 6)`."""
        self._free_place("moved")
        return self._qvel[:, self._motion : self._motion + 6]

    def _free_place(self, what: str) -> int:
        """Where the base's pose stands in `qpos`."""
        if not self._free:
            raise ModelError(f"the base {self.robot.base!r} of {self.robot.name!r} stands fast and cannot be {what}")
        return self._place

    def begin(self, worlds: NDArray[np.intp]) -> None:
        """Starts an episode: draws the errors that stay, and forgets frames and commands of the last one."""
        if self.clock is not None:
            self.clock.begin(worlds)
        if self.actuators is not None:
            self.actuators.begin(worlds)
        if self.sensors is not None:
            self.sensors.begin(worlds)

    def initialize_history(self, worlds: NDArray[np.intp]) -> None:
        """Once the first state of an episode is computed: the robot has been at rest in it all along."""
        if self.sensors is not None:
            self.sensors.initialize_history(worlds)

    def schedule_reads(self, step: NDArray, rows: Worlds) -> None:
        """Before the physics moves on to decision `step`, decides which frames are to be read then."""
        if self.clock is not None:
            self._read_clock(step, rows)
        if self.sensors is not None:
            self.sensors.schedule_reads(step * self._ticks, rows)

    def _read_clock(self, step: NDArray, rows: Worlds) -> None:
        assert self.clock is not None
        self.clock.read((step * self._ticks)[:, None] / self._ticks_of_channel, rows)

    def sense(self, out: NDArray, step: NDArray, worlds: NDArray[np.intp] | None = None) -> None:
        """Writes what is read at decision `step (N,)` into the rows `worlds` of `out (N, dim)`."""
        rows: Worlds = slice(None) if worlds is None else worlds
        now = step[rows]
        starts = now == 0
        if self.clock is not None and starts.any():  # nothing was aimed at the start of an episode
            self._read_clock(now[starts], np.arange(self.batch.n)[rows][starts])
        parts = [part for beams in (*self.line_cameras, *self.range_finders) for part in beams.frame(now, worlds)]
        parts += [part for camera in self.cameras for part in camera.frame(now, rows)]
        for place, part in zip(self._slices, parts, strict=True):
            out[rows, place] = part
        if self.sensors is not None:
            out[rows, self._rest] = self.sensors.frame(now * self._ticks, now, rows)

    def close(self) -> None:
        """Frees renderers."""
        for camera in self.cameras:
            camera.close()


def advance(bodies: Sequence[BatchedRobot], step: NDArray, worlds: NDArray[np.intp] | None = None) -> NDArray[np.intp]:
    """Moves `worlds` (None: all), with all bodies in them, on by one decision, which ends as `step (n,)`.

    Returns:
        The worlds that failed.
    """
    rows: Worlds = slice(None) if worlds is None else worlds
    batch, ticks = bodies[0].batch, bodies[0].ticks
    for body in bodies:
        body.schedule_reads(step, rows)
    start, done = (step - 1) * ticks, 0
    failed = np.zeros(0, np.intp)
    for edge in sorted({edge for body in bodies for edge in body.tick_boundaries()}):
        for body in bodies:
            body.control_tick(start, done, rows)
        lost = _run(bodies, batch, edge - done, worlds)
        failed, done = (np.union1d(failed, lost) if lost.size else failed), edge
        for body in bodies if done < ticks else ():
            body.capture(done, worlds)
    lost = batch.update(worlds)
    return np.union1d(failed, lost) if lost.size else failed


def _run(bodies: Sequence[BatchedRobot], batch: Batch, ticks: int, worlds: NDArray[np.intp] | None) -> NDArray[np.intp]:
    """Moves the physics on by some ticks, and adds up the energy that flowed; returns worlds with errors."""
    metered = [power for power in (body.metered_power for body in bodies) if power is not None]
    if not metered:
        return batch.run(ticks, worlds)
    rows: Worlds = slice(None) if worlds is None else worlds
    n = batch.n if worlds is None else len(worlds)
    names = dict.fromkeys(name for power in metered for name in power.recorded)
    fields = {name: np.zeros((n, ticks, batch.array(name).shape[1])) for name in names}
    for power in metered:
        power.before_ticks()
    failed = batch.record(ticks, fields, worlds)
    for power in metered:
        power.add_energy(fields, rows)
    return failed


def _clock(
    robot: Robot, batch: Batch, streams: WorldStreams, prefix: str, decision_s: float
) -> tuple[FrameClock | None, dict[str, ClockChannel | None]]:
    """One clock for all timed sensors of a robot, and the channel of each sensor; None for those without timing."""
    tick_s = batch.model.opt.timestep
    made: dict[tuple[str, Timing, float], int] = {}
    numbers: dict[str, int | None] = {}
    for part in robot.perception:
        native = isinstance(part, Sensor) and not part.is_telemetry
        key = (part.timing.bus or part.name, part.timing, tick_s if native else decision_s)
        numbers[part.name] = None if part.timing.immediate else made.setdefault(key, len(made))
    if not made:
        return None, dict.fromkeys(numbers)
    names = _distinct([name for name, _, _ in made])
    stream = streams.stream(*((f"{prefix}{name}/timing", 2) for name in names))
    clock = FrameClock([t for _, t, _ in made], batch.n, [s for _, _, s in made], stream, HISTORY_MARGIN, names)
    return clock, {name: None if i is None else ClockChannel(clock, i) for name, i in numbers.items()}


def whole_ticks(decision_s: float, tick_s: float) -> int:
    """How many physics ticks a decision lasts.

    Raises:
        ModelError: it is no whole number.
    """
    ticks = round(decision_s / tick_s)
    if ticks < 1 or abs(ticks * tick_s - decision_s) > 1e-9:
        raise ModelError(f"a decision of {decision_s:g} s is no whole number of time steps of {tick_s:g} s")
    return ticks


def _distinct(names: list[str]) -> list[str]:
    """Numbers names that occur more than once: channels that differ in timing or tick are different channels."""
    return [name if names.index(name) == i else f"{name}#{i}" for i, name in enumerate(names)]
