"""`embodied collect`: keep what a player does and is shown, to be imitated by a network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodied_scripts.cli.lazy import load

PLANNER = "planner"


@dataclass
class Collect:
    """Let somebody play, and keep the episodes: `embodied train --demonstrations FOLDER` imitates them.

    Ctrl-C keeps those that are finished.
    """

    target: Annotated[str, tyro.conf.Positional]
    """An environment, the folder of a run, or of a policy over options (`embodied distill`)."""
    out: Annotated[Path, tyro.conf.Positional]
    """The folder to write to."""
    player: str = PLANNER
    """Who plays in an environment: planner (thinks for seconds before it moves), heuristic, uninformed, oracle
    or random."""
    episodes: int = 256
    """How many; somewhat more where they do not share out evenly among worlds."""
    worlds: int | None = None
    """Worlds at once (default: 64, for the planner 4)."""
    seconds: float = 0.9
    """The planner's time for a decision, at most."""
    samples: int | None = None
    """How often the planner tries an option under each hidden value (default: as often as its evidence needs)."""
    noise: float = 0.0
    """Standard deviation of noise on actions in every other world, in half ranges, from which the player recovers;
    what it meant to do is imitated (DART)."""
    seed: int = 30_000
    """Seed of the worlds."""
    options: tuple[str, ...] = ()
    """Options of the environment, as name=value; a run keeps its own."""

    def run(self) -> None:
        """Plays, with a bar, and writes the episodes."""
        load("training.collection:collect")(self)
