"""`embodied play`: watch a policy, or a reference player, in Rerun."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from embodied_scripts.cli.lazy import load


@dataclass
class Play:
    """Show a trained run, or an environment with a reference player, in Rerun."""

    target: Annotated[str, tyro.conf.Positional]
    """Folder of a run, or an environment."""
    rerun: str = "live"
    """live (a window), web (a browser page), a file that ends in .rrd, or the address of a viewer elsewhere."""
    episodes: int = 5
    """Episodes to show; of several worlds, in each of them."""
    worlds: int = 1
    """Show so many worlds side by side, and how their episodes end."""
    seed: int = 20_000
    """Seed of the world."""
    player: str | None = None
    """Who plays when the target is an environment: random, uninformed, heuristic or oracle; in a duel random,
    scripted or trained, in both seats (default: the best there is)."""
    options: tuple[str, ...] = ()
    """Options of the environment, as name=value; a run keeps its own."""

    def run(self) -> None:
        """Plays the episodes; live and web keep real time, and web goes on serving until Ctrl-C."""
        load("show.live_play:play")(self)
