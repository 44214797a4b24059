"""`embodied league seek`: what a trained seeker finds out about the other, and what is left without gaze or memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodied_scripts.cli.lazy import load


@dataclass
class SeekLeague:
    """Let the first seat of a duel play the scripted player of the second: as it learned to, with its head held ahead,
    and forgetting everything at every step."""

    run_dir: Annotated[Path | None, tyro.conf.Positional] = None
    """Folder of a league of HideSeek (default: the policy that comes with this package)."""
    game: str = "HideSeek-v0"
    """Which HideSeek, where no league is given."""
    games: int = 512
    """Games of each, at least."""
    seed: int = 40_000
    """Of the worlds, the same for each."""

    def run(self) -> None:
        """Plays and prints the table."""
        load("studies.seek:measure_seeking")(self)
