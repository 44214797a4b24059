"""`embodied twin`: a robot of software behind a serial port."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodied_scripts.cli.lazy import load


@dataclass
class Twin:
    """Serve a software twin of a robot on a port, in real time, until Ctrl-C. Whatever speaks to the robot can open
    that port: this toolkit, LeRobot, the maker's library, rustypot."""

    robot: Annotated[str, tyro.conf.Positional] = "so101"
    """Whose twin."""
    port: Path = Path("/tmp/so101")
    """Where its port is made: a link to a pseudo-terminal."""
    task: str | None = None
    """What stands on its table: an environment, such as Feel-v0."""
    mystery: int | None = None
    """Seed of a body that nobody declared: other gains, friction, play, weights, a soft mount."""
    latency: float | None = None
    """Of its commands, in place of its own [ms]."""
    jitter: float | None = None
    """Standard deviation of that [ms]."""
    corrupted: float = 0.0
    """Share of the packets, each way, with one wrong bit."""
    lost: float = 0.0
    """Share of the answers that never come."""
    dies: tuple[int, float] | None = None
    """A servo that dies: its id, and when [s]."""
    unplug: float | None = None
    """When the cable is pulled [s]."""
    sag: tuple[float, float, float] | None = None
    """When the supply sags [s], for how long [s], and to what [V]."""
    camera_port: int | None = None
    """Also show what its wrist's camera sees, on that port of this machine (0: any), as a network camera does."""
    seed: int = 0
    """Of everything random in servos and faults."""
    log: Path | None = None
    """Folder for what the twin knows of itself, and for everything that it was told."""
    orders: bool = False
    """Take orders of who holds the table from standard input, as lines of JSON."""

    def run(self) -> None:
        """Serves."""
        load("deploying.serving:serve")(self)
