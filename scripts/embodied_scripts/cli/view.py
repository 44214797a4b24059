"""`embodied view`: any MJCF or URDF in Rerun, moving."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from embodied_scripts.cli.lazy import load


@dataclass
class View:
    """Show any model that MuJoCo loads (MJCF or URDF) in Rerun, and let it move."""

    model: Annotated[Path, tyro.conf.Positional]
    """An .xml or .urdf file."""
    rerun: str = "live"
    """live (a window), web (a browser page), or a file that ends in .rrd."""
    seconds: float = 5.0
    """How long to simulate; 0 shows it at rest."""
    hz: float = 50.0
    """How often poses are logged."""
    control: Literal["rest", "random"] = "rest"
    """Commands of its actuators: nothing (or the keyframe's), or slow random commands within their ranges."""
    keyframe: int = 0
    """Which keyframe it starts from, where it has any."""
    seed: int = 0
    """Of the random commands."""
    groups: tuple[int, ...] = ()
    """Groups of geoms, sites and tendons that are shown; none: those that MuJoCo shows (0 1 2)."""
    package: tuple[str, ...] = ()
    """Folders of ROS packages, NAME=DIR, for addresses such as package://NAME/meshes/arm.stl."""

    def run(self) -> None:
        """Simulates and logs; live and web keep real time, and web goes on serving until Ctrl-C."""
        load("show.model_view:view")(self)
