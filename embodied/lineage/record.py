"""A record: of one artifact, how it came about, as an in-toto statement with the terms of W3C PROV.

`Record.of` writes down what is so now; a bundle of records is a file of one statement per line (in-toto's bundle), in
which the artifact's own record comes first and those of all that it was made from follow, so that nothing has to be
looked for elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec

from embodied.files import checked
from embodied.lineage.content import Damaged, kind_of, name_of, sha256_of, sha256_of_artifact
from embodied.origin import PACKAGES, Code, Hardware, agent, code, hardware, now, versions

STATEMENT = "https://in-toto.io/Statement/v1"
RECORD = "urn:embodied-sim2real:lineage:v1"
MEASUREMENT = "urn:embodied-sim2real:measurement:v1"

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Digest(msgspec.Struct, frozen=True):
    """A digest, as in-toto has it."""

    sha256: Sha256


class Subject(msgspec.Struct, frozen=True):
    """What a statement is about."""

    name: str
    digest: Digest


class Parent(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an artifact was made from.

    Attributes:
        role: in which it was used, such as "initial policy", "expert", "demonstrations" or "recording".
        name: what it was called; digest: of its content; kind: "policy", "folder" or "file".
        record: SHA-256 of its record; None for what has none, such as a raw log.
    """

    role: str
    name: str
    kind: str
    digest: Digest
    record: Sha256 | None = None


class Activity(msgspec.Struct, frozen=True, omit_defaults=True, rename={
    "kind": "prov:type", "started": "prov:startedAtTime", "finished": "prov:endedAtTime",
    "agent": "prov:wasAssociatedWith",
}):  # fmt: skip
    """What made an artifact.

    Attributes:
        kind: such as "train", "collect" or "identify"; started, finished: in UTC (ISO 8601); agent: who did it.
        settings: that it was done with; environment: id, options and the rest of its specification.
        seeds: from which everything random follows.
        code, versions, hardware: with which, and on which; None and nothing where that was not written down.
    """

    kind: str
    started: str | None
    finished: str | None
    agent: str
    settings: dict[str, Any] = {}
    environment: dict[str, Any] = {}
    seeds: tuple[int, ...] = ()
    code: Code | None = None
    versions: dict[str, str] = {}
    hardware: Hardware | None = None


class Origin(msgspec.Struct, frozen=True, omit_defaults=True, rename={
    "kind": "prov:type", "activity": "prov:wasGeneratedBy", "parents": "prov:wasDerivedFrom",
}):  # fmt: skip
    """Where an artifact comes from.

    Attributes:
        kind: "policy", "folder" or "file".
        activity: what made it; parents: what it was made from.
        note: what else there is to be said.
    """

    kind: str
    activity: Activity
    parents: tuple[Parent, ...] = ()
    note: str = ""


class Record(msgspec.Struct, frozen=True, rename={
    "type": "_type", "subjects": "subject", "predicate_type": "predicateType", "origin": "predicate",
}):  # fmt: skip
    """An in-toto statement about one artifact's origin."""

    subjects: Annotated[tuple[Subject, ...], msgspec.Meta(min_length=1, max_length=1)]
    origin: Origin
    type: str = STATEMENT
    predicate_type: str = RECORD

    @classmethod
    def of(
        cls, path: Path, activity: Activity, parents: Sequence[Parent] = (), note: str = "", name: str | None = None
    ) -> Record:
        """The record of an artifact as it is now.

        Raises:
            LineageError: it cannot be read, or is made of links.
        """
        subject = Subject(name or name_of(path), Digest(sha256_of_artifact(path)))
        return cls((subject,), Origin(kind_of(path), activity, tuple(parents), note))

    @property
    def name(self) -> str:
        """What the artifact was called."""
        return self.subjects[0].name

    @property
    def sha256(self) -> str:
        """Of the artifact's content."""
        return self.subjects[0].digest.sha256

    @property
    def id(self) -> str:
        """SHA-256 of the record itself, by which records that follow name it."""
        return sha256_of(self.jsonable())

    def jsonable(self) -> dict[str, Any]:
        """The statement, as JSON has it."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return data

    @classmethod
    def from_jsonable(cls, data: Any, source: str) -> Record:
        """The inverse of `jsonable`.

        Raises:
            LineageError: it is no record; `source` begins the message.
        """
        record = checked(data, cls, f"{source} holds no record", Damaged)
        if (record.type, record.predicate_type) != (STATEMENT, RECORD):
            raise Damaged(f"{source} holds a statement of {record.predicate_type!r}, not a record")
        return record

    def as_parent(self, role: str) -> Parent:
        """What records of its children say of it."""
        return Parent(role, self.name, self.origin.kind, self.subjects[0].digest, self.id)


def parent_without_record(path: Path, role: str) -> Parent:
    """What a record says of an artifact that has none itself.

    Raises:
        LineageError: it cannot be read.
    """
    return Parent(role, name_of(path), kind_of(path), Digest(sha256_of_artifact(path)))


def activity_now(kind: str, started: str | None = None, modules: Sequence[str] = (), **told: Any) -> Activity:
    """What happens here and now: this person, code and machine.

    Args:
        kind, started, told: see `Activity`; it began now, unless said otherwise.
        modules: other people's that run, too.
    """
    ran = code((*PACKAGES, *modules))
    return Activity(kind, started or now(), now(), agent(), code=ran, versions=versions(), hardware=hardware(), **told)
