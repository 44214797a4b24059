"""A training done again from its record, and compared."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from embodied.errors import LineageError, OptionError
from embodied.files import is_path
from embodied.lineage.content import POLICY, sha256_of_artifact
from embodied.lineage.line import Line
from embodied.lineage.record import Activity, Record
from embodied_scripts.cli.lineage import Repeat
from embodied_scripts.cli.train import Train
from embodied_scripts.lineage.artifacts import artifact_at, line_at
from embodied_scripts.lineage.recording import role_and_path
from embodied_scripts.records import COMMAND, DEMONSTRATIONS, EXPERT, HEURISTIC, RANDOMIZATION, START
from embodied_scripts.resuming import OF_THIS_CALL
from embodied_scripts.training.run import from_jsonable, train_to_end

# role of what it was made from -> the option of `embodied train` that names it
SETTINGS = {
    START: "start_from",
    EXPERT: "expert",
    DEMONSTRATIONS: "demonstrations",
    RANDOMIZATION: "randomize",
}


def repeat(asked: Repeat) -> None:
    """Trains, and compares; exits with 1 where the result is another."""
    if asked.run_dir.exists() and any(asked.run_dir.iterdir()):
        raise OptionError(f"{asked.run_dir} is there already, and not empty: name another folder")
    path, line = line_at(asked.artifact)
    used = dict(map(role_and_path, asked.made_from))
    settings = replace(_settings_of(line.record, path, used), run_dir=asked.run_dir)
    if asked.threads is not None:
        settings = replace(settings, threads=asked.threads)
    train_to_end(settings)
    again = Line.load(artifact_at(asked.run_dir)).record
    console = Console(soft_wrap=True)
    if again.sha256 == line.record.sha256:
        console.print(f"The same, bit for bit: {again.sha256}", highlight=False)
        return
    found = _differences(line.record.origin.activity, again.origin.activity)
    found += [line.record.origin.note] * bool(line.record.origin.note)
    reasons = "; ".join(found) or "Nothing that is recorded differs"
    console.print(
        f"Another result: {again.sha256[:12]}, not {line.record.sha256[:12]}. {reasons}",
        highlight=False,
    )
    sys.exit(1)


def _settings_of(record: Record, path: Path, used: dict[str, Path]) -> Train:
    """What it was trained with, on the artifacts that are named now; no path of the record is followed.

    Raises:
        LineageError: it was not trained, or something that it was made from is not named, or is another one.
    """
    did = record.origin.activity
    if COMMAND not in did.settings:
        raise LineageError("unrepeatable", f"{path} was made by {did.kind!r}, which cannot be repeated from its record")
    told = {name: value for name, value in did.settings.items() if name not in {COMMAND, *OF_THIS_CALL} - {"device"}}
    for parent in record.origin.parents:
        if parent.role not in used:
            advice = f'--made-from "{parent.role}=PATH"'
            raise LineageError(
                "missing", f"it was made from {parent.name} ({parent.role}): say where that is, {advice}"
            )
        if sha256_of_artifact(used[parent.role]) != parent.digest.sha256:
            raise LineageError("changed", f"{used[parent.role]} is not the {parent.role} that it was made from")
    for role, setting in SETTINGS.items():
        told[setting] = str(_given(used[role], role)) if role in used else None
    if EXPERT not in used and did.settings.get("expert") == HEURISTIC:
        told["expert"] = HEURISTIC
    settings = from_jsonable(told, f"the record of {path}")
    if paths := [option for option in settings.options if is_path(option)]:
        raise OptionError(f"it was trained with {paths[0]}, a path: options that are paths cannot be repeated")
    return settings


def _given(path: Path, role: str) -> Path:
    """How `embodied train` wants it named: an expert by the folder of its run."""
    absolute = path.absolute()
    return absolute.parent if role == EXPERT and absolute.name == POLICY else absolute


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
    for name in ("threads", "device"):
        if before.settings.get(name) != now.settings.get(name):
            found.append(f"the {name} differ: {before.settings.get(name)} → {now.settings.get(name)}")
    return found
