"""What is about to be made: where it comes from is written down before, and the record when it is there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from embodied.errors import LineageError
from embodied.lineage.content import SIGNATURE, records_of
from embodied.lineage.line import Line, lines_of
from embodied.lineage.record import Activity, Parent, Record, activity_now
from embodied.origin import now


@dataclass(frozen=True)
class Making:
    """An activity that has begun, and what it uses.

    making = Making.begin("train", [("demonstrations", Path("shown"))], seeds=(0,))
    ...                                       # train, and write the policy
    making.finish(Path("runs/mine/policy"))   # beside it: lineage.intoto.jsonl
    """

    activity: Activity
    parents: tuple[Parent, ...] = ()
    lines: tuple[Line, ...] = ()
    note: str = ""

    @classmethod
    def begin(
        cls,
        kind: str,
        made_from: Sequence[tuple[str, Path]] = (),
        settings: Mapping[str, Any] | None = None,
        environment: Mapping[str, Any] | None = None,
        seeds: Sequence[int] = (),
        started: str | None = None,
        note: str = "",
    ) -> Making:
        """Notes person, time, code and machine, and reads what is going to be used.

        Args:
            kind: such as "train", "collect" or "identify".
            made_from: roles and artifacts.
            settings, environment, seeds, started: see `Activity`; note: what else there is to be said.

        Raises:
            LineageError: something that is used cannot be read, or is not what its record speaks of.
        """
        parents, lines = lines_of(made_from)
        told = {"settings": _plain(settings), "environment": _plain(environment), "seeds": tuple(seeds)}
        return cls(activity_now(kind, started, **told), tuple(parents), tuple(lines), note)

    @classmethod
    def resume(cls, line: Line) -> Making:
        """An activity that goes on, perhaps with other code, from a checkpoint with that line."""
        did, origin = line.record.origin.activity, line.record.origin
        told = {"settings": did.settings, "environment": did.environment, "seeds": did.seeds}
        here = activity_now(did.kind, did.started, **told)
        other = did.code is not None and here.code is not None and did.code.sources != here.code.sources
        also = f"up to a checkpoint made by the code {did.code.sources}" if other and did.code else ""
        note = "; ".join(filter(None, [origin.note, also]))
        lines = tuple(Line(record, line.ancestors) for _, record in line.parents_of(line.record) if record is not None)
        return cls(here, origin.parents, lines, note)

    def finish(self, path: Path) -> Line:
        """Writes the record of what was made, and those of all that it was made from, beside it.

        Raises:
            LineageError: it cannot be read, or they cannot be written.
        """
        record = Record.of(path, msgspec.structs.replace(self.activity, finished=now()), self.parents, self.note)
        line = Line.begun_by(record, self.lines)
        line.save(path)
        return line


def note_measurement(
    path: Path, kind: str, values: Mapping[str, float], errors: Mapping[str, float], **told: Any
) -> bool:
    """Writes down beside an artifact what was measured of it, in place of what was measured with the same settings.

    Args:
        kind, told: of the activity (see `Making.begin`).

    Returns:
        Whether it did: nothing is written where its origin is not recorded, or is of something else, nor where it was
        signed.

    Raises:
        LineageError: the records are damaged, or cannot be written.
    """
    if not records_of(path).is_file() or (path / SIGNATURE).exists():
        return False
    line = Line.load(path)
    try:
        line.check(path)
    except LineageError:
        return False
    activity = Making.begin(kind, **told).activity
    line.measured(path, activity, dict(values), dict(errors)).save(path)
    return True


def _plain(told: Mapping[str, Any] | None) -> dict[str, Any]:
    """Settings as JSON has them; paths and what else it does not have, as text."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(told or {}), default=str))
    return plain
