"""A line as a tree, two of them compared, and what was made from something."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from embodied.files import is_path
from embodied.lineage.content import name_of, sha256_of_artifact
from embodied.lineage.line import Line
from embodied.lineage.record import Activity, Record
from embodied.lineage.search import made_from
from embodied_scripts.cli.lineage import Affected, Diff, Show
from embodied_scripts.lineage.artifacts import artifact_at, line_at, printable

SHORT = 12  # letters of a hash that are shown
USUAL = {"command", "id", "seed", "options"}


def show(asked: Show) -> None:
    """Prints the line as a tree."""
    path, line = line_at(asked.artifact)
    tree = Tree(f"[bold]{safe(name_of(path))}[/]  {_digest(line.record.sha256)}")
    _grow(tree, line, line.record, set())
    for one in line.measurements:
        values = ", ".join(
            f"{name} {value:.4g}" + (f" ± {error:.2g}" if (error := one.result.errors.get(name)) else "")
            for name, value in one.result.values.items()
        )
        tree.add(f"[green]measured[/] {safe(values)}  [dim]{_short(one.result.activity)}[/]")
    Console().print(tree, highlight=False)


def compare(asked: Diff) -> None:
    """Prints in what two origins differ."""
    (one, first), (other, second) = line_at(asked.first), line_at(asked.second)
    table = Table("", safe(name_of(one)), safe(name_of(other)), box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    a, b = (dict(_facts(line)) for line in (first, second))
    differing = [name for name in {**a, **b} if a.get(name) != b.get(name)]
    for name in differing:
        table.add_row(*(safe(text) for text in (name, a.get(name, "–"), b.get(name, "–"))))
    if not differing:
        Console().print("Their origins do not differ, nor do they.", highlight=False)
        return
    Console().print(table, highlight=False)


def affected(asked: Affected) -> None:
    """Lists what was made from something; exits with 1 if anything was."""
    known = re.fullmatch("[0-9a-f]{64}", asked.artifact)
    sha256 = asked.artifact if known else sha256_of_artifact(artifact_at(Path(asked.artifact)))
    found, unclear = made_from(sha256, asked.folders)
    console = Console(soft_wrap=True)
    for reason in unclear:
        console.print(f"[yellow]cannot say:[/] {safe(reason)}", highlight=False)
    for one in found:
        way = " ← ".join(one.through) if one.through else "it is this itself, or a copy of it"
        console.print(f"{safe(str(one.path))}  [dim]{safe(way)}[/]", highlight=False)
    console.print(f"{len(found)} found that were made from {_digest(sha256)}", highlight=False)
    if found or unclear:
        sys.exit(1)


def safe(text: str) -> str:
    """Text of a record as it is printed: neither markup nor what a terminal would obey."""
    return escape(printable(text))


def _grow(tree: Tree, line: Line, record: Record, shown: set[str]) -> None:
    shown.add(record.id)
    did = record.origin.activity
    tree.add(f"[cyan]{safe(did.kind)}[/] {_short(did)}")
    if told := _settings(did):
        tree.add(f"[dim]{safe(told)}[/]")
    if record.origin.note:
        tree.add(f"[dim]{safe(record.origin.note)}[/]")
    for parent, its_record in line.parents_of(record):
        branch = tree.add(f"{safe(parent.role)}: [bold]{safe(parent.name)}[/]  {_digest(parent.digest.sha256)}")
        if its_record is None:
            branch.add("[dim]nothing is recorded of its origin: the line begins here[/]")
        elif its_record.id in shown:
            branch.add("[dim]as above[/]")
        else:
            _grow(branch, line, its_record, shown)


def _short(did: Activity) -> str:
    """Who, when, with which code and seeds, in a line."""
    when = (did.finished or did.started or "at a time not recorded").replace("T", " ").removesuffix("Z")
    parts = [f"by {did.agent}", when]
    if did.seeds:
        parts.append(f"seed {', '.join(map(str, did.seeds))}")
    if did.code is not None:
        changed = " with changes" if did.code.dirty else ""
        revision = did.code.revision[:SHORT] + changed if did.code.revision else f"sources {did.code.sources[:SHORT]}"
        parts.append(f"code {revision}")
    return safe(", ".join(parts))


def _settings(did: Activity) -> str:
    """Environment and settings of the activity that are of use to a reader."""
    options = did.environment.get("options") or {}
    where = " ".join([str(did.environment.get("id", "")), *(f"{k}={v}" for k, v in dict(options).items())]).strip()
    told = {k: v for k, v in did.settings.items() if k not in USUAL and isinstance(v, int | float | str)}
    plain = {k: v for k, v in told.items() if not isinstance(v, bool) and not is_path(str(v))}
    return "; ".join(filter(None, [where, ", ".join(f"{k} {v}" for k, v in plain.items())]))


def _facts(line: Line) -> Iterator[tuple[str, str]]:
    """Everything that is recorded of an artifact, by name."""
    record, did = line.record, line.record.origin.activity
    yield "content", record.sha256[:SHORT]
    yield "activity", did.kind
    yield "seeds", ", ".join(map(str, did.seeds))
    yield "agent", did.agent
    if did.code is not None:
        yield "code: revision", f"{(did.code.revision or '–')[:SHORT]}{' with changes' if did.code.dirty else ''}"
        yield "code: sources", did.code.sources[:SHORT]
    for title, told in (("setting", did.settings), ("environment", did.environment), ("version", did.versions)):
        for name, value in _flat(told):
            yield f"{title}: {name}", str(value)
    if did.hardware is not None:
        yield "machine", f"{did.hardware.processor}, {did.hardware.cores} cores, {did.hardware.system}"
    for parent in record.origin.parents:
        yield f"made from: {parent.role}", f"{parent.name} {parent.digest.sha256[:SHORT]}"
    for one in line.measurements:
        for name, value in one.result.values.items():
            yield f"measured: {name}", f"{value:.4g}"


def _flat(told: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in told.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, value


def _digest(sha256: str) -> str:
    return f"[dim]{sha256[:SHORT]}[/]"
