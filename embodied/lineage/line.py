"""The line of an artifact: its own record, and those of all that it was made from; kept beside it in one file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from embodied.errors import LineageError
from embodied.files import one_line
from embodied.lineage.content import Damaged, name_of, records_of, sha256_of_artifact
from embodied.lineage.measurement import Measurement, Result
from embodied.lineage.record import MEASUREMENT, Activity, Parent, Record, parent_without_record

LARGEST = 64 << 20  # bytes of a file of records


@dataclass(frozen=True)
class Line:
    """A record and its ancestors' records, by the digest of the record.

    Attributes:
        record: of the artifact itself; ancestors: of what it was made from, near or far, by `Record.id`.
        measurements: of the artifact itself.
    """

    record: Record
    ancestors: dict[str, Record]
    measurements: tuple[Measurement, ...] = ()

    @classmethod
    def load(cls, path: Path) -> Line:
        """The line of an artifact, from the file of records that belongs to it.

        Raises:
            LineageError: there is none, or it is damaged.
        """
        file = records_of(path)
        statements = _read(file)
        if not statements:
            raise LineageError("unrecorded", f"{file} is empty")
        own = Record.from_jsonable(statements[0], str(file))
        measured = [s for s in statements[1:] if s.get("predicateType") == MEASUREMENT]
        others = [Record.from_jsonable(s, str(file)) for s in statements[1:] if s.get("predicateType") != MEASUREMENT]
        measurements = tuple(Measurement.from_jsonable(one, str(file)) for one in measured)
        return cls(own, {record.id: record for record in others}, measurements)

    @classmethod
    def begun_by(cls, record: Record, parents: Iterable[Line]) -> Line:
        """The line of something new that was made from others."""
        ancestors: dict[str, Record] = {}
        for parent in parents:
            ancestors |= {parent.record.id: parent.record} | parent.ancestors
        return cls(record, ancestors)

    def measured(
        self, path: Path, activity: Activity, values: dict[str, float], errors: dict[str, float] | None = None
    ) -> Line:
        """The line with one more measurement of the artifact, in place of what was measured with the same settings."""
        new = Measurement.of(path, Result(activity, values, errors or {}))
        told = (activity.kind, activity.settings, activity.environment, activity.seeds)
        others = [
            one
            for one in self.measurements
            if (one.result.activity.kind, one.result.activity.settings, one.result.activity.environment,
                one.result.activity.seeds) != told
        ]  # fmt: skip
        return replace(self, measurements=(*others, new))

    def save(self, path: Path) -> None:
        """Writes the file of records that belongs to an artifact, in one move.

        Raises:
            LineageError: it cannot be written.
        """
        file = records_of(path)
        statements: list[Record | Measurement] = [self.record, *self.measurements, *self.ancestors.values()]
        text = "".join(json.dumps(one.jsonable(), sort_keys=True) + "\n" for one in statements)
        part = file.with_name(f"{file.name}.{os.getpid()}.part")
        try:
            part.write_text(text, encoding="utf-8")
            part.replace(file)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise LineageError("unwritable", f"{file} cannot be written: {error.strerror or error}") from None

    @property
    def records(self) -> Iterator[Record]:
        """Its own record, then those of its ancestors."""
        yield self.record
        yield from self.ancestors.values()

    def parents_of(self, record: Record) -> Iterator[tuple[Parent, Record | None]]:
        """What something was made from, each with its record if there is one."""
        for parent in record.origin.parents:
            yield parent, self.ancestors.get(parent.record or "")

    @property
    def sources(self) -> list[Parent]:
        """What the line begins with: artifacts without a record of their own, such as raw logs."""
        found = {p.digest.sha256: p for record in self.records for p in record.origin.parents if p.record is None}
        return [*found.values()]

    def check(self, path: Path) -> None:
        """Checks that the record is that of the artifact, and that none is missing between it and its sources.

        Raises:
            LineageError: what is there is not what the record speaks of ("changed"), a record is missing ("removed"),
                or a record names another artifact than its parent's own record does ("swapped").
        """
        if (found := sha256_of_artifact(path)) != self.record.sha256:
            raise LineageError(
                "changed",
                f"{path} is not what its record speaks of: its content has SHA-256 {found[:12]}…, the record says "
                f"{self.record.sha256[:12]}…",
            )
        if any(one.sha256 != found for one in self.measurements):
            raise LineageError("changed", f"a measurement beside {path} is of something else")
        for record in self.records:
            for parent in record.origin.parents:
                self._check_parent(record, parent)
        self._check_connected()

    def _check_parent(self, record: Record, parent: Parent) -> None:
        if parent.record is None:
            return
        if parent.record not in self.ancestors:
            raise LineageError(
                "removed",
                f"the record of {parent.name} ({parent.role} of {record.name}) is missing, or is not the one that "
                f"{record.name} was made with",
            )
        if (told := self.ancestors[parent.record]).sha256 != parent.digest.sha256:
            raise LineageError(
                "swapped",
                f"{record.name} names a {parent.role} that is not {told.name}, whose record it points to",
            )

    def _check_connected(self) -> None:
        reached, waiting = set[str](), [self.record]
        while waiting:
            named = {parent.record for parent in waiting.pop().origin.parents if parent.record} - reached
            reached |= named
            waiting += [self.ancestors[name] for name in named]
        if strange := self.ancestors.keys() - reached:
            name = self.ancestors[min(strange)].name
            raise LineageError("swapped", f"the record of {name} is there, and nothing in this line was made from it")


def lines_of(paths: Sequence[tuple[str, Path]]) -> tuple[list[Parent], list[Line], list[str]]:
    """What a record says of what something is made from, the lines of those that have one, and remarks.

    What is not what its record speaks of, because it was edited by hand, for example, counts as having none.

    Args:
        paths: roles and artifacts.

    Raises:
        LineageError: one cannot be read.
    """
    parents, lines, remarks = list[Parent](), list[Line](), list[str]()
    for role, path in paths:
        try:
            line = Line.load(path)
            line.check(path)
        except LineageError as error:
            parents.append(parent_without_record(path, role))
            if error.reason != "unrecorded":
                remarks.append(f"the record beside the {role} {name_of(path)} does not hold ({error.reason})")
            continue
        parents.append(line.record.as_parent(role))
        lines.append(line)
    return parents, lines, remarks


def _read(file: Path) -> list[dict[str, Any]]:
    try:
        if file.stat().st_size > LARGEST:
            raise Damaged(f"{file} is larger than {LARGEST} bytes")
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line.strip()]
    except FileNotFoundError:
        raise LineageError("unrecorded", f"nothing is recorded of its origin: there is no {file}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise Damaged(f"{file} is damaged: {one_line(error)}") from None
    if not all(isinstance(one, dict) for one in lines):
        raise Damaged(f"{file} is damaged: a line of it holds no statement")
    return lines
