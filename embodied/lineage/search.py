"""Records in folders: what was made from something, however many steps later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from embodied.errors import LineageError
from embodied.lineage.content import RECORDS
from embodied.lineage.line import Line
from embodied.lineage.record import Record


@dataclass(frozen=True)
class Found:
    """An artifact with records: where it is, its line, and through what something came into it, nearest first."""

    path: Path
    line: Line
    through: tuple[str, ...] = ()


def recorded(roots: Sequence[Path]) -> Iterator[Path]:
    """Artifacts in these folders, at any depth, that have records."""
    for root in roots:
        for file in sorted(root.rglob(f"*{RECORDS}")):
            yield file.parent if file.name == RECORDS else file.with_name(file.name.removesuffix(f".{RECORDS}"))


def made_from(sha256: str, roots: Sequence[Path]) -> tuple[list[Found], list[LineageError]]:
    """What was made from some content, or is it, among the artifacts in these folders.

    Args:
        sha256: of the content (`sha256_of_artifact`).

    Returns:
        What was found, and of which records it cannot be said because they are damaged.
    """
    found, unreadable = list[Found](), list[LineageError]()
    for path in recorded(roots):
        try:
            line = Line.load(path)
        except LineageError as error:
            unreadable.append(error)
            continue
        if line.record.sha256 == sha256:
            found.append(Found(path, line))
        elif (through := way_to(line, sha256)) is not None:
            found.append(Found(path, line, through))
    return found, unreadable


def way_to(line: Line, sha256: str) -> tuple[str, ...] | None:
    """The names that lead from an artifact to what it was made from; None if it was not."""
    waiting: list[tuple[tuple[str, ...], Record]] = [((), line.record)]
    while waiting:
        way, record = waiting.pop(0)
        for parent, its_record in line.parents_of(record):
            longer = (*way, parent.name)
            if parent.digest.sha256 == sha256:
                return longer
            if its_record is not None:
                waiting.append((longer, its_record))
    return None
