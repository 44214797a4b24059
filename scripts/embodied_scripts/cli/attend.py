"""`embodied attend`: does a network, when it commits, look back at the informative observations?

Shape suffixes: L layers, H heads, T decisions of an episode.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodied_scripts.cli.lazy import load


@dataclass
class Attend:
    """Measure what a trained policy attends to: when it turns away from the source of information, and at its goal."""

    run_dir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(name="run")]
    """Folder of a run whose policy is a transformer, on a task with an exact filter."""
    episodes: int = 200
    """Episodes that are judged."""
    seed: int = 10_000
    """Seed of their worlds."""
    picture: Path | None = None
    """Also draw one episode's attention, head by head, to this PNG file."""

    def run(self) -> None:
        """Prints how often informative observations are among the three most attended to, and by chance."""
        load("show.attention:measure_attention")(self)
