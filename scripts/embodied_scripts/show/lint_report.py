"""The findings of the recording lint, as a table."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from embodied.nn.checkpoint import save_json
from embodied.sysid import Recording, lint
from embodied_scripts.cli.lint import Lint


def lint_files(asked: Lint) -> None:
    """Prints the findings of each file."""
    console, report = Console(soft_wrap=True), {}
    for file in asked.files:
        recording = Recording.load(file)
        findings = lint(recording)
        span = recording.time_s[-1] - recording.time_s[0]
        summary = f"{len(recording)} instants, {span:.4g} s, {len(findings) or 'no'} findings"
        console.print(f"[bold]{escape(str(file))}[/]  {summary}", highlight=False)
        for found in findings:
            console.print(
                f"  [yellow]{found.rule:<11}[/] {escape(f'{found.signal}: {found.message}')}", highlight=False
            )
        report[str(file)] = [vars(found) | {"rows": found.rows.tolist()} for found in findings]
    if asked.json is not None:
        save_json(asked.json, report)
