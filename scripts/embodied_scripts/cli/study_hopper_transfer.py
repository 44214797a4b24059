"""`embodied study hopper`: transfer from a Hopper whose torso is too light to the Hopper as it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodied_scripts.cli.lazy import load

CONDITIONS = ("naive", "uniform", "widened", "target", "memory", "privileged")


@dataclass
class HopperTransfer:
    """Train Gymnasium's Hopper with its torso 1 kg lighter (naive, and with masses that differ from world to world),
    and as it is; judge all on the Hopper as it is. Beside the network without memory, one with memory, which can find
    the masses out, and one with privileged observations of them.

    Finished rows are kept in the folder, so an interrupted study goes on.
    """

    steps: int = 1_000_000
    """Of every training."""
    seeds: int = 5
    """Trainings of each kind."""
    episodes: int = 128
    """Judged on, by each policy."""
    only: tuple[str, ...] = CONDITIONS
    """Which kinds."""
    jobs: int = 0
    """Trainings at once, on one core each (0: one per core)."""
    out: Annotated[Path, tyro.conf.arg(name="run")] = Path("runs/hopper")
    """Folder of the study."""

    def run(self) -> None:
        """Trains and judges what is missing, and prints the table."""
        load("studies.hopper_study:transfer_hopper")(self)
