"""`embodied lint`: what is wrong with logs of a robot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from embodied_scripts.cli.lazy import load


@dataclass
class Lint:
    """Say what is wrong with recordings (.npz, .csv, .parquet) before anything is fitted to them."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Recordings, as `embodied.sysid.Recording` reads and writes them."""
    json: Path | None = None
    """Also write the findings, with the rows at which they are."""

    def run(self) -> None:
        """Prints the findings of each file."""
        load("show.lint_report:lint_files")(self)
