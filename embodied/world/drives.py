"""The actuators of a robot in N worlds: commands on their way, the driver's loops, the battery, heat and energy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embodied.body.robot import HISTORY_MARGIN, Robot
from embodied.body.timing import JITTER_SPAN
from embodied.errors import ModelError
from embodied.physics.batch import Batch
from embodied.seeding import WorldStreams, as_normal, as_uniforms
from embodied.world.circuits import Circuits
from embodied.world.frames import Rows, grid

_JOINT_FIELDS = {"armature": "dof_armature", "friction": "dof_frictionloss", "damping": "dof_damping"}


class DrivesInWorlds:
    """Turns actions into MuJoCo's controls, and keeps account of currents.

    Attributes:
        circuits: the motors, if any actuator has one.
        signals: what the electronics know, `(N,)` each (see `Robot.signals`).
    """

    def __init__(self, robot: Robot, batch: Batch, streams: WorldStreams, prefix: str, decision_s: float) -> None:
        self._batch = batch
        model = batch.model
        self.actuators = robot.actuators
        self._ids = np.array([model.actuator(prefix + a.name).id for a in robot.actuators], np.intp)
        self._scale = np.array([a.scale for a in robot.actuators])
        self._ctrl = batch.array("ctrl")
        self.action = np.zeros((batch.n, len(self._ids)))  # the command that each actuator was last given
        self.channel = CommandChannel(robot, batch, streams, prefix, decision_s, self._ids)
        motors = [(i, a) for i, a in enumerate(robot.actuators) if a.electrics is not None]
        self.circuits = Circuits(robot, motors, batch, prefix) if motors else None
        self.signals = self.circuits.signals if self.circuits else {}
        self._joints = {a.name: int(model.joint(prefix + a.joint).dofadr[0]) for a in robot.actuators}
        self._plays = _plays(robot, batch, prefix)

    def parameter(self, actuator: str, what: str) -> NDArray | None:
        """Live per-world values of one parameter of an actuator or of the `battery`; None if there is no such one."""
        own = self.channel.parameter(actuator, what)
        if own is None and self.circuits is not None:
            own = self.circuits.parameter(actuator, what)
        if own is None and what in _JOINT_FIELDS and actuator in self._joints:
            joint = self._joints[actuator]
            own = self._batch.field(_JOINT_FIELDS[what])[:, joint : joint + 1]
        if own is None and what == "backlash" and actuator in self._plays:
            own = self._plays[actuator].width
        return own

    def parameter_names(self) -> list[str]:
        """Everything that `parameter` knows, as `<actuator>/<what>`."""
        names = [f"{a.name}/{what}" for a in self.actuators for what in (*_JOINT_FIELDS, *CommandChannel.VARIES)]
        names += [f"{name}/backlash" for name in self._plays]
        return names + (self.circuits.parameter_names() if self.circuits else [])

    def begin(self, rows: Rows) -> None:
        """Starts an episode with all commands at zero."""
        self.action[rows] = 0.0
        self.channel.begin(rows)
        for play in self._plays.values():
            play.begin(rows)
        if self.circuits is not None:
            self.circuits.begin(rows)

    def command(self, actions: NDArray, step: NDArray, tick: NDArray, rows: Rows) -> None:
        """Sends actions `(n, nu)` in [-1, 1] on their way at decision `step` and `tick (n,)`."""
        missed = self.channel.send(step, tick, rows)
        self.action[rows] = actions if missed is None else np.where(missed, self.action[rows], actions)
        self._ctrl[rows, self._ids[0] : self._ids[-1] + 1] = self.action[rows] * self._scale

    @property
    def refresh_s(self) -> float:
        """How often `refresh` is wanted within a decision [s]; 0 for not at all."""
        return self.circuits.refresh_s if self.circuits else 0.0

    def refresh(self, tick: NDArray, rows: Rows) -> None:
        """What drivers and battery do at `tick (n,)`: voltages for the physics that follow."""
        if self.circuits is not None:
            voltage = self.circuits.refresh(self.channel.acting(self.action, tick, rows), rows)
            driven = self.circuits.driven
            if driven.size:
                self._ctrl[grid(rows, self._ids[driven])] = self.action[grid(rows, driven)] * voltage

    def account(self, elapsed_s: float, rows: Rows) -> None:
        """After the physics moved on by `elapsed_s`, books what flowed."""
        if self.circuits is not None:
            self.circuits.account(elapsed_s, rows)


class CommandChannel:
    """Commands on their way from the policy to the actuators; MuJoCo keeps them, this sets how late they work.

    `latency_s`, `jitter_s`, `dropout (N, nu)` may differ per world.
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
        self._decision_s = decision_s
        timings = [a.command for a in robot.actuators]
        self._column = {a.name: i for i, a in enumerate(robot.actuators)}
        n, self._tick_s = batch.n, batch.model.opt.timestep
        self._timed = np.array([not t.immediate for t in timings], bool)
        self.latency_s, self.jitter_s, self.dropout = (
            np.tile([getattr(t, name) for t in timings], (n, 1)).astype(float) for name in self.VARIES
        )
        self._phase = np.array([t.phase_s for t in timings])
        self._period = np.array([1 / t.rate_hz if t.rate_hz else 0.0 for t in timings])
        self._reach = np.array([HISTORY_MARGIN * t.longest_lag_s(self._tick_s) for t in timings])
        self._luck = streams.stream(*((f"{prefix}{a.name}/command", 2) for a in robot.actuators))
        self._before = np.zeros((n, len(ids)))  # the command before the last, which works until that one arrives
        self._arrival = np.zeros((n, len(ids)))
        self._ids = ids
        self._delay = batch.field("actuator_delay") if self._timed.any() else None

    def parameter(self, actuator: str, what: str) -> NDArray | None:
        column = self._column.get(actuator)
        return None if column is None or what not in self.VARIES else getattr(self, what)[:, column : column + 1]

    def begin(self, rows: Rows) -> None:
        """Starts an episode.

        Raises:
            ModelError: in some world, latency and jitter are longer than the buffer.
        """
        longest = (self.latency_s[rows] + JITTER_SPAN * self.jitter_s[rows] + self._period).max(axis=0, initial=0.0)
        late = np.flatnonzero(longest > np.where(self._timed, self._reach, 0.0) + 1e-9)
        if late.size:
            name = list(self._column)[late[0]]
            raise ModelError(
                f"commands of {name!r} are up to {longest[late[0]]:g} s late, beyond the buffer of "
                f"{self._reach[late[0]] if self._timed[late[0]] else 0:g} s: declare a longer latency"
            )
        self._arrival[rows] = 0.0
        self._before[rows] = 0.0

    def send(self, step: NDArray, tick: NDArray, rows: Rows) -> NDArray[np.bool_] | None:
        """Sets how late the commands given at `tick (n,)` work; returns which are never taken, `(n, nu)`."""
        if self._delay is None:
            return None
        now = (tick * self._tick_s)[:, None]
        safe = np.where(self._period > 0, self._period, 1.0)
        next_taken = np.ceil((now - self._phase) / safe - 1e-9) * safe + self._phase
        wait = np.where(self._period > 0, next_taken - now, 0.0)
        bits = self._luck.bits(step, rows)
        jitter = np.clip(as_normal(bits[:, ::2]), -JITTER_SPAN, JITTER_SPAN) * self.jitter_s[rows]
        late = wait + np.maximum(self.latency_s[rows] + jitter, 0.0)
        missed = wait > self._decision_s - 1e-9  # the next command comes before the actuator takes this one
        if self.dropout.any():
            missed |= as_uniforms(bits[:, 1::2])[0] < self.dropout[rows]
        some = grid(rows, self._ids)
        # a quarter tick less, so that rounding never adds a tick
        self._delay[some] = np.where(missed, self._delay[some], np.maximum(late - 0.25 * self._tick_s, 0.0))
        self._arrival[rows] = np.where(missed, self._arrival[rows], now + late)
        return missed

    def acting(self, action: NDArray, tick: NDArray, rows: Rows) -> NDArray:
        """The commands that work at `tick (n,)`, `(n, nu)`: the last one, or until it arrives the one before."""
        if self._delay is None:
            return action[rows]
        arrived = self._arrival[rows] <= (tick * self._tick_s)[:, None] + 1e-9
        self._before[rows] = np.where(arrived, action[rows], self._before[rows])
        return self._before[rows]


@dataclass
class _Play:
    """The backlash of one gear; `width (N, 1)` [rad]."""

    width: NDArray
    batch: Batch
    joint: int
    declared: float

    def begin(self, rows: Rows) -> None:
        if (self.width != self.declared).any():
            half = self.width[rows] / 2
            self.batch.field("jnt_range")[rows, self.joint] = np.concatenate([-half, half], axis=1)


def _plays(robot: Robot, batch: Batch, prefix: str) -> dict[str, _Play]:
    plays = {}
    for actuator in robot.actuators:
        part = actuator.part
        if part is not None and part.backlash:
            joint = batch.model.joint(f"{prefix}{actuator.joint}_backlash").id
            plays[actuator.name] = _Play(np.full((batch.n, 1), part.backlash), batch, joint, part.backlash)
    return plays


def blocks(ticks: int, refresh_s: float, tick_s: float) -> list[int]:
    """Splits the ticks of a decision into equal runs, as near to `refresh_s` as they go."""
    if not refresh_s:
        return [ticks]
    runs = max(1, min(ticks, math.ceil(ticks * tick_s / refresh_s - 1e-9)))
    edges = np.linspace(0, ticks, runs + 1).round().astype(int)
    return np.diff(edges).tolist()
