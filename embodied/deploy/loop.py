"""The loop that runs a policy on a robot: read, think, clamp, write, at a fixed rate, and end safely."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from embodied.agent import Agent, belief_of
from embodied.contract import Contract
from embodied.deploy.clock import Clock, RealClock
from embodied.deploy.driver import Driver, Reading
from embodied.deploy.log import LogFile
from embodied.deploy.observing import LARGEST, RobotView
from embodied.deploy.priority import real_time_priority, without_long_pauses
from embodied.deploy.supervision import LOOKS, Supervision, Supervisor, Watchdog, make_safe, way_to
from embodied.deploy.workspace import Workspace
from embodied.errors import DriverError, EmbodiedError

SOFT_SPEED = 0.5  # rad/s, of the way to the first posture
SOFT_STEP_S = 0.02
FAR = 0.05  # rad, from the first posture, within which nothing has to be moved
ONE = np.zeros(1, np.intp)


class Control(Protocol):
    """What actions mean (see `embodied.robot.control.ArmControl`)."""

    def bind(self, worlds: int) -> None: ...

    def begin(self, worlds: NDArray[np.intp], angles: NDArray) -> None: ...

    def targets(self, actions: NDArray) -> NDArray[np.float64]: ...


@dataclass
class LoopReport:
    """How a run went.

    Attributes:
        decisions: how many there were; missed: those whose commands were written after the next one was due.
        late_s: how late each began; took_s: how long each took, `(decisions,)` each.
        held: decisions for which nothing could be read, so that the reading before was used again.
        ended: why it ended; safe: how the robot was left.
        safe_after_s: how long it took from noticing to the safe state.
        real_time: whether the system let the loop run before everything else.
    """

    late_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    took_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    missed: int = 0
    held: int = 0
    ended: str = ""
    safe: str = ""
    safe_after_s: float = 0.0
    emergency: bool = False
    real_time: bool = False

    @property
    def decisions(self) -> int:
        return len(self.took_s)

    def __str__(self) -> str:
        if not self.decisions:
            return f"no decision was made: {self.ended}; the robot {self.safe}"
        jitter, took = np.percentile(self.late_s, 99) * 1e3, np.percentile(self.took_s, 99) * 1e3
        return (
            f"{self.decisions} decisions, {self.missed} missed their deadline "
            f"({100 * self.missed / self.decisions:.2f} %), "
            f"{'with' if self.real_time else 'without'} real-time priority; "
            f"99 of 100 began within {jitter:.2f} ms and took less than {took:.2f} ms; {self.held} readings were held; "
            f"ended: {self.ended}; the robot {self.safe}"
        )


class _End(Exception):
    """The loop is over before its time, and why."""


class Loop:
    """Runs an agent on a robot.

    Args:
        driver: the robot; agent: who decides; contract: what it was promised.
        control: what its actions mean.
        start: the posture from which it begins, `(joints,)` [rad]; None for wherever the robot is.
        limits: what must not happen.
        log: where every decision is written; None for nowhere.
        workspace: which the hand is not told to leave; None for anywhere.
        hz: decisions per second; None for what the contract says.
        dry: nothing is written to the robot, and its motors stay as they are.
        watch: is called after every decision with what was logged.
    """

    def __init__(
        self,
        driver: Driver,
        agent: Agent,
        contract: Contract,
        control: Control,
        start: ArrayLike | None = None,
        limits: Supervision | None = None,
        log: LogFile | None = None,
        hz: float | None = None,
        clock: Clock | None = None,
        dry: bool = False,
        watch: Callable[[dict[str, Any]], None] | None = None,
        workspace: Workspace | None = None,
    ) -> None:
        self.driver, self.agent, self.control = driver, agent, control
        self.limits, self.log, self.dry, self.watch = limits or Supervision(), log, dry, watch
        self.workspace = workspace
        self.view = RobotView(contract, driver.layout)
        self._small = self.view.small
        self.period_s = 1 / (hz or contract.control_hz)
        self.clock = clock or RealClock()
        self._start = None if start is None else np.asarray(start, float)
        self._supervisor = Supervisor(self.limits, driver.joints)
        self._line = threading.Lock()
        self._stop: str | None = None
        self._stopped_s = 0.0
        self._late: list[float] = []
        self._took: list[float] = []
        self.report = LoopReport()

    @property
    def told(self) -> NDArray[np.float64]:
        """The targets that were written last, `(joints,)` [rad]."""
        return self._told

    @property
    def decided_s(self) -> float:
        """When the last decision was made, since the first one was due [s]."""
        return self._decided - self._began

    def stop(self, why: str = "stopped") -> None:
        """Ends the loop before its next decision; may be called from anywhere."""
        if self._stop is None:
            self._stop, self._stopped_s = why, time.monotonic()

    def run(self, seconds: float = np.inf, seed: int = 0) -> LoopReport:
        """Decides until time is over, somebody stops it, or something must not go on; then makes the robot safe."""
        self._watchdog = Watchdog(self.limits.late_s + self.period_s, self._step_in)
        real = isinstance(self.clock, RealClock)
        prompt = real_time_priority() if real else nullcontext(False)
        smooth = without_long_pauses() if real else nullcontext()
        with _signals(self.stop), smooth, prompt as self.report.real_time:
            try:
                self._begin(seed)
                if real:
                    self._watchdog.start()
                for k in self._due(seconds):
                    self._watchdog.pet()
                    self._decide(k)
                self._finish("its time is over", False)
            except (_End, EmbodiedError) as error:
                self._finish(str(error), True)
            except BaseException as error:
                self._finish(f"{type(error).__name__}: {error}", True)
                raise
        return self.report

    def _begin(self, seed: int) -> None:
        """Moves gently to where the policy begins, and gives it an empty memory."""
        self._reading = self._read_or_end()
        here = np.clip(self._reading.values["angle"], self.driver.limits.low, self.driver.limits.high)
        if not self.dry:
            self.driver.engage()
            if self._start is not None and np.abs(self._start - here).max() > FAR:
                here = self._go_softly(here, self._start)
        self.control.bind(1)
        self.control.begin(ONE, here[None])
        self._told = here
        self._first = np.ones(1, bool)
        self._practice(seed)
        self._carry = self.agent.initial(1, seed)
        self._began = self.clock.now()

    def _practice(self, seed: int) -> None:
        """Decides once for nothing: the first time takes far longer."""
        if isinstance(self.clock, RealClock):
            self.agent.act(self.agent.initial(1, seed), np.zeros((1, len(self._small)), np.float32), self._first)

    def _go_softly(self, here: NDArray, there: NDArray) -> NDArray[np.float64]:
        began = self.clock.now()
        for k, targets in enumerate(way_to(here, there, SOFT_SPEED, SOFT_STEP_S)):
            self._check_stop()
            self.driver.write(targets)
            self.clock.sleep_until(began + (k + 1) * SOFT_STEP_S)
            if k % LOOKS == LOOKS - 1:
                self._read()
                self._check_robot(targets)
        self.clock.sleep_until(self.clock.now() + 0.3)
        self._reading = self._read_or_end()
        return there

    def _due(self, seconds: float) -> Iterator[int]:
        """Yields the number of each decision when it is due; those that were slept through are left out."""
        k = 0
        while k * self.period_s < seconds - 1e-9:
            due = self._began + k * self.period_s
            self.clock.sleep_until(due)
            self._check_stop()
            late = self.clock.now() - due
            self._late.append(late)
            yield k
            took = self.clock.now() - due - late
            self._took.append(took)
            skipped = max(int((late + took) / self.period_s), 0)
            self.report.missed += skipped > 0
            k += 1 + skipped

    def _decide(self, k: int) -> None:
        fresh = self._read()
        now = self._decided = self.clock.now()
        self._check_robot(self._reading.values["angle"] if self.dry else self._told)
        row = self.view.row(self._reading, now, fresh)
        action = self._think(row)
        targets = self._targets(action)
        self._write(targets)
        self._note(now, row, action)

    def _check_robot(self, targets: NDArray) -> None:
        complaint = self._supervisor.complaint(self._reading, targets, self.clock.now())
        if complaint:
            raise _End(complaint)

    def _read(self) -> bool:
        """Reads the robot; where it does not answer the last reading is held, as a lost frame is in simulation."""
        with self._line:
            try:
                self._reading = self.driver.read()
                return True
            except DriverError:
                self.report.held += 1
                return False

    def _read_or_end(self) -> Reading:
        try:
            return self.driver.read()
        except DriverError as error:
            raise _End(str(error)) from None

    def _think(self, row: NDArray[np.float32]) -> NDArray[np.float64]:
        self._carry, action = self.agent.act(self._carry, row[None], self._first)
        self._first = np.zeros(1, bool)
        self._check_stop()
        if not np.isfinite(action).all():
            raise _End(f"the policy's action is no number: {np.asarray(action)[0].tolist()}")
        return np.clip(np.asarray(action[0], float), -1.0, 1.0)

    def _targets(self, action: NDArray) -> NDArray[np.float64]:
        """Where joints are to be, no further from where they were told before than their speed allows."""
        wanted = self.control.targets(action[None])[0]
        if not np.isfinite(wanted).all():
            raise _End(f"the targets that the policy's action comes to are no numbers: {wanted.tolist()}")
        targets = self.driver.limits.clamp(wanted, self._told, self.period_s)
        if self.workspace is not None:
            targets = self.workspace.clamp(targets, self._told)
        if not np.array_equal(targets, wanted):
            self.control.begin(ONE, targets[None])  # what adds up goes on from what was told
        return targets

    def _write(self, targets: NDArray) -> None:
        with self._line:
            self._check_stop()  # the watchdog may have stepped in
            with suppress(DriverError):  # a lost command leaves the robot with the one before, as in simulation
                if not self.dry:
                    self.driver.write(targets)
                self._told = targets

    def _note(self, now: float, row: NDArray, action: NDArray) -> None:
        reading = self._reading
        if self.log is None and self.watch is None:
            return
        entry: dict[str, Any] = {"action": action, "observation": row[self._small], "age": now - reading.time_s}
        entry |= reading.values
        belief = belief_of(self.agent, self._carry)
        if belief is not None:
            entry["belief"] = belief[0]
        entry |= {"late": self._late[-1], "took": self.clock.now() - now}
        if self.log is not None:
            logged = {
                name: value for name, value in entry.items() if np.size(value) <= LARGEST or name == "observation"
            }
            self.log.add(now - self._began, self._told, **logged)
        if self.watch is not None:
            self.watch(entry)

    def _check_stop(self) -> None:
        if self._stop is not None:
            raise _End(self._stop)

    def _step_in(self, late_s: float) -> None:
        """What the watchdog does: the robot is made safe although the loop is stuck."""
        self.stop(f"no decision for {late_s:.2f} s")
        with self._line:
            if not self.dry and not self.report.safe:
                self.report.safe = make_safe(self.driver, self.limits)
                self.report.safe_after_s = time.monotonic() - self._stopped_s

    def _finish(self, why: str, emergency: bool) -> None:
        self._watchdog.stop()
        report = self.report
        report.late_s, report.took_s = np.array(self._late), np.array(self._took)
        report.ended, report.emergency = why, emergency
        began = time.monotonic()
        with self._line:
            if self.dry:
                report.safe = "was not touched"
            elif not report.safe:
                report.safe = make_safe(self.driver, self.limits, self._rest)
                report.safe_after_s = time.monotonic() - began

    def _rest(self, seconds: float) -> None:
        self.clock.sleep_until(self.clock.now() + seconds)


@contextmanager
def _signals(stop: Callable[[str], None]) -> Iterator[None]:
    """Ctrl-C and a polite kill end the loop; only in the main thread, which alone can be told."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "terminated", signal.SIGHUP: "its terminal is gone"}
    before = {number: signal.signal(number, lambda n, _: stop(names[signal.Signals(n)])) for number in names}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
