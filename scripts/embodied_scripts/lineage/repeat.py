"""A training done again from its record, and compared."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from embodied.errors import LineageError, OptionError
from embodied.lineage.content import sha256_of_artifact
from embodied.lineage.line import Line
from embodied.lineage.record import Activity, Record
from embodied_scripts.cli.lineage import Repeat
from embodied_scripts.cli.train import Train
from embodied_scripts.lineage.artifacts import artifact_at, line_at
from embodied_scripts.records import COMMAND, parents_of
from embodied_scripts.training.run import from_jsonable, train_to_end


def repeat(asked: Repeat) -> None:
    """Trains, and compares; exits with 1 where the result is another."""
    if asked.run_dir.exists() and any(asked.run_dir.iterdir()):
        raise OptionError(f"{asked.run_dir} is there already, and not empty: name another folder")
    path, line = line_at(asked.artifact)
    settings = replace(_settings_of(line.record, path), run_dir=asked.run_dir)
    if asked.threads is not None:
        settings = replace(settings, threads=asked.threads)
    _check_parents(settings, line.record)
    train_to_end(settings)
    again = Line.load(artifact_at(asked.run_dir)).record
    console = Console(soft_wrap=True)
    if again.sha256 == line.record.sha256:
        console.print(f"The same, bit for bit: {again.sha256}", highlight=False)
        return
    found = _differences(line.record.origin.activity, again.origin.activity)
    reasons = "; ".join(found) or "Nothing that is recorded differs"
    console.print(
        f"Another result: {again.sha256[:12]}, not {line.record.sha256[:12]}. {reasons}",
        highlight=False,
    )
    sys.exit(1)


def _settings_of(record: Record, path: Path) -> Train:
    did = record.origin.activity
    told = {name: value for name, value in did.settings.items() if name != COMMAND}
    if COMMAND not in did.settings:
        raise LineageError("unrepeatable", f"{path} was made by {did.kind!r}, which cannot be repeated from its record")
    return from_jsonable(told, f"the record of {path}")


def _check_parents(settings: Train, record: Record) -> None:
    """Refuses to begin with other artifacts than the record names."""
    here = dict(parents_of(settings))
    for parent in record.origin.parents:
        if parent.role not in here:
            raise LineageError("missing", f"it was made from {parent.name} ({parent.role}), which is not here")
        if sha256_of_artifact(here[parent.role]) != parent.digest.sha256:
            raise LineageError("changed", f"{here[parent.role]} is not the {parent.role} that it was made from")


def _differences(before: Activity, now: Activity) -> list[str]:
    found = []
    if before.code and now.code and before.code.sources != now.code.sources:
        found.append(f"the code differs (it was {before.code.revision or before.code.sources[:12]})")
    changed = [
        f"{name} {before.versions.get(name, '–')} → {version}"
        for name, version in now.versions.items()
        if before.versions.get(name) != version
    ]
    found += [f"versions differ: {', '.join(changed)}"] * bool(changed)
    if before.hardware != now.hardware:
        found.append("the machine differs")
    if before.settings.get("threads") != now.settings.get("threads"):
        found.append("the threads differ")
    return found
