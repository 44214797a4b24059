"""From a robot to a policy for it: recorded, measured, identified, trained on, run, and reported."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from rich.console import Console

from embodied.deploy.drivers.servos import ServoArm
from embodied.deploy.loop import LoopReport
from embodied.deploy.motion import gentle_motion, record_motion
from embodied.deploy.observing import RobotView
from embodied.deploy.probe import ProbeReport, probe
from embodied.deploy.supervision import PARKED, Supervision
from embodied.errors import DriverError, OptionError
from embodied.nn.checkpoint import load_json, save_json
from embodied.sysid import Fit, Recording
from embodied.sysid.gap import gap
from embodied_envs.arm.so101 import fitted_servo
from embodied_scripts.cli.deploy import Deploy
from embodied_scripts.cli.port import OnPort
from embodied_scripts.cli.transfer import TransferTo
from embodied_scripts.deploying.deploy import deployed, table_of
from embodied_scripts.deploying.identifying import fitted_randomization, identify_servos, servo_plant
from embodied_scripts.deploying.players import Player, player_of
from embodied_scripts.deploying.refining import train_on
from embodied_scripts.deploying.robots import UPRIGHT, robot_on
from embodied_scripts.records import FIT, RECORDING, begun
from embodied_scripts.show.fit_report import write_report
from embodied_scripts.show.transfer_report import Transferred, write_transfer_report

HZ, FITTED, MOTIONS = 50.0, 2, 3


def transfer(given: TransferTo) -> None:
    """Does what is missing of it, and writes the report."""
    if not (given.seconds > 2 and given.steps > 0 and given.deploy_s >= 0 and given.widen > 0):
        raise OptionError("motions last longer than 2 s; steps and widen are positive, deploy_s is at least 0")
    if Path(given.target).suffix == ".onnx":
        raise OptionError("an exported policy cannot go on learning: name the run that it was exported from")
    asked = _Asked(given, given.run_dir or Path("runs") / f"transfer-{Path(given.target).name}")
    console = Console(soft_wrap=True)
    player = player_of(given.target)
    RobotView(player.contract, robot_on(given, player.contract).layout)  # refuses, before anything moves
    asked.keep()
    recordings = _recordings(asked, console)
    probed = _probed(asked, player, console)
    fit, before, after = _identified(asked, recordings, console)
    logs = [(RECORDING, path) for path in _motions(asked)]
    making = begun("randomize", given, [(FIT, asked.folder / "fit.json"), *logs])
    randomization = fitted_randomization(fit, recordings, given.widen)
    learned_under = asked.folder / "randomization.json"
    randomization.save(learned_under)
    making.finish(learned_under)
    policy = train_on(
        given.target, asked.folder / "policy-run", given.steps, learned_under, given.seed, given.threads, given.n_envs
    )
    report = _on_robot(asked, policy, console) if given.deploy_s else None
    found = Transferred(player.name, player.contract, probed, fit, before, after, randomization, report)
    page = write_transfer_report(asked.folder, found)
    console.print(f"Wrote {page}", highlight=False)
    if report is not None and report.emergency:
        sys.exit(1)


@dataclass(frozen=True)
class _Asked:
    """What was asked for, and the folder of everything."""

    given: TransferTo
    folder: Path

    def keep(self) -> None:
        """Writes down what the folder is for.

        Raises:
            OptionError: it is for something else.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path, names = self.folder / "transfer.json", ("target", "robot", "calibration", "seconds", "widen", "seed")
        now = {name: str(getattr(self.given, name)) for name in names}
        kept = load_json(path) if path.exists() else now
        differing = [f"{name} {kept.get(name)}, not {now[name]}" for name in names if kept.get(name) != now[name]]
        if differing:
            raise OptionError(f"{self.folder} is of a transfer with {'; '.join(differing)}: name another folder, --run")
        save_json(path, now)


@contextmanager
def _connected(asked: _Asked) -> Iterator[ServoArm]:
    arm = robot_on(asked.given)
    arm.connect()
    try:
        yield arm
    finally:
        arm.close()


def _motions(asked: _Asked) -> list[Path]:
    """The files of the motions that are recorded."""
    return [asked.folder / f"motion-{k}.npz" for k in range(MOTIONS)]


def _recordings(asked: _Asked, console: Console) -> list[Recording]:
    """Gentle motions around an upright posture, from which the arm goes back to where it was."""
    paths = _motions(asked)
    missing = [k for k, path in enumerate(paths) if not path.exists()]
    if missing:
        with _connected(asked) as arm:
            start = np.clip(arm.read().values["angle"], arm.limits.low, arm.limits.high)
            limp = not arm.get("torque_enable").any()
            for k in missing:
                plan = gentle_motion(arm.limits, UPRIGHT, asked.given.seconds, HZ, seed=asked.given.seed + k)
                back = Supervision("park", tuple(start.tolist())) if k == missing[-1] else Supervision()
                making = begun("record", asked.given)
                recording, report = record_motion(arm, plan, HZ, back, robot=asked.given.robot)
                if report.emergency:
                    raise DriverError(f"motion {k} was not played to its end: {report.ended}")
                recording.save(paths[k])
                making.finish(paths[k])
                console.print(f"motion {k}: {len(recording)} rows", highlight=False)
            if limp and report.safe == PARKED:
                arm.relax()
    return [Recording.load(path) for path in paths]


def _probed(asked: _Asked, player: Player, console: Console) -> ProbeReport:
    """The robot measured, where it is."""
    path = asked.folder / "probe.json"
    if path.exists():
        return ProbeReport.from_jsonable(load_json(path))
    with _connected(asked) as arm:
        limp = not arm.get("torque_enable").any()
        try:
            report = probe(arm, player.contract, friction=True)
        finally:
            with suppress(DriverError):
                arm.relax() if limp else arm.hold()
    console.print(table_of(report))
    save_json(path, report.jsonable())
    return report


def _identified(asked: _Asked, recordings: list[Recording], console: Console) -> tuple[Fit, float, float]:
    """What the servos are, and the errors as declared and as found on the motion that was held out."""
    path, plant = asked.folder / "fit.json", servo_plant()
    if path.exists():
        fit = Fit.from_jsonable(load_json(path))
    else:
        making = begun("identify", asked.given, [(RECORDING, path) for path in _motions(asked)[:FITTED]])
        with console.status("Identifying the servos …"):
            fit = identify_servos(recordings[:FITTED])
        save_json(path, fit.jsonable())
        making.finish(path)
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


def _on_robot(asked: _Asked, policy: Path, console: Console) -> LoopReport:
    """The new policy on the robot, measured once more."""
    given = asked.given
    reached = {field.name: getattr(given, field.name) for field in fields(OnPort)}
    run = Deploy(
        target=str(policy), seconds=given.deploy_s, safe=given.safe, force=given.force, log=asked.folder, **reached
    )
    return deployed(run, console)
