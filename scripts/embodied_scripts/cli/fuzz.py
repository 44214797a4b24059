"""`embodied fuzz`: damaged logs and robot files, each of which must be read or refused in one line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from embodied_scripts.cli.lazy import load


@dataclass
class Fuzz:
    """Damage logs, robot files, checkpoints, runs, leagues and datasheets in all manners, and see that each is read, or
    refused in one line."""

    count: int = 100_000
    """How many files."""
    seed: int = 0
    """Decides how they are damaged."""
    processes: int = 2
    """How many read at the same time."""
    seconds: float = 5.0
    """How long one file may take."""
    gigabytes: float = 8.0
    """How many addresses one process may take; of memory, a file may take 300 MB."""
    keep: Path | None = None
    """A folder for the files that were neither read nor refused."""

    def run(self) -> None:
        """Prints how many of each kind were read and refused, and every one that was neither."""
        load("trials.fuzz:fuzz")(self)
