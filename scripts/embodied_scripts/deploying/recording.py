"""Records a motion of a robot for the command line."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from embodied.deploy.motion import gentle_motion, record_motion
from embodied.errors import OptionError
from embodied.sysid.recording import Recording
from embodied_scripts.cli.record import Record
from embodied_scripts.deploying.robots import robot_on
from embodied_scripts.records import begun


def record(asked: Record) -> None:
    """Plays a motion and writes what was measured; exits with 1 where an emergency ended it."""
    arm = robot_on(asked)
    arm.connect()
    try:
        making = begun("record", asked, [] if asked.motion is None else [("motion", asked.motion)])
        if asked.motion is None:
            home = arm.read().values["angle"]
            commands, hz = gentle_motion(arm.limits, home, asked.seconds, asked.hz, asked.seed), asked.hz
        else:
            commands, hz = _motion(asked.motion)
        recording, report = record_motion(arm, commands, hz, robot=asked.robot)
    finally:
        arm.close()
    recording.save(asked.out)
    making.finish(asked.out)
    Console().print(f"{len(recording)} rows in {asked.out}; {report}", markup=False)
    if report.emergency:
        sys.exit(1)


def _motion(path: Path) -> tuple:
    """The commands of a recording, such as `embodied excite` writes, and their rate."""
    planned = Recording.load(path).in_si()
    hz = (len(planned) - 1) / (planned.time_s[-1] - planned.time_s[0])
    if not 1 <= hz <= 200:
        raise OptionError(f"{path} has {hz:.3g} commands per second: between 1 and 200 can be played")
    return planned.command, hz
