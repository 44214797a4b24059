"""What happens to an arm when something goes wrong: a policy on a twin in real time, whose own log is the witness."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from embodied.deploy.log import LogFile
from embodied.deploy.loop import Loop
from embodied.deploy.registers import MIDDLE, RAD_PER_COUNT
from embodied.sysid.recording import Recording
from embodied_scripts.deploying.players import Player, player_of
from embodied_scripts.deploying.robots import so101_arm
from embodied_scripts.deploying.twins import TwinProcess

AT = 12  # the decision at which it goes wrong
WATCH_S, STILL = 2.5, 0.02  # for how long the arm is watched, and below which speed it is at rest [rad/s]
POLL_S = 0.02
Trouble = Callable[[TwinProcess, float], Any]


@dataclass
class Case:
    """A fault: what happens to the twin, or to the policy."""

    name: str
    twin: Trouble | None = None
    agent: Callable[[NDArray], NDArray] | None = None
    kill: bool = False
    safe: str = "hold"


@dataclass
class Seen:
    """What came of it."""

    ended: str = ""
    safe_s: float = np.nan
    outside: int = 0
    rows: int = 0


def _hang(action: NDArray) -> NDArray:
    time.sleep(0.2)
    return action


def _fault(**told: Any) -> Trouble:
    return lambda twin, now: twin.order(fault=told and {k: v(now) if callable(v) else v for k, v in told.items()})


CASES = (
    Case("cable pulled", _fault(unplugged_s=lambda now: now)),
    Case("a servo dies", _fault(dies_s=lambda now: {3: now})),
    Case("1 % of the packets corrupted", _fault(corrupted=0.01)),
    Case("the supply sags to 7 V", _fault(sag=lambda now: [now, 60.0, 7.0])),
    Case("the policy hangs for 0.2 s", agent=_hang),
    Case("the policy's action is no number", agent=lambda action: np.full_like(action, np.nan)),
    Case("the loop is killed (SIGKILL)", kill=True),
    Case("the same, and it is to relax", kill=True, safe="relax"),
)


class Troubled:
    """A policy that does something else once."""

    def __init__(self, agent: Any, does: Callable[[NDArray], NDArray] | None) -> None:
        self._agent, self._does, self._k = agent, does, 0

    def initial(self, n: int, seed: int) -> Any:
        return self._agent.initial(n, seed)

    def act(self, carry: Any, obs: Any, first: NDArray) -> tuple[Any, NDArray]:
        carry, action = self._agent.act(carry, obs, first)
        self._k += 1
        return carry, self._does(action) if self._does is not None and self._k == AT else action


def run(policy: str) -> None:
    """Runs every case, and prints a table."""
    player = player_of(policy)
    columns = ("fault", "the run", "at rest (or relaxed) after", "writes outside of limits", "rows of the log")
    table = Table(*columns, title=player.name)
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder, TwinProcess(["so101", "--task", policy], Path(folder)) as twin:
            seen = (_killed if case.kill else _in_trouble)(case, twin, player, policy, Path(folder))
        rest = "" if np.isnan(seen.safe_s) else f"{seen.safe_s:.2f} s"
        table.add_row(case.name, seen.ended, rest, str(seen.outside), str(seen.rows))
    Console(width=150).print(table)


def _in_trouble(case: Case, twin: TwinProcess, player: Player, policy: str, folder: Path) -> Seen:
    """The loop in this process, and the fault in the middle of it."""
    arm = so101_arm(twin.port)
    arm.connect()
    log = LogFile(folder / "loop.csv")
    rested: list[float] = []
    witness = threading.Thread(target=lambda: rested.append(_rest(twin, time.monotonic())))
    count = [0]

    def watch(entry: dict[str, Any]) -> None:
        count[0] += 1
        if count[0] == AT - 1:  # the policy, if it is the one that errs, does so in the next decision
            if case.twin is not None:
                case.twin(twin, twin.order()["time_s"])
            witness.start()

    agent = Troubled(player.agent, case.agent)
    loop = Loop(arm, agent, player.contract, player.control, player.start, log=log, watch=watch)
    report = loop.run(4.0)
    seen = Seen(report.ended if report.emergency else "goes on", rows=len(Recording.load(log.path)))
    if report.emergency:
        witness.join()
        seen.safe_s = rested[0]
    seen.outside = _outside(twin, arm.limits.low, arm.limits.high)
    log.close()
    arm.close()
    return seen


def _killed(case: Case, twin: TwinProcess, player: Player, policy: str, folder: Path) -> Seen:
    command = [sys.executable, "-m", "embodied_scripts.cli.main", "deploy", policy, "--no-probe", "--port", twin.port]
    command += ["--safe", case.safe, "--log", str(folder)]
    loop = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    log = folder / "loop.csv"
    while not (log.exists() and log.read_text().count("\n") > AT):
        time.sleep(POLL_S)
    os.kill(loop.pid, signal.SIGKILL)
    since = time.monotonic()
    loop.wait()
    limits = so101_arm(twin.port).limits
    rest = _rest(twin, since) if case.safe == "hold" else _relaxed(twin, since)
    return Seen("killed", rest, _outside(twin, limits.low, limits.high), len(Recording.load(log)))


def _relaxed(twin: TwinProcess, since: float) -> float:
    """How long after a moment the last motor was off [s]."""
    while any(twin.order()["torque"]):
        if time.monotonic() > since + WATCH_S:
            return np.inf
        time.sleep(POLL_S)
    return time.monotonic() - since


def _rest(twin: TwinProcess, since: float) -> float:
    """How long after a moment the arm came to rest for good [s]."""
    last_moving, before, then = since, None, since
    while time.monotonic() < since + WATCH_S:
        now, angles = time.monotonic(), np.array(twin.order()["angles"])
        if before is not None and np.abs(angles - before).max() / max(now - then, 1e-3) > STILL:
            last_moving = now
        before, then = angles, now
        time.sleep(POLL_S)
    return last_moving - since


def _outside(twin: TwinProcess, low: NDArray, high: NDArray) -> int:
    """Goals beyond the limits that were ever written, by the twin's own log."""
    count = 0
    for _, servo, numbers in twin.order(written=0.0)["written"]:
        if "goal_position" in numbers:
            angle = (numbers["goal_position"] - MIDDLE) * RAD_PER_COUNT
            count += not low[servo - 1] - RAD_PER_COUNT <= angle <= high[servo - 1] + RAD_PER_COUNT
    return count
