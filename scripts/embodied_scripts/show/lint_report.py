"""The findings of the recording lint, as a table, and the log without them."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from embodied.errors import OptionError
from embodied.nn.checkpoint import save_json
from embodied.sysid import Finding, Recording, clean, lint
from embodied_scripts.cli.lint import Lint


def lint_files(asked: Lint) -> None:
    """Prints the findings of each recording, and writes what was mended."""
    console, report = Console(soft_wrap=True), {}
    several = [(_title(file, one), one) for file in asked.files for one in Recording.load_all(file, asked.map)]
    if asked.fix is not None and len(several) > 1:
        raise OptionError(f"--fix writes one log, not {len(several)}: name one recording")
    for title, recording in several:
        findings = lint(recording)
        _print(console, title, recording, findings)
        report[title] = [vars(found) | {"rows": found.rows.tolist()} for found in findings]
        if asked.fix is not None:
            _write(console, asked.fix, recording, findings)
    if asked.json is not None:
        save_json(asked.json, report)


def _title(file: Path, recording: Recording) -> str:
    label = recording.metadata.get("label")
    return f"{file} ({label})" if label else str(file)


def _print(console: Console, title: str, recording: Recording, findings: list[Finding]) -> None:
    span = recording.time_s[-1] - recording.time_s[0]
    summary = f"{len(recording)} instants, {span:.4g} s, {len(findings) or 'no'} findings"
    console.print(f"[bold]{escape(title)}[/]  {summary}", highlight=False)
    for found in findings:
        console.print(f"  [yellow]{found.rule:<11}[/] {escape(f'{found.signal}: {found.message}')}", highlight=False)


def _write(console: Console, path: Path, recording: Recording, findings: list[Finding]) -> None:
    pieces, done = clean(recording, findings)
    for line in done:
        console.print(f"  [green]mended[/]      {escape(line)}", highlight=False)
    if not pieces:
        raise OptionError("nothing is left of the log to write")
    for number, piece in enumerate(pieces, 1):
        target = path if len(pieces) == 1 else path.with_stem(f"{path.stem}-{number}")
        piece.save(target)
        console.print(f"Wrote {target}: {len(piece)} instants", highlight=False)
