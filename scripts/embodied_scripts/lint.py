"""`embodied lint`: what is wrong with logs of a robot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass
class Lint:
    """Say what is wrong with recordings (.npz, .csv, .parquet) before anything is fitted to them."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Recordings, as `embodied.sysid.Recording` reads and writes them."""
    json: Path | None = None
    """Also write the findings, with the rows at which they are."""

    def run(self) -> None:
        """Prints the findings of each file."""
        from rich.console import Console
        from rich.markup import escape

        from embodied.learn.checkpoint import save_json
        from embodied.sysid import Recording, lint

        console, told = Console(soft_wrap=True), {}
        for file in self.files:
            recording = Recording.load(file)
            findings = lint(recording)
            span = recording.time_s[-1] - recording.time_s[0]
            summary = f"{len(recording)} instants, {span:.4g} s, {len(findings) or 'no'} findings"
            console.print(f"[bold]{escape(str(file))}[/]  {summary}", highlight=False)
            for found in findings:
                console.print(
                    f"  [yellow]{found.rule:<11}[/] {escape(f'{found.signal}: {found.message}')}", highlight=False
                )
            told[str(file)] = [vars(found) | {"rows": found.rows.tolist()} for found in findings]
        if self.json is not None:
            save_json(self.json, told)
