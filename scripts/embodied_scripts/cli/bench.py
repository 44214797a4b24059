"""`embodied bench`: how fast, in ratios measured within one run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from embodied_scripts.cli.lazy import load

Measured = Literal[
    "env",
    "sensors",
    "learn",
    "cheetah",
    "depth",
    "device",
    "camera",
    "inference",
    "mind",
    "imagine",
    "think",
    "beliefs",
    "league",
    "randomize",
    "sim2real",
    "view",
]


@dataclass
class Bench:
    """Measure speed.

    `env`: stepping with random actions. `learn`: environment steps per second with learning, on Signpost;
    `cheetah`: on HalfCheetah-v5; `depth`: by layers and context; `device`: on CPU and GPU. `sensors`: what the
    imperfections of the sensors cost. `camera`: pictures of 64 × 64 pixels. `inference`: one robot's decisions.
    `mind`: particles of the planner, its play of problems of the literature, and whether the particle filter of
    LightDark is calibrated. `imagine`: what options of Signpost lead to, played in MuJoCo, beside bare physics.
    `think`: what the planner's decisions take in each task, and what it costs to think less (hours).
    `beliefs`: whether the truth lies in 50, 90 and 99 % regions as often, in every task and problem.
    `league`: eight opponents beside one, and how near to the known equilibria of two small games self-play comes.
    `randomize`: 256 worlds of which 20 things differ, drawn anew at every reset, beside as many that are all alike.
    `sim2real`: how often truth lies in the stated intervals, whether proposed recordings tell more than random
    ones, and, where recordings of a real servo bench lie in $EMBODIED_REALDATA, its fits. `view`: training that is
    watched live beside training that is not, and the memory of ten minutes of watching one world at 50 Hz.
    """

    what: Annotated[Measured, tyro.conf.Positional]
    """What to measure."""
    rounds: int = 5
    """Rounds; the contestants take turns, and medians are reported."""
    json: Path | None = None
    """Also write the figures to this file."""
    all: bool = False
    """With `env`: every environment of the suite, beside bare physics and Gymnasium's SyncVectorEnv."""
    episodes: int = 100
    """With `mind` (0 for none), `think` and `beliefs`: how many episodes are played."""
    task: str | None = None
    """With `think`: only this environment."""
    network: Path | None = None
    """With `think` and `--task`: beside a network that was taught by the planner, and the planner that goes on from
    it (`embodied distill`)."""
    seconds: float = 0.04
    """With `mind`: time for a decision."""
    offline: float = 0.0
    """With `mind`: time for thinking ahead, once for each problem; without, every episode has a fresh planner."""
    pouct: bool = False
    """With `mind`: beside POUCT of pomdp-py, which is given a second for a decision."""
    small: bool = False
    """Few worlds and steps, to see whether it runs; the ratios mean nothing then."""

    def run(self) -> None:
        """Prints the figures and their ratios."""
        load("bench.speed:bench")(self)
