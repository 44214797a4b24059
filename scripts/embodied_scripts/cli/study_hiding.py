"""`embodied league hide`: how well a hider could hide that knew more, beside the trained and the scripted ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodied_scripts.cli.lazy import load


@dataclass
class HideLeague:
    """Let hiders of HideSeek play its scripted seeker: trained, scripted, and with privileged observations."""

    run_dir: Annotated[Path | None, tyro.conf.Positional] = None
    """Folder of a league of HideSeek (default: the policy that comes with this package)."""
    game: str = "HideSeek-v0"
    """Which HideSeek, where no league is given."""
    games: int = 256
    """Games of each, at least."""
    seed: int = 50_000
    """Of the worlds, the same for each."""

    def run(self) -> None:
        """Plays and prints the table."""
        load("studies.hide:measure_hiding")(self)
