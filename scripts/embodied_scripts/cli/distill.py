"""`embodied distill`: a network learns what the planner decides, and what that is worth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodied_scripts.cli.lazy import load


@dataclass
class Distill:
    """Let the planner play, and teach a policy over options what it decides and what that is worth.

    The network acts without thinking (`embodied bench think --network FOLDER`), is where the planner goes on from, and
    an expert for a network that acts on sensors alone (`embodied train --expert FOLDER`). Ctrl-C goes on with the
    episodes that are finished.
    """

    id: Annotated[str, tyro.conf.Positional]
    """An environment with a discrete hidden variable whose sensors have a likelihood."""
    out: Annotated[Path, tyro.conf.Positional]
    """The folder to write to: the network, and what options have led to."""
    episodes: int = 256
    """How many the planner plays."""
    seconds: float = 0.9
    """The planner's time for a decision, at most."""
    updates: int = 3000
    """Of the network, in minibatches of 256 beliefs."""
    seed: int = 30_000
    """Seed of the worlds."""
    options: tuple[str, ...] = ()
    """Options of the environment, as name=value."""

    def run(self) -> None:
        """Plays, with a bar, learns, and writes both."""
        load("training.distillation:distill_planner")(self)
