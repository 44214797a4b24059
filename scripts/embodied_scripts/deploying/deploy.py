"""Puts a policy on a robot, and measures robots, for the command line."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from embodied.deploy.dataset import LeRobotFolder
from embodied.deploy.drivers.servos import ServoArm
from embodied.deploy.log import LogFile
from embodied.deploy.loop import Loop, LoopReport
from embodied.deploy.observing import LARGEST, RobotView
from embodied.deploy.probe import ProbeReport, probe
from embodied.deploy.supervision import Supervision
from embodied.errors import DriverError, OptionError
from embodied.extras import advice
from embodied.hidden import Discrete
from embodied.lineage.trust import Trust
from embodied.physics.loading import compile_spec
from embodied.sysid.recording import Recording
from embodied_scripts.cli.deploy import Deploy, Probe
from embodied_scripts.deploying.guard import Guard
from embodied_scripts.deploying.keys import KeyStop
from embodied_scripts.deploying.players import Player, player_of
from embodied_scripts.deploying.robots import dataset_in, robot_on, workspace_of

if TYPE_CHECKING:
    from embodied.view.robot_stream import RobotStream

TICK_S = 0.002  # of a model that is only looked at


def measure(asked: Probe) -> None:
    """Measures a robot, beside what a policy was promised."""
    console = Console()
    player = None if asked.policy is None else player_of(asked.policy)
    arm = robot_on(asked, None if player is None else player.contract)
    arm.connect()
    try:
        report = probe(arm, None if player is None else player.contract, steps=asked.steps, friction=True)
    finally:
        with suppress(DriverError):
            arm.relax()
        arm.close()
    console.print(table_of(report))
    if asked.json is not None:
        asked.json.write_text(json.dumps(report.jsonable(), indent=1))


def deploy(asked: Deploy) -> None:
    """Runs a policy on a robot; exits with 1 where an emergency ended it."""
    console = Console()
    report = deployed(asked, console)
    if asked.log is not None:
        console.print(f"log: {asked.log / 'loop.csv'}", markup=False)
    if report.emergency:
        sys.exit(1)


def deployed(asked: Deploy, console: Console) -> LoopReport:
    """Runs a policy on a robot, guarded and supervised, and leaves it in its safe state."""
    if asked.dataset is not None and (asked.log is None or asked.dry_run):
        raise OptionError("a dataset is made of the log of a run that moves: name a folder, --log, and no --dry-run")
    trust = None if asked.trust is None else Trust.load(asked.trust, asked.signed_as)
    player = player_of(asked.target, trust)
    arm = robot_on(asked, player.contract)
    RobotView(player.contract, arm.layout)  # refuses what the robot cannot show, before anything moves
    if asked.dataset is not None:
        _dataset(asked, arm, player)  # refuses one of another robot
    arm.connect()
    limits = Supervision(asked.safe, tuple(player.start.tolist()))
    try:
        with nullcontext() if asked.dry_run else Guard(asked, limits):
            if asked.probe and not asked.dry_run:
                _admit(arm, player, asked.force, console)
            report = _run(arm, player, limits, asked, console)
    finally:
        arm.close()
    console.print(str(report), markup=False)
    return report


def _admit(arm: ServoArm, player: Player, force: bool, console: Console) -> None:
    """Measures the robot and refuses it, relaxed, where it is not what the policy was promised."""
    try:
        report = probe(arm, player.contract)
        console.print(table_of(report))
        if report.broken and not force:
            told = "; ".join(map(str, report.broken))
            raise DriverError(
                f"this robot is not what the policy was trained for: {told}; --force goes on all the same"
            )
    except BaseException:
        with suppress(DriverError):
            arm.relax()
        raise


def _run(arm: ServoArm, player: Player, limits: Supervision, asked: Deploy, console: Console) -> LoopReport:
    log = None
    if asked.log is not None:
        about: dict[str, Any] = {"policy": player.name, "robot": asked.robot, "joints": list(arm.joints)}
        about["contract"] = player.contract.jsonable()
        log = LogFile(asked.log / "loop.csv", arm_units(arm), **about)
    box = None if asked.workspace is None else workspace_of(asked.robot, asked.workspace)
    loop = Loop(
        arm,
        player.agent,
        player.contract,
        player.control,
        player.start,
        limits,
        log,
        dry=asked.dry_run,
        workspace=box,
    )
    stream = None if asked.view is None else _stream(arm, player, loop, asked.view, console)
    with KeyStop(loop.stop) as keys:
        ends = "any key or Ctrl-C ends it" if keys.listens else "Ctrl-C ends it"
        console.print(f"{player.name} decides at {1 / loop.period_s:g} Hz for {asked.seconds:g} s; {ends}")
        report = loop.run(asked.seconds)
    if stream is not None:
        stream.event(str(report))
        stream.close()
    if log is not None:
        log.close()
        _summarize(report, log.path.parent / "report.json")
        if asked.dataset is not None and report.decisions > 1 and not report.emergency:
            _dataset(asked, arm, player).add(Recording.load(log.path), player.name)
    return report


def _dataset(asked: Deploy, arm: ServoArm, player: Player) -> LeRobotFolder:
    assert asked.dataset is not None
    return dataset_in(asked.dataset, asked.robot, arm.joints, player.contract.control_hz)


def _stream(arm: ServoArm, player: Player, loop: Loop, where: str, console: Console) -> RobotStream:
    """Shows every decision of a loop in Rerun."""
    with advice():
        from embodied.view.robot_stream import RobotStream
    hidden = player.env.hidden[0] if player.env.hidden else None
    believed = hidden.labels if isinstance(hidden, Discrete) else ()
    model = compile_spec(player.env.task.robot.build(TICK_S), player.name)
    stream = RobotStream(where, model, arm.joints, arm.layout, player.name, believed)
    if stream.url:
        console.print(f"Open {stream.url}", markup=False, highlight=False)
    loop.watch = lambda entry: stream.step(loop.decided_s, loop.told, entry, entry.get("belief"))
    return stream


def _summarize(report: LoopReport, path: Path) -> None:
    """Writes how a run went."""
    summary = {"ended": report.ended, "safe": report.safe, "safe_after_s": report.safe_after_s}
    summary |= {"decisions": report.decisions, "missed": report.missed, "held": report.held}
    summary |= {"p99_late_s": float(np.percentile(report.late_s, 99)) if report.decisions else None}
    path.write_text(json.dumps(summary, indent=1))


def arm_units(arm: ServoArm) -> dict[str, str]:
    """Units of what the loop logs."""
    logged = {channel.name: channel.unit for channel in arm.layout.channels if channel.size <= LARGEST}
    return logged | {"command": "rad", "age": "s"}


def table_of(report: ProbeReport) -> Table:
    """What was measured, beside what was promised."""
    table = Table("measured", "", "", "promised", title="The robot")
    for f in report.findings:
        told = "" if f.promised is None else f"{f.promised[0]:.3g} to {f.promised[1]:.3g}"
        mark = "" if f.fits else "  outside"
        table.add_row(
            f.name, f"{f.value:.3g} ± {f.spread:.2g}", f.unit, told + mark, style="" if f.fits else "bold red"
        )
    return table
