"""`embodied adversary`: how policies do where an adversary hides what they look for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodied_scripts.cli.lazy import load


@dataclass
class AdversaryOf:
    """Measure how policies do where an adversary chooses what is hidden, beside where the prior does.

    Against each policy, which learns no more, an adversary learns for some episodes where it fails; then both play on,
    and the adversary learns no more either.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of runs of the same environment."""
    episodes: int = 1024
    """On which each is measured, with the prior and with the adversary."""
    learning: int = 4096
    """Episodes that the adversary learns from before."""
    seed: int = 10_000
    """Seed of the worlds."""
    json: Path | None = None
    """Also write the measures to this file."""

    def run(self) -> None:
        """Prints the table, and writes the JSON if asked."""
        load("studies.robustness:measure_robustness")(self)
