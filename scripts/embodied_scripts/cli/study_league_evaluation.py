"""`embodied league evaluate`: the newest policy of a league against scripted players and an early snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodied_scripts.cli.lazy import load


@dataclass
class EvaluateLeague:
    """Let the newest policy of a league play scripted players, and its own snapshot of a tenth of its decisions.

    Every world is played from both seats; agents that act at random have independent action noise. Intervals take games
    to be independent: in games without any other chance, let networks act as `--stochastic`.
    """

    run_dir: Annotated[Path, tyro.conf.Positional]
    """Folder of the league."""
    games: int = 512
    """Games against each, at least."""
    share: float = 0.1
    """Of the decisions that were made, after which the snapshot was taken."""
    stochastic: bool = False
    """Let networks act by chance, as they learned to, in place of their most likely action."""
    seed: int = 777
    """Of the worlds."""
    json: Path | None = None
    """Also write the scores to this file."""

    def run(self) -> None:
        """Plays and prints."""
        load("studies.evaluate_league:evaluate_league")(self)
