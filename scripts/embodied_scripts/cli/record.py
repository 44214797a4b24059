"""`embodied record`: a motion of a robot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodied_scripts.cli.lazy import load
from embodied_scripts.cli.port import OnPort


@dataclass(kw_only=True)
class Record(OnPort):
    """Play a motion on a robot and record it, for `embodied identify`. Without a motion of yours (`embodied excite`),
    it is a gentle one around where the arm is."""

    out: Annotated[Path, tyro.conf.Positional]
    """Where the recording is written: .npz, .csv or .parquet."""
    motion: Path | None = None
    """A recording whose commands are played, on the first joints."""
    seconds: float = 20.0
    """Of a gentle motion."""
    hz: float = 50.0
    """Commands per second, of a gentle motion."""
    seed: int = 0
    """Which gentle motion."""

    def run(self) -> None:
        """Records; exits with 1 after an emergency."""
        load("deploying.recording:record")(self)
