"""`embodied film`: an episode as a film or as one picture, with what was believed; no viewer, no screen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodied_scripts.cli.lazy import load


@dataclass
class Film:
    """Film a run, or an environment with a reference player, with the belief drawn in; needs no viewer."""

    target: Annotated[str, tyro.conf.Positional]
    """Folder of a run, or an environment."""
    out: Annotated[Path, tyro.conf.Positional]
    """A film, .mp4 or .gif, in real time; or .png: four moments of the first episode side by side."""
    episodes: int = 1
    """Episodes to film."""
    seed: int = 20_000
    """Seed of the world."""
    player: str | None = None
    """Who plays when the target is an environment (default: the best there is)."""
    options: tuple[str, ...] = ()
    """Options of the environment, as name=value; a run keeps its own."""
    width: int = 640
    """Of a picture [pixels]; its height is three quarters of it."""

    def run(self) -> None:
        """Plays, paints and writes."""
        load("show.film:film")(self)
