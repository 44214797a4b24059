"""What is about to be made: where it comes from is written down before, and the record when it is there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
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
        modules: Sequence[str] = (),
    ) -> Making:
        """Notes person, time, code and machine, and reads what is going to be used.

        Args:
            kind: such as "train", "collect" or "identify".
            made_from: roles and artifacts. One that is not what its own record speaks of counts as having none, and is
                remarked upon.
            settings, environment, seeds: see `Activity`; of paths only the names are kept.
            modules: other people's that run, too.

        Raises:
            LineageError: something that is used cannot be read.
        """
        parents, lines, remarks = lines_of(made_from)
        told: dict[str, Any] = {"settings": _plain(settings), "environment": _plain(environment), "seeds": tuple(seeds)}
        return cls(activity_now(kind, None, modules, **told), tuple(parents), tuple(lines), "; ".join(remarks))

    @classmethod
    def resume(cls, line: Line, settings: Mapping[str, Any] | None = None, modules: Sequence[str] = ()) -> Making:
        """An activity that goes on, perhaps with other code, from a checkpoint with that line.

        Args:
            settings: as they are now; as they were, if not said.
        """
        did, origin = line.record.origin.activity, line.record.origin
        own = did.settings if settings is None else _plain(settings)
        told = {"settings": own, "environment": did.environment, "seeds": did.seeds}
        here = activity_now(did.kind, did.started, modules, **told)
        also = [f"{k} was {v!r} up to a checkpoint" for k, v in did.settings.items() if own.get(k) != v]
        if did.code is not None and here.code is not None and did.code.sources != here.code.sources:
            also.append(f"up to a checkpoint made by the code {did.code.sources}")
        note = "; ".join(dict.fromkeys(filter(None, [*origin.note.split("; "), *also])))
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
    path: Path, content: str, kind: str, values: Mapping[str, float], errors: Mapping[str, float], **told: Any
) -> bool:
    """Writes down beside an artifact what was measured of it, in place of what was measured with the same settings.

    Args:
        content: what was measured (`sha256_of_artifact`); by now there may be something else.
        kind, told: of the activity (see `Making.begin`).

    Returns:
        Whether it did: nothing is written where its origin is not recorded, or is of something else, nor where it was
        signed.

    Raises:
        LineageError: the records are damaged, or cannot be written.
    """
    if not records_of(path).is_file() or (path / SIGNATURE).exists():
        return False
    activity = Making.begin(kind, **told).activity
    line = Line.load(path)
    try:
        line.check(path)
    except LineageError:
        return False
    if line.record.sha256 != content:
        return False
    line.measured(path, activity, dict(values), dict(errors)).save(path)
    return True


def _plain(told: Mapping[str, Any] | None) -> dict[str, Any]:
    """Settings as JSON has them; of paths only the names, as the rest of them is nobody else's business."""
    plain: dict[str, Any] = _jsonable(dict(told or {}))
    return plain


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_jsonable(inner) for inner in value]
    if isinstance(value, PurePath) or (isinstance(value, str) and PurePath(value).is_absolute()):
        return _text(PurePath(value).name)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    return _text(str(value))


def _text(text: str) -> str:
    """Text that can be written: names of files may hold bytes that are no letters."""
    return text.encode("utf-8", "backslashreplace").decode()
