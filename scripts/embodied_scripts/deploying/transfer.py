"""From a robot to a policy for it: recorded, measured, identified, trained on, run, and reported."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from rich.console import Console

from embodied.deploy.drivers.servos import ServoArm
from embodied.deploy.log import LogFile
from embodied.deploy.loop import Loop, LoopReport
from embodied.deploy.motion import gentle_motion, record_motion
from embodied.deploy.probe import ProbeReport, probe
from embodied.deploy.supervision import Supervision
from embodied.errors import DriverError, OptionError
from embodied.nn.checkpoint import load_json, save_json
from embodied.sysid import Fit, Recording
from embodied.sysid.gap import gap
from embodied_envs.arm.so101 import fitted_servo, servo_randomization
from embodied_scripts.cli.transfer import TransferTo
from embodied_scripts.deploying.deploy import arm_units, summarize, table_of
from embodied_scripts.deploying.guard import Guard
from embodied_scripts.deploying.identifying import identify_servos, servo_plant
from embodied_scripts.deploying.keys import KeyStop
from embodied_scripts.deploying.players import Player, player_of
from embodied_scripts.deploying.refining import train_on
from embodied_scripts.deploying.robots import UPRIGHT, robot_on
from embodied_scripts.show.fit_report import write_report
from embodied_scripts.show.transfer_report import Transferred, write_transfer_report

HZ, FITTED, MOTIONS = 50.0, 2, 3


def transfer(asked: TransferTo) -> None:
    """Does what is missing of it, and writes the report."""
    if not (asked.seconds > 2 and asked.steps > 0 and asked.deploy_s >= 0 and asked.widen > 0):
        raise OptionError("motions last longer than 2 s; steps and widen are positive, deploy_s is at least 0")
    asked.run_dir.mkdir(parents=True, exist_ok=True)
    console = Console(soft_wrap=True)
    player = player_of(asked.target)
    recordings = _recordings(asked, console)
    probed = _probed(asked, player, console)
    fit, before, after = _identified(asked, recordings, console)
    randomization = servo_randomization(fit, asked.widen)
    declared_file = asked.run_dir / "randomization.json"
    randomization.save(declared_file)
    policy = train_on(asked.target, asked.run_dir / "policy-run", asked.steps, declared_file, asked.seed, asked.threads)
    report = _deployed(asked, policy, console) if asked.deploy_s else None
    found = Transferred(player.name, player.contract, probed, fit, before, after, randomization, report)
    page = write_transfer_report(asked.run_dir, found)
    console.print(f"Wrote {page}", highlight=False)
    if report is not None and report.emergency:
        sys.exit(1)


@contextmanager
def _connected(asked: TransferTo) -> Iterator[ServoArm]:
    arm = robot_on(asked)
    arm.connect()
    try:
        yield arm
    finally:
        arm.close()


def _recordings(asked: TransferTo, console: Console) -> list[Recording]:
    """Gentle motions around an upright posture, from which the arm goes back to where it was."""
    paths = [asked.run_dir / f"motion-{k}.npz" for k in range(MOTIONS)]
    missing = [k for k, path in enumerate(paths) if not path.exists()]
    if missing:
        with _connected(asked) as arm:
            start = np.clip(arm.read().values["angle"], arm.limits.low, arm.limits.high)
            for k in missing:
                plan = gentle_motion(arm.limits, UPRIGHT, asked.seconds, HZ, seed=asked.seed + k)
                back = Supervision("park", tuple(start.tolist())) if k == missing[-1] else Supervision()
                recording, report = record_motion(arm, plan, HZ, back, robot=asked.robot)
                if report.emergency:
                    raise DriverError(f"motion {k} was not played to its end: {report.ended}")
                recording.save(paths[k])
                console.print(f"motion {k}: {len(recording)} rows", highlight=False)
            with suppress(DriverError):
                arm.relax()
    return [Recording.load(path) for path in paths]


def _probed(asked: TransferTo, player: Player, console: Console) -> ProbeReport:
    """The robot measured, where it is."""
    path = asked.run_dir / "probe.json"
    if path.exists():
        return ProbeReport.from_jsonable(load_json(path))
    with _connected(asked) as arm:
        try:
            report = probe(arm, player.contract)
        finally:
            with suppress(DriverError):
                arm.relax()
    console.print(table_of(report))
    save_json(path, report.jsonable())
    return report


def _identified(asked: TransferTo, recordings: list[Recording], console: Console) -> tuple[Fit, float, float]:
    """What the servos are, and the errors as declared and as found on the motion that was held out."""
    path, plant = asked.run_dir / "fit.json", servo_plant()
    if path.exists():
        fit = Fit.from_jsonable(load_json(path))
    else:
        with console.status("Identifying the servos …"):
            fit = identify_servos(recordings[:FITTED])
        save_json(path, fit.jsonable())
        write_report(path.with_suffix(".html"), plant, fit, recordings, FITTED)
    declared = {
        target: fitted_servo().mean[name] for name, some in zip(fit.names, fit.targets, strict=True) for target in some
    }
    before, after = (
        float(gap(plant, values, recordings[FITTED:]).centered.mean()) for values in (declared, fit.values)
    )
    console.print(
        f"held-out error {1e3 * before:.2f} mrad as declared, {1e3 * after:.2f} mrad as found", highlight=False
    )
    return fit, before, after


def _deployed(asked: TransferTo, policy: Path, console: Console) -> LoopReport:
    """The new policy on the robot."""
    player = player_of(str(policy))
    limits = Supervision(asked.safe, tuple(player.start.tolist()))
    with _connected(asked) as arm:
        about = {"policy": player.name, "robot": asked.robot, "joints": list(arm.joints)}
        log = LogFile(asked.run_dir / "loop.csv", arm_units(arm), **about)
        loop = Loop(arm, player.agent, player.contract, player.control, player.start, limits, log)
        with Guard(asked, limits), KeyStop(loop.stop):
            report = loop.run(asked.deploy_s)
        log.close()
    summarize(report, asked.run_dir / "report.json")
    console.print(str(report), markup=False, highlight=False)
    return report
