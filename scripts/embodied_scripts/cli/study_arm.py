"""`embodied study twin` and `embodied study grip`: the servos of SO-101 from its logs, and what holds a cube."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodied_scripts.cli.lazy import load


@dataclass
class Twin:
    """Fit the servos of the package's SO-101 to its logs, judge them on two motions that are held out, and write the
    posterior that the package ships (10 minutes)."""

    logs: Annotated[Path, tyro.conf.Positional]
    """A file like so101_sage's: NPZ with t_us, cmd and pos of each motion."""
    out: Path = Path("so101.json")
    """Where the posterior is written."""

    def run(self) -> None:
        """Fits, judges, prints and writes."""
        load("studies.arm:fit_twin")(self)


@dataclass
class Grip:
    """Lift a cube in 16 worlds and shake it for half a minute, under several settings of solver and contacts."""

    seconds: float = 30.0
    """Of shaking."""

    def run(self) -> None:
        """Prints the table."""
        load("studies.grip:compare_grips")(self)


@dataclass
class ArmTransfer:
    """Record twins with bodies that nobody declared, fit them, go on with the task's policy as declared, under guessed
    and under fitted randomization, and on the truth; judge all on the twins, over their bus.

    Everything that is finished is kept in the folder, so an interrupted study goes on.
    """

    task: str = "Heft-v0"
    """A task of the arm with a policy."""
    twins: int = 10
    """How many bodies are drawn."""
    steps: int = 150_000
    """Of every training that goes on; the same for all conditions."""
    episodes: int = 20
    """Judged on, by each policy on each twin."""
    seconds: float = 20.0
    """Of each of the two motions that a twin is recorded in."""
    jobs: int = 0
    """Trainings at once, on one core each (0: one per core)."""
    out: Annotated[Path, tyro.conf.arg(name="run")] = Path("runs/arm-transfer")
    """Folder of the study."""

    def run(self) -> None:
        """Does what is missing, and prints the table."""
        load("studies.deployment.arm_transfer:transfer")(self)
