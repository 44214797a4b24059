"""`embodied study transfer`: what randomization is worth on a robot that is not as its data sheets say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodied_scripts.cli.lazy import load


@dataclass
class Transfer:
    """Train on Signpost as declared; go on as declared, under guessed and under log-fitted randomization, and on the
    truth; judge all on the truth: a Scout whose motors, friction, latency and sensors are others than declared.

    Everything that is finished is kept in the folder, so an interrupted study goes on.
    """

    base_steps: int = 1_000_000
    """Of the training on the robot as declared, from whose policy all others go on."""
    steps: int = 500_000
    """Of every training that goes on; with more than before, the policies of before learn on."""
    seeds: int = 3
    """Trainings of each kind."""
    episodes: int = 512
    """Judged on, by each policy."""
    minutes: float = 5.0
    """Of logs of the true robot, for the fit."""
    jobs: int = 0
    """Trainings at once, on one core each (0: one per core)."""
    out: Annotated[Path, tyro.conf.arg(name="run")] = Path("runs/transfer")
    """Folder of the study."""

    def run(self) -> None:
        """Trains and judges what is missing, and prints the table."""
        load("studies.transfer_study:transfer")(self)
