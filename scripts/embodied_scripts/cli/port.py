"""How commands reach a robot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(kw_only=True)
class OnPort:
    """A robot on a serial port."""

    port: str = "/dev/ttyACM0"
    """Where the robot is; that of a twin is where `embodied twin` made it."""
    robot: str = "so101"
    """Which robot."""
    library: Literal["feetech", "rustypot", "lerobot"] = "feetech"
    """What speaks to its servos."""
    calibration: Path | None = None
    """LeRobot's calibration file of this robot (default: servos read their middles where joints are at 0)."""
    camera: tuple[str, ...] = ()
    """Cameras, as NAME=SOURCE: wrist=0, wrist=/dev/video2, or wrist=http://… of a network camera."""
