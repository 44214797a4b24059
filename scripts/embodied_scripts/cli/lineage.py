"""`embodied lineage`: where a model comes from, who signed it, and whether it can be made again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from embodied_scripts.cli.lazy import load

Artifact = Annotated[Path, tyro.conf.Positional]


@dataclass
class Show:
    """Print what a policy, a fit, a dataset or any other artifact was made from, back to raw logs, seeds and code."""

    artifact: Artifact
    """A run, the folder of a policy or of a dataset, or a file; or an environment with a policy."""

    def run(self) -> None:
        """Prints it as a tree."""
        load("lineage.show:show")(self)


@dataclass
class Graph:
    """Draw the line of an artifact."""

    artifact: Artifact
    """As for show."""
    html: Path | None = None
    """Write a page (default: lineage.html, where nothing else is asked for)."""
    view: str | None = None
    """Show it over time in Rerun: live, web, or a file that ends in .rrd."""

    def run(self) -> None:
        """Writes the page, or opens the view."""
        load("lineage.graph:draw")(self)


@dataclass
class Verify:
    """Check that an artifact is what its record speaks of and that its line is whole; by a trust file, who signed it.
    Exits with 2, and says why, where it is not."""

    artifact: Artifact
    """As for show."""
    trust: Path | None = None
    """Who is trusted to sign what (docs/lineage.md)."""
    role: Literal["training", "evaluation", "release"] = "release"
    """In which role it must be signed."""
    name: str | None = None
    """Of which release it must be one (default: of any that the trust file allows)."""

    def run(self) -> None:
        """Checks, and says what was checked."""
        load("lineage.verify:verify_artifact")(self)


@dataclass
class Diff:
    """Say in what the origins of two artifacts differ: settings, seeds, code, versions, machines, parents, results."""

    first: Artifact
    """As for show."""
    second: Artifact
    """Another."""

    def run(self) -> None:
        """Prints a table."""
        load("lineage.show:compare")(self)


@dataclass
class Affected:
    """Find all that was made from something, such as a log that turned out to be bad, however many steps later."""

    artifact: Annotated[str, tyro.conf.Positional]
    """The artifact, or the SHA-256 of its content."""
    folders: Annotated[tuple[Path, ...], tyro.conf.Positional] = (Path(),)
    """Where to look, at any depth."""

    def run(self) -> None:
        """Lists what it finds; exits with 1 if there is anything."""
        load("lineage.show:affected")(self)


@dataclass
class Repeat:
    """Train again what a record speaks of, and compare the result: on the same machine it has the same hash."""

    artifact: Artifact
    """As for show; it was trained."""
    run_dir: Annotated[Path, tyro.conf.arg(name="run")]
    """Folder of the new run."""
    made_from: tuple[str, ...] = ()
    """Where what it was made from is, as ROLE=PATH: records keep names and hashes, not paths."""
    threads: int | None = None
    """Other threads than it was trained with."""

    def run(self) -> None:
        """Trains; exits with 1 where the result is another."""
        load("lineage.repeat:repeat")(self)


@dataclass
class RecordOf:
    """Write down afterwards where something comes from that no command of this project made, such as a robot's log."""

    artifact: Artifact
    """A file or a folder."""
    activity: str
    """What made it, in a word: record, train, collect …"""
    made_from: tuple[str, ...] = ()
    """What it was made from, as ROLE=PATH."""
    note: str = ""
    """What else there is to be said."""
    agent: str | None = None
    """Who made it (default: you)."""
    when: str | None = None
    """When it was made (ISO 8601; default: when the file was written)."""
    settings: tuple[str, ...] = ()
    """How it was made, as name=value."""
    seeds: tuple[int, ...] = ()
    """From which everything random follows."""
    revision: str | None = None
    """Of the code that made it."""

    def run(self) -> None:
        """Writes the record."""
        load("lineage.recording:record_afterwards")(self)


@dataclass
class ExportLine:
    """Write the line of an artifact in a format of others."""

    artifact: Artifact
    """As for show."""
    out: Annotated[Path, tyro.conf.Positional]
    """The file to write."""
    form: Annotated[Literal["prov", "cyclonedx"], tyro.conf.arg(name="format")] = "prov"
    """W3C PROV-JSON, or CycloneDX (a bill of materials for machine learning)."""

    def run(self) -> None:
        """Writes the file."""
        load("lineage.recording:export_line")(self)


@dataclass
class Keys:
    """Make a key to sign with; with --name, certified: by an authority, or as one. A password is taken from the
    environment, EMBODIED_KEY_PASSWORD."""

    path: Annotated[Path, tyro.conf.Positional]
    """File of the private key; the public one is written beside it (.pub), a certificate, too (.crt)."""
    name: str | None = None
    """Whose it is, for a certificate."""
    issuer: Path | None = None
    """Private key of the authority that certifies it; none makes it one itself."""
    days: float = 365.0
    """For how long a certificate is valid."""

    def run(self) -> None:
        """Makes it."""
        load("lineage.signing:keys")(self)


@dataclass
class Sign:
    """Sign the folder of a policy, or of anything else, as a release."""

    folder: Annotated[Path, tyro.conf.Positional]
    """As for show."""
    key: Path
    """File of the private key (`embodied lineage keys`)."""
    name: str
    """What it is called, whatever its version; trust files name it."""
    version: str
    """Of this release, for people to read."""
    counter: int
    """Higher than that of every release before it, which are refused from then on."""
    certificate: Path | None = None
    """Of the key, where trust is in whoever issued it."""
    role: Literal["training", "evaluation", "release"] = "release"
    """In which you sign."""
    not_before: str | None = None
    """First day, or moment, on which it may be used (ISO 8601)."""
    not_after: str | None = None
    """Last day, or moment, on which it may be used (ISO 8601)."""

    def run(self) -> None:
        """Signs it."""
        load("lineage.signing:sign_folder")(self)


LineageCommand = (
    Annotated[Show, tyro.conf.subcommand("show")]
    | Annotated[Graph, tyro.conf.subcommand("graph")]
    | Annotated[Verify, tyro.conf.subcommand("verify")]
    | Annotated[Diff, tyro.conf.subcommand("diff")]
    | Annotated[Affected, tyro.conf.subcommand("affected")]
    | Annotated[Repeat, tyro.conf.subcommand("repeat")]
    | Annotated[RecordOf, tyro.conf.subcommand("record")]
    | Annotated[ExportLine, tyro.conf.subcommand("export")]
    | Annotated[Keys, tyro.conf.subcommand("keys")]
    | Annotated[Sign, tyro.conf.subcommand("sign")]
)


@dataclass
class LineageOf:
    """Where a model comes from: show, draw, compare and verify its line, sign it, and make it again."""

    what: LineageCommand  # type: ignore[valid-type]
    """Which."""

    def run(self) -> None:
        """Does what was asked."""
        self.what.run()  # type: ignore[attr-defined]
