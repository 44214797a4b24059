"""`embodied teleoperate`: a robot that somebody leads, and what they showed, kept to be imitated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodied_scripts.cli.lazy import load
from embodied_scripts.cli.port import OnPort


@dataclass(kw_only=True)
class Teleoperate(OnPort):
    """Lead a robot through a task, by a second arm or by keys, within the limits and the supervision that a policy has,
    and keep the episodes: `embodied train TASK --demonstrations FOLDER` imitates them.

    Keys q a, w s, e d, r f, t g, y h move the joints up and down. Space ends an episode, Ctrl-C the session.
    """

    task: Annotated[str, tyro.conf.Positional]
    """The task: an environment of the arm, such as Heft-v0."""
    out: Annotated[Path, tyro.conf.Positional]
    """The folder to write demonstrations to."""
    leader: str = "keyboard"
    """What leads: the port of a second arm, whose motors are off, or keyboard."""
    leader_calibration: Path | None = None
    """LeRobot's calibration file of the second arm."""
    episodes: int = 10
    """How many."""
    seconds: float = 30.0
    """Of an episode, at most."""
    dataset: Path | None = None
    """Also add the episodes to a LeRobot dataset in this folder."""

    def run(self) -> None:
        """Leads, and writes; exits with 1 after an emergency."""
        load("deploying.teleoperation:teleoperate")(self)
