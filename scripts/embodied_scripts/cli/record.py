"""`embodied record`: a motion of a robot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from embodied_scripts.cli.lazy import load


@dataclass
class Record:
    """Play a motion on a robot and record it, for `embodied identify`. Without a motion of yours (`embodied excite`),
    it is a gentle one around where the arm is."""

    out: Annotated[Path, tyro.conf.Positional]
    """Where the recording is written: .npz, .csv or .parquet."""
    port: str = "/dev/ttyACM0"
    """Where the robot is."""
    motion: Path | None = None
    """A recording whose commands are played, on the first joints."""
    seconds: float = 20.0
    """Of a gentle motion."""
    hz: float = 50.0
    """Commands per second, of a gentle motion."""
    seed: int = 0
    """Which gentle motion."""
    robot: str = "so101"
    """Which robot."""
    library: Literal["feetech", "rustypot", "lerobot"] = "feetech"
    """What speaks to its servos."""
    calibration: Path | None = None
    """LeRobot's calibration file of this robot (default: servos read their middles where joints are at 0)."""

    def run(self) -> None:
        """Records; exits with 1 after an emergency."""
        load("deploying.recording:record")(self)
