"""`embodied evaluate`: what trained policies achieve and find out, beside reference players."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodied_scripts.cli.lazy import load


@dataclass
class Evaluate:
    """Evaluate runs beside reference players: success, return, bits gathered, seconds to certainty, calibration."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of runs of the same environment, or of a study (a folder of runs); or an id, for the references alone."""
    episodes: int = 512
    """Episodes per player."""
    seed: int = 10_000
    """Seed of the evaluation worlds; the same for every player."""
    json: Path | None = None
    """Also write the measures to this file."""
    references: bool = True
    """Include random, uninformed, heuristic and oracle."""
    stochastic: bool = False
    """Sample the networks' actions instead of taking the most likely."""
    longest: int = 10_000
    """Steps after which an episode is cut off, where the environment has no time limit of its own."""

    def run(self) -> None:
        """Prints the table, and writes the JSON if asked."""
        load("show.evaluation:evaluate_runs")(self)
