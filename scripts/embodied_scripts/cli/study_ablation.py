"""`embodied study ablation`: what a learner's settings are worth, one changed at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodied_scripts.cli.lazy import load

PROBLEMS = ("NoisyPositionOnlyCartPoleEasy", "NoisyPositionOnlyPendulumEasy", "RepeatPreviousEasy", "PendulumNoVel-v1")


@dataclass
class Ablation:
    """Train with one setting changed at a time, on small noisy problems that need memory (extra: bench).

    Sorted by the worst seed: the interquartile mean, with a bootstrap interval, says what to expect, and the worst seed
    what to be afraid of. Finished rows are kept, so an interrupted study goes on.
    """

    steps: int = 400_000
    """Of every training."""
    seeds: int = 5
    """Trainings of each kind."""
    episodes: int = 200
    """Fresh ones after training; their mean return is reported."""
    problems: tuple[str, ...] = PROBLEMS
    """On which: games of POPGym, and classic control without velocities (CartPoleNoVel-v1 and so on)."""
    only: tuple[str, ...] = ()
    """Only these variants (all: those that a wrong name lists)."""
    jobs: int = 0
    """Trainings at once, on one core each (0: one per core)."""
    out: Annotated[Path, tyro.conf.arg(name="run")] = Path("runs/ablation")
    """Folder of the study."""

    def run(self) -> None:
        """Trains what is missing, and prints a table for each problem."""
        load("studies.ablation:ablation")(self)
