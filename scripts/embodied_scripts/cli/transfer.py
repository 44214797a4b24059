"""`embodied transfer`: the whole way from a robot to a policy for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from embodied_scripts.cli.lazy import load
from embodied_scripts.cli.port import OnPort


@dataclass(kw_only=True)
class TransferTo(OnPort):
    """Fit a policy to the robot on a port: record it in gentle motions, measure it, identify its servos, train on under
    what was found, run the result on it, and write a report with pictures. The arm must be free to move by 20 degrees
    around an upright posture.

    Everything that is finished is kept in the folder, so what was interrupted goes on.
    """

    target: Annotated[str, tyro.conf.Positional]
    """The policy that goes on learning: a run, or an environment with one (Heft-v0)."""
    run_dir: Annotated[Path | None, tyro.conf.arg(name="run")] = None
    """Folder of everything (default: runs/transfer-TARGET)."""
    seconds: float = 20.0
    """Of each of three motions; two are fitted, the third judges."""
    steps: int = 150_000
    """Of the training that goes on."""
    widen: float = 2.0
    """Factor on the standard errors of what was found: a fit trusts its model too much."""
    deploy_s: float = 30.0
    """For how long the policy runs on the robot in the end; 0 for not at all."""
    safe: Literal["hold", "relax", "park"] = "hold"
    """How the robot is left then."""
    force: bool = False
    """Run the policy although the robot is not what it was promised."""
    seed: int = 0
    """Of motions and training."""
    n_envs: int = 128
    """Worlds that it learns in at once."""
    threads: int = 0
    """Of the training (0: one per core)."""

    def run(self) -> None:
        """Does what is missing, and writes the report; exits with 1 after an emergency."""
        load("deploying.transfer:transfer")(self)
