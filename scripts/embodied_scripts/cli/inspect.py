"""`embodied inspect`: what a robot senses and how it moves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodied_scripts.cli.lazy import load


@dataclass
class Inspect:
    """Show a robot's sensors (rates, latencies, errors) and actuators (curves, limits), or what a model file has."""

    robot: Annotated[str, tyro.conf.Positional] = "scout"
    """scout; `module:name` of a Robot or of a function that returns one; or an MJCF or URDF file."""
    picture: Path | None = None
    """Also write one picture: torque-speed curves, Allan deviations, latencies, samples of all sensors (scout only)."""

    def run(self) -> None:
        """Prints the tables and writes the picture."""
        load("show.inspect_robot:inspect")(self)
