"""What was measured of an artifact, and under which conditions, as an in-toto statement."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec

from embodied.files import checked
from embodied.lineage.content import Damaged, name_of, sha256_of_artifact
from embodied.lineage.record import MEASUREMENT, STATEMENT, Activity, Digest, Subject


class Result(msgspec.Struct, frozen=True):
    """Numbers by name, each with its standard error where there is one."""

    activity: Activity
    values: dict[str, float]
    errors: dict[str, float] = {}


class Measurement(msgspec.Struct, frozen=True, rename={
    "type": "_type", "subjects": "subject", "predicate_type": "predicateType", "result": "predicate",
}):  # fmt: skip
    """An in-toto statement about what was measured of one artifact."""

    subjects: Annotated[tuple[Subject, ...], msgspec.Meta(min_length=1, max_length=1)]
    result: Result
    type: str = STATEMENT
    predicate_type: str = MEASUREMENT

    @classmethod
    def of(cls, path: Path, result: Result) -> Measurement:
        """A measurement of an artifact as it is now."""
        return cls((Subject(name_of(path), Digest(sha256_of_artifact(path))),), result)

    @property
    def sha256(self) -> str:
        """Of the content of what was measured."""
        return self.subjects[0].digest.sha256

    def jsonable(self) -> dict[str, Any]:
        """The statement, as JSON has it."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return data

    @classmethod
    def from_jsonable(cls, data: Any, source: str) -> Measurement:
        """The inverse of `jsonable`.

        Raises:
            LineageError: it is none; `source` begins the message.
        """
        return checked(data, cls, f"{source} holds no measurement", Damaged)
