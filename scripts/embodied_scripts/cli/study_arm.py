"""`embodied study twin` and `embodied study grip`: the servos of SO-101 from its logs, and what holds a cube."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodied_scripts.cli.lazy import load


@dataclass
class Twin:
    """Fit the servos of the package's SO-101 to its logs, judge them on two motions that are held out, and write the
    posterior that the package ships (10 minutes)."""

    logs: Annotated[Path, tyro.conf.Positional]
    """A file like so101_sage's: NPZ with t_us, cmd and pos of each motion."""
    out: Path = Path("so101.json")
    """Where the posterior is written."""

    def run(self) -> None:
        """Fits, judges, prints and writes."""
        load("studies.arm:fit_twin")(self)


@dataclass
class Grip:
    """Lift a cube in 16 worlds and shake it for half a minute, under several settings of solver and contacts."""

    seconds: float = 30.0
    """Of shaking."""

    def run(self) -> None:
        """Prints the table."""
        load("studies.grip:compare_grips")(self)
