"""`embodied merge`: policies that were trained apart, made into one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodied_scripts.cli.lazy import load


@dataclass
class Merge:
    """Make policies that were trained apart into one in every way that they allow, and say what each is worth: averages
    of weights, with and without alignment of their units; with --base task vectors and TIES; the ensemble; with
    --distill a student of the ensemble. Each is a run of its own, with its lineage."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of two runs or more, of one architecture; or of a study (a folder of runs)."""
    out: Path
    """Folder for the merged policies."""
    base: Path | None = None
    """The run that all of them began with."""
    shares: tuple[float, ...] = ()
    """How much each counts (default: equally)."""
    scale: float | None = None
    """How much of the differences is added to the base (default: their mean)."""
    distill: int = 0
    """Steps for which a new network imitates the ensemble."""
    episodes: int = 256
    """Episodes per policy and environment."""
    seed: int = 10_000
    """Seed of the evaluation worlds; the same for everyone."""
    threads: int = 0
    """Threads of physics and network while distilling (0: one per core)."""

    def run(self) -> None:
        """Merges, evaluates, and prints the table."""
        load("training.merging:merge_runs")(self)
