"""`embodied lint`: what is wrong with logs of a robot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodied_scripts.cli.lazy import load


@dataclass
class Lint:
    """Say what is wrong with logs (CSV, Parquet, LeRobot, MCAP, bags, HDF5, JSON, .mat), and mend what can be."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Files, or folders of datasets."""
    map: str | None = None
    """What the columns are: a TOML file, or the name of a preset (lerobot, aloha, bam); none for logs that say so."""
    fix: Path | None = None
    """Write the log with what can be mended mended (.csv, .parquet, .npz); pieces between holes are numbered."""
    json: Path | None = None
    """Also write the findings, with the rows at which they are."""

    def run(self) -> None:
        """Prints the findings of each file."""
        load("show.lint_report:lint_files")(self)
