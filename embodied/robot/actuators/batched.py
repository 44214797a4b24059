"""The actuators of a robot in N worlds: commands on their way, the driver's loops, the battery, heat and energy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodied.errors import ModelError
from embodied.physics.batch import Batch
from embodied.robot.actuators.friction import GearFriction, gears_of
from embodied.robot.actuators.power import MotorPower
from embodied.robot.actuators.spec import Servo
from embodied.robot.frames import Parameters, columns
from embodied.robot.robot import HISTORY_MARGIN, Robot
from embodied.robot.timing import JITTER_SPAN
from embodied.seeding import Worlds, WorldStreams, as_normal, as_uniforms, grid

JOINT_FIELDS = {"armature": "dof_armature", "friction": "dof_frictionloss", "damping": "dof_damping"}


class BatchedActuators:
    """Turns actions into MuJoCo's controls, and keeps account of currents.

    Attributes:
        power: the motors, if any actuator has one.
        telemetry: what the electronics know, `(N,)` each (see `Robot.telemetry`).
    """

    def __init__(self, robot: Robot, batch: Batch, streams: WorldStreams, prefix: str, decision_s: float) -> None:
        self._batch = batch
        model = batch.model
        self._ids = np.array([model.actuator(prefix + a.name).id for a in robot.actuators], np.intp)
        self._controls = model.actuator_ctrladr[self._ids]  # an actuator of the file may take several
        self._scale = np.array([a.scale for a in robot.actuators])
        self._ctrl = batch.array("ctrl")
        self.channel = CommandChannel(robot, batch, streams, prefix, decision_s, self._ids)
        motors = [(i, a) for i, a in enumerate(robot.actuators) if a.electrics is not None]
        self.power = MotorPower(robot, motors, batch, prefix) if motors else None
        self.telemetry = dict(self.power.telemetry) if self.power else {}
        self.telemetry |= {f"{a.name}/command": self.channel.now[:, i] for i, a in enumerate(robot.actuators)}
        self._joints = {a.name: int(model.joint(prefix + a.joint).dofadr[0]) for a in robot.actuators}
        self._backlashes = _backlashes(robot, batch, prefix)
        gears = gears_of(robot.actuators)
        self._gears = GearFriction(gears, batch, prefix) if gears else None
        self._update_s = robot.power_update_s
        self._rest = _Rest(robot, batch, prefix, self._ids)
        self._heavy = False  # whether inertias differ per world, so that constants follow from them

    def parameters(self) -> Parameters:
        """How to get the per-world values of everything that can differ, as `<actuator>/<what>`."""
        table = self.channel.parameters() | (self.power.parameters() if self.power else {})
        table |= {f"{name}/backlash": partial(getattr, gear, "width") for name, gear in self._backlashes.items()}
        for name in self._joints:
            table |= {f"{name}/{what}": partial(self._of_joint, name, what) for what in JOINT_FIELDS}
        return table | (self._gears.parameters() if self._gears else {})

    def _of_joint(self, actuator: str, what: str) -> NDArray:
        joint = self._joints[actuator]
        self._heavy |= what == "armature"
        return self._batch.field(JOINT_FIELDS[what])[:, joint : joint + 1]

    def begin(self, rows: Worlds) -> None:
        """Starts an episode: servos have been told to stay where they are, everything else to do nothing."""
        rest = self._rest.commands(rows) / self._scale
        self.channel.begin(rows, rest)
        self._ctrl[grid(rows, self._controls)] = rest * self._scale
        self._rest.fill_history(rest * self._scale, rows)
        if self._heavy:
            self._batch.derive(np.arange(self._batch.n)[rows], strict=False)
        for gear in self._backlashes.values():
            gear.begin(rows)
        if self._gears is not None:
            self._gears.begin(rows)
        if self.power is not None:
            self.power.begin(rows)

    def command(self, actions: NDArray, step: NDArray, tick: NDArray, rows: Worlds) -> None:
        """Sends actions `(n, nu)` in [-1, 1] on their way at decision `step` and `tick (n,)`."""
        self.channel.send(actions, step, tick, rows)
        self._ctrl[grid(rows, self._controls)] = self.channel.now[rows] * self._scale

    @property
    def power_update_s(self) -> float:
        """How often `control_tick` is wanted within a decision [s]; 0 for not at all."""
        if self._gears is not None:
            return self._update_s
        return self.power.power_update_s if self.power else 0.0

    def control_tick(self, tick: NDArray, rows: Worlds) -> None:
        """What drivers and battery do at `tick (n,)`: voltages for the physics that follow."""
        if self._gears is not None:
            self._gears.control_tick(rows)
        if self.power is not None:
            voltage = self.power.control_tick(self.channel.wanted(tick, rows), rows)
            driven = self.power.driven
            if driven.size:
                self._ctrl[grid(rows, self._controls[driven])] = self.channel.now[grid(rows, driven)] * voltage


class CommandChannel:
    """Commands on their way from the policy to the actuators.

    Whole decisions are waited for here, in a queue; what is left of the way is MuJoCo's delay. At most one command of
    an actuator arrives within a decision: of several, the newest. So commands never run backwards.

    Attributes:
        latency_s, jitter_s, dropout: `(N, nu)`, to be changed before a `begin`.
        now: the command that works, or comes to work, in this decision, `(N, nu)` in [-1, 1].
    """

    VARIES = ("latency_s", "jitter_s", "dropout")

    def __init__(
        self,
        robot: Robot,
        batch: Batch,
        streams: WorldStreams,
        prefix: str,
        decision_s: float,
        ids: NDArray[np.intp],
    ) -> None:
        timings = [a.command for a in robot.actuators]
        self._column = {a.name: i for i, a in enumerate(robot.actuators)}
        n, self._tick_s, self._decision_s = batch.n, batch.model.opt.timestep, decision_s
        self._timed = np.array([not t.immediate for t in timings], bool)
        self.latency_s, self.jitter_s, self.dropout = (
            np.tile([getattr(t, name) for t in timings], (n, 1)).astype(float) for name in self.VARIES
        )
        self._phase = np.array([t.phase_s for t in timings])
        self._period = np.array([1 / t.rate_hz if t.rate_hz else 0.0 for t in timings])
        lag = [a.command.longest_lag_s(self._tick_s, f"commands of {a.name!r}") for a in robot.actuators]
        self._reach = np.where(self._timed, HISTORY_MARGIN * np.array(lag), 0.0)
        self._random = streams.stream(*((f"{prefix}{a.name}/command", 2) for a in robot.actuators))
        depth = math.ceil(self._reach.max(initial=0.0) / decision_s) + 2
        self._queue = np.zeros((n, depth, len(ids)))  # newest first
        self._arrivals = np.full((n, depth, len(ids)), np.inf)
        self.now, self._before = np.zeros((n, len(ids))), np.zeros((n, len(ids)))
        self._arrival = np.zeros((n, len(ids)))
        self._ids = ids
        self._delay = batch.field("actuator_delay") if self._timed.any() else None

    def parameters(self) -> Parameters:
        """How to get per-world values, by name (see `BatchedActuators.parameters`)."""
        column = {name: slice(i, i + 1) for name, i in self._column.items()}
        return {f"{a}/{what}": partial(columns, getattr(self, what), column[a]) for a in column for what in self.VARIES}

    def begin(self, rows: Worlds, rest: NDArray) -> None:
        """Starts an episode, before which the commands were `rest (n, nu)`.

        Raises:
            ModelError: in some world, latency and jitter are longer than the buffer, or no numbers.
        """
        self._check(rows)
        self.now[rows] = self._before[rows] = rest
        self._queue[rows] = self._arrival[rows] = 0.0
        self._arrivals[rows] = np.inf

    def _check(self, rows: Worlds) -> None:
        latency, jitter, dropout = (values[rows] for values in (self.latency_s, self.jitter_s, self.dropout))
        if not min(latency.min(initial=0.0), jitter.min(initial=0.0), dropout.min(initial=0.0)) >= 0:
            raise ModelError("latency, jitter and dropout of commands must be numbers that are not negative")
        longest = (latency + JITTER_SPAN * jitter).max(axis=0, initial=0.0)
        reach = np.maximum(self._reach - self._period, 0.0)
        for name, i in self._column.items():
            if not longest[i] <= reach[i] + 1e-9:
                raise ModelError(
                    f"commands of {name!r} are up to {longest[i]:g} s late, beyond the buffer of {reach[i]:g} s: "
                    "declare a longer latency"
                )

    def send(self, actions: NDArray, step: NDArray, tick: NDArray, rows: Worlds) -> None:
        """Takes the actions `(n, nu)` of decision `step` at `tick (n,)`, and finds out which command arrives in it."""
        if self._delay is None and not self.dropout.any():
            self.now[rows] = actions
            return
        time = (tick * self._tick_s)[:, None]
        self._enqueue(actions, self._arrival_of(step, time, rows), rows)
        queue, arrivals = self._queue[rows], self._arrivals[rows]
        within = arrivals < time[:, None] + self._decision_s - 1e-9
        newest = within.argmax(axis=1)[:, None]
        comes = within.any(axis=1)
        arrival = np.take_along_axis(arrivals, newest, axis=1)[:, 0]
        self._before[rows] = self.now[rows]
        self.now[rows] = np.where(comes, np.take_along_axis(queue, newest, axis=1)[:, 0], self.now[rows])
        self._arrival[rows] = np.where(comes, arrival, 0.0)
        older = np.arange(queue.shape[1])[:, None] >= newest  # has arrived, or was overtaken
        self._arrivals[rows] = np.where(older & comes[:, None], np.inf, arrivals)
        if self._delay is not None:  # a quarter tick less, so that rounding never adds a tick
            left = np.where(comes, arrival - time, 0.0) - 0.25 * self._tick_s
            self._delay[grid(rows, self._ids)] = np.maximum(left, 0.0)

    def wanted(self, tick: NDArray, rows: Worlds) -> tuple[NDArray, NDArray]:
        """The commands that work at `tick (n,)` and those that will have come to by the next decision."""
        arrived = self._arrival[rows] <= (tick * self._tick_s)[:, None] + 1e-9
        return np.where(arrived, self.now[rows], self._before[rows]), self.now[rows]

    def _arrival_of(self, step: NDArray, time: NDArray, rows: Worlds) -> NDArray:
        """When commands given at `time (n, 1)` [s] work, `(n, nu)`; infinite for those that never do."""
        safe = np.where(self._period > 0, self._period, 1.0)
        taken = np.ceil((time - self._phase) / safe - 1e-9) * safe + self._phase
        wait = np.where(self._period > 0, taken - time, 0.0)
        bits = self._random.bits(step, rows)
        jitter = np.clip(as_normal(bits[:, ::2]), -JITTER_SPAN, JITTER_SPAN) * self.jitter_s[rows]
        missed = wait > self._decision_s - 1e-9  # the next command comes before the actuator takes this one
        missed |= as_uniforms(bits[:, 1::2])[0] < self.dropout[rows]
        return np.where(missed, np.inf, time + wait + np.maximum(self.latency_s[rows] + jitter, 0.0))

    def _enqueue(self, actions: NDArray, arrival: NDArray, rows: Worlds) -> None:
        self._queue[rows] = np.concatenate([actions[:, None], self._queue[rows][:, :-1]], axis=1)
        self._arrivals[rows] = np.concatenate([arrival[:, None], self._arrivals[rows][:, :-1]], axis=1)


class _Rest:
    """What actuators were told before an episode: servos to be where their joints are, the others nothing."""

    def __init__(self, robot: Robot, batch: Batch, prefix: str, ids: NDArray[np.intp]) -> None:
        model: Any = batch.model
        servos = np.array([isinstance(a, Servo) for a in robot.actuators], bool)
        places = np.array([model.joint(prefix + a.joint).qposadr[0] for a in robot.actuators], np.intp)
        self._servos, self._places, self._nu = np.flatnonzero(servos), places[servos], len(servos)
        self._qpos, self._past = batch.array("qpos"), None
        samples = model.actuator_history[ids, 0]
        if samples.any():
            self._past = batch.array("history")
        starts = model.actuator_historyadr[ids] + 2 + samples
        self._spans = [(i, slice(starts[i], starts[i] + samples[i])) for i in self._servos if samples[i]]

    def commands(self, rows: Worlds) -> NDArray[np.float64]:
        """In the units of the controls, `(n, nu)`."""
        here = self._qpos[rows][:, self._places]
        out = np.zeros((len(here), self._nu))
        out[:, self._servos] = here
        return out

    def fill_history(self, controls: NDArray, rows: Worlds) -> None:
        """Makes the whole past equal to these controls `(n, nu)`, of which MuJoCo delivers the delayed ones."""
        if self._past is not None:
            for i, span in self._spans:
                self._past[rows, span] = controls[:, i : i + 1]


@dataclass
class _Backlash:
    """The backlash of one gear; `width (N, 1)` [rad]."""

    width: NDArray
    batch: Batch
    joint: int
    declared: float
    varied: bool = False

    def begin(self, rows: Worlds) -> None:
        self.varied |= bool((self.width != self.declared).any())
        if self.varied:
            half = self.width[rows] / 2
            self.batch.field("jnt_range")[rows, self.joint] = np.concatenate([-half, half], axis=1)


def _backlashes(robot: Robot, batch: Batch, prefix: str) -> dict[str, _Backlash]:
    plays = {}
    for actuator in robot.actuators:
        part = actuator.part
        if part is not None and part.backlash:
            joint = batch.model.joint(f"{prefix}{actuator.joint}_backlash").id
            plays[actuator.name] = _Backlash(np.full((batch.n, 1), part.backlash), batch, joint, part.backlash)
    return plays


def tick_boundaries(ticks: int, power_update_s: float, tick_s: float) -> list[int]:
    """The ticks of a decision at which equal runs, as near to `power_update_s` as they go, end."""
    runs = max(1, min(ticks, math.ceil(ticks * tick_s / power_update_s - 1e-9))) if power_update_s else 1
    return np.linspace(0, ticks, runs + 1).round().astype(int)[1:].tolist()
