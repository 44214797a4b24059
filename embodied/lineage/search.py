"""Records in folders: what was made from something, however many steps later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from embodied.errors import LineageError
from embodied.lineage.content import RECORDS, files_below
from embodied.lineage.line import Line
from embodied.lineage.record import Record


@dataclass(frozen=True)
class Found:
    """An artifact with records: where it is, its line, and through what something came into it, nearest first."""

    path: Path
    line: Line
    through: tuple[str, ...] = ()


def recorded(root: Path) -> Iterator[Path]:
    """Artifacts in a folder, at any depth and behind links, that have records.

    Raises:
        LineageError: there is no such folder, or a part of it cannot be read.
    """
    if not root.is_dir():
        raise LineageError("missing", f"{root} is no folder")
    for file in sorted(files_below(root)):
        if file.name == RECORDS:
            yield file.parent
        elif file.name.endswith(f".{RECORDS}"):
            yield file.with_name(file.name.removesuffix(f".{RECORDS}"))


def made_from(sha256: str, roots: Sequence[Path]) -> tuple[list[Found], list[str]]:
    """What was made from some content, or is it, among the artifacts in these folders.

    Args:
        sha256: of the content (`sha256_of_artifact`).

    Returns:
        What was found, and of which artifacts it cannot be said, and why.

    Raises:
        LineageError: a folder does not exist, or a part of it cannot be read.
    """
    found, unclear = list[Found](), list[str]()
    for path in (path for root in roots for path in recorded(root)):
        try:
            line = Line.load(path)
        except LineageError as error:
            unclear.append(str(error))
            continue
        if line.record.sha256 == sha256:
            found.append(Found(path, line))
        elif (through := way_to(line, sha256)) is not None:
            found.append(Found(path, line, through))
        elif missing := [p.name for r in line.records for p, its in line.parents_of(r) if p.record and its is None]:
            unclear.append(f"{path}: the record of {missing[0]} is missing")
    return found, unclear


def way_to(line: Line, sha256: str) -> tuple[str, ...] | None:
    """The names that lead from an artifact to what it was made from; None if it was not."""
    waiting: list[tuple[tuple[str, ...], Record]] = [((), line.record)]
    seen = {line.record.id}
    while waiting:
        way, record = waiting.pop(0)
        for parent, its_record in line.parents_of(record):
            longer = (*way, parent.name)
            if parent.digest.sha256 == sha256:
                return longer
            if its_record is not None and parent.record and parent.record not in seen:
                seen.add(parent.record)
                waiting.append((longer, its_record))
    return None
