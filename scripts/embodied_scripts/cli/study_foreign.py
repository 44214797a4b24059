"""`embodied study foreign` and `kills`: other people's environments, and processes that are killed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from embodied_scripts.cli.lazy import load


@dataclass
class Foreign:
    """Train a policy on environments and games of other packages, from the command line, and evaluate it."""

    only: tuple[str, ...] = ()
    """Packages to try (default: all that are installed)."""
    steps: int = 2_000
    """Of each training."""
    minutes: float = 5.0
    """How long one may take."""
    out: Path = Path("runs/foreign")
    """Where runs and rows are kept; finished rows are not made again."""

    def run(self) -> None:
        """Prints the table."""
        load("trials.foreign:try_foreign")(self)


@dataclass
class Kills:
    """Kill trainings and leagues at random moments, resume them, and compare what they end with."""

    count: int = 200
    """How often, in all."""
    seed: int = 0
    """Decides when."""
    out: Path = Path("runs/kills")
    """Where the runs are kept while it lasts."""

    def run(self) -> None:
        """Prints what was lost, and whether the weights are the same."""
        load("trials.kills:kill_again_and_again")(self)
