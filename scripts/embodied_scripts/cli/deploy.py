"""`embodied deploy` and `embodied probe`: a policy on a robot, and a robot measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from embodied_scripts.cli.lazy import load
from embodied_scripts.cli.port import OnPort


@dataclass(kw_only=True)
class Probe(OnPort):
    """Measure a robot on a port: round trips, losses, noise, and the latency of its commands, by small steps of one
    joint. The arm must be free to move by 5 degrees; afterwards it is relaxed."""

    policy: str | None = None
    """A run, an exported policy, or an environment with one, whose promises are set beside it."""
    steps: int = 12
    """Steps of the joint."""
    json: Path | None = None
    """Also write it there."""

    def run(self) -> None:
        """Measures and prints."""
        load("deploying.deploy:measure")(self)


@dataclass(kw_only=True)
class Deploy(OnPort):
    """Run a policy on a robot, at the rate that it was trained with, supervised. The robot is measured first, and
    refused where it is not what the policy was promised. Any key, Ctrl-C, a lost bus or a late policy ends in the safe
    state."""

    target: Annotated[str, tyro.conf.Positional]
    """A run, an exported policy (.onnx), or an environment for which one comes with the package."""
    seconds: float = 30.0
    """For how long."""
    safe: Literal["hold", "relax", "park"] = "hold"
    """How the robot is left: where it is, without torque, or in the posture from which the policy begins."""
    workspace: tuple[float, float, float, float, float, float] | None = None
    """A box that the policy cannot move the hand out of, in the frame of the base: least x y z, greatest x y z [m]."""
    dry_run: bool = False
    """Read and decide, and write nothing."""
    trust: Path | None = None
    """Go on only if the policy is signed by whom this file trusts (docs/lineage.md)."""
    signed_as: str | None = None
    """With --trust: the name that it must be released under (default: any that the file allows)."""
    probe: bool = True
    """Measure the robot first."""
    force: bool = False
    """Go on although the robot is not what the policy was promised."""
    log: Path | None = None
    """Folder for every decision (loop.csv, a recording) and a summary."""
    view: str | None = None
    """Watch it in Rerun beside what the policy believes: live (a window), web (a browser page), or a file that ends in
    .rrd."""
    dataset: Path | None = None
    """With --log: also add the run to a LeRobot dataset in this folder."""

    def run(self) -> None:
        """Runs it; exits with 1 after an emergency."""
        load("deploying.deploy:deploy")(self)
