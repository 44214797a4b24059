"""Records that are written afterwards, and lines in the formats of others."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

from rich.console import Console

from embodied.errors import LineageError, OptionError
from embodied.files import one_line
from embodied.lineage.content import SIGNATURE, records_of
from embodied.lineage.export import cyclonedx, prov_json
from embodied.lineage.line import Line, lines_of
from embodied.lineage.record import Activity, Record
from embodied.lineage.signing import moment
from embodied.origin import Code, agent
from embodied_scripts.cli.lineage import ExportLine, RecordOf
from embodied_scripts.ids import parse_options
from embodied_scripts.lineage.artifacts import artifact_at, line_at
from embodied_scripts.records import environment_of

UNKNOWN_SOURCES = "0" * 64  # which code it was, beyond its revision, was not written down


def record_afterwards(asked: RecordOf) -> None:
    """Writes the record of what was made before, or elsewhere.

    Raises:
        OptionError: there is a record already.
    """
    path = artifact_at(asked.artifact)
    if records_of(path).is_file():
        raise OptionError(f"{records_of(path)} is there already: records are not rewritten")
    if path.is_dir() and (path / SIGNATURE).is_file():
        raise OptionError(f"{path} is signed: what is written into it now would break the signature")
    if asked.when is not None:
        moment(asked.when)
    parents, lines, remarks = lines_of([role_and_path(text) for text in asked.made_from])
    environment = environment_of(path)
    code = None if asked.revision is None else Code(asked.revision, False, UNKNOWN_SOURCES)
    did = Activity(
        asked.activity,
        None,
        asked.when or _written(path),
        asked.agent or agent(),
        parse_options(asked.settings),
        environment,
        asked.seeds,
        code,
    )
    note = "; ".join(filter(None, ["recorded afterwards", asked.note, *remarks]))
    Line.begun_by(Record.of(path, did, parents, note), lines).save(path)
    Console(soft_wrap=True).print(f"Wrote {records_of(path)}", markup=False, highlight=False)


def export_line(asked: ExportLine) -> None:
    """Writes the line of an artifact as PROV-JSON or as a bill of materials."""
    _, line = line_at(asked.artifact)
    text = prov_json(line) if asked.form == "prov" else json.dumps(cyclonedx(line), indent=1)
    try:
        asked.out.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise LineageError("unwritable", f"{asked.out} cannot be written: {one_line(error)}") from None
    Console(soft_wrap=True).print(f"Wrote {asked.out}", markup=False, highlight=False)


def role_and_path(text: str) -> tuple[str, Path]:
    """What ROLE=PATH says.

    Raises:
        OptionError: it says something else.
    """
    role, equals, path = text.partition("=")
    if not (role and equals and path):
        raise OptionError(f"{text!r} is not what it was made from: write ROLE=PATH")
    return role, artifact_at(Path(path))


def _written(path: Path) -> str:
    newest = max(one.stat().st_mtime for one in (path.rglob("*") if path.is_dir() else [path]))
    return dt.datetime.fromtimestamp(newest, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
