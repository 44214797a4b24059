"""`embodied study adapt`: memory identifies a robot, beside privileged observations and beside none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodied_scripts.cli.lazy import load

CONDITIONS = ("no memory", "one step", "gru", "transformer", "privileged")


@dataclass
class Adaptation:
    """Balance a pole with a motor that may be wired either way: with and without memory, and with the motor observed.

    "no memory" sees what is measured now, "one step" also its previous action, and the networks with memory ("gru",
    "transformer") all of that since the episode began; "privileged" is as "one step", and observes the motor. They are
    trained where each world has a motor of its own (steady), and evaluated there and where it is resampled every 2 s
    (rewired), which none of them has met. Finished rows are kept, so an interrupted study goes on.
    """

    steps: int = 300_000
    """Of every training."""
    seeds: int = 3
    """Trainings of each kind."""
    episodes: int = 256
    """Judged on, by each policy."""
    only: tuple[str, ...] = CONDITIONS
    """Which kinds."""
    jobs: int = 0
    """Trainings at once, on one core each (0: one per core)."""
    out: Annotated[Path, tyro.conf.arg(name="run")] = Path("runs/adapt")
    """Folder of the study."""

    def run(self) -> None:
        """Trains and judges what is missing, and prints the table."""
        load("studies.adapt:adapt")(self)
