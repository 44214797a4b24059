"""`embodied controls`: what a policy owes to looking, beside a planner and what is left when looking is taken away."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodied_scripts.cli.lazy import load


@dataclass
class Controls:
    """Measure what a policy owes to looking: itself and four controls, beside reference players and a planner.

    The first run is the active policy, and the controls are made of it: its head held ahead, or at the best angle; its
    channel of information cut after one look, or from the beginning.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of runs of the same environment; those after the first are measured beside it."""
    episodes: int = 512
    """Episodes per player."""
    planner: int = 64
    """Episodes of the planner, which thinks for seconds in each and so plays in few worlds; 0 leaves it out, as do
    tasks that nobody has written options for."""
    seconds: float = 0.9
    """The planner's time for a decision, at most."""
    angles: int = 7
    """Among how many the best static gaze is looked for."""
    seed: int = 10_000
    """Seed of the worlds."""
    json: Path | None = None
    """Also write the measures to this file."""

    def run(self) -> None:
        """Prints the table, and writes the JSON if asked."""
        load("studies.active_perception:measure_controls")(self)
