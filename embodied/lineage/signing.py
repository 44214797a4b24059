"""Signatures over whole folders, in the format of OpenSSF model signing; nothing of it needs a network.

What is signed is every file of a folder but the signature itself, also those whose names begin with a dot. Among them
is the release: name, version and a counter that never falls, so that an older one is not taken for the newest.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from embodied.errors import LineageError
from embodied.extras import advice
from embodied.files import checked, one_line, read_json, write_json
from embodied.lineage.content import (
    CARD,
    RELEASE,
    SIGNATURE,
    WEIGHTS,
    Damaged,
    records_of,
    sha256_of_artifact,
    sha256_of_file,
)
from embodied.lineage.keys import SigningKey, fingerprint_of
from embodied.lineage.line import Line
from embodied.lineage.record import Sha256

Role = Literal["training", "evaluation", "release"]
PARTS = {WEIGHTS: "weights", CARD: "card"}  # reasons of their own
UNFINISHED = (".new", ".part")
FORBIDDEN = ".git"  # other tools leave names that begin so unsigned


class Release(msgspec.Struct, frozen=True):
    """What somebody vouches for.

    Attributes:
        name: of the policy, whatever its version; version: for people to read.
        counter: higher than that of every release before it.
        role: in which it is signed.
        sha256: of the content; record: of the record of its origin, if it has one.
        not_before, not_after: first and last day, or moment, at which it may be used (ISO 8601), if that is limited.
    """

    name: str
    version: str
    counter: Annotated[int, msgspec.Meta(ge=0)]
    role: Role
    sha256: Sha256
    record: Sha256 | None = None
    not_before: str | None = None
    not_after: str | None = None


@dataclass(frozen=True)
class Signature:
    """What a signature says of itself, before anything of it was verified.

    Attributes:
        key: fingerprint of the key; certificates: the chain (X.509), if it came with one.
        files: SHA-256 of what was signed, by name.
    """

    key: str
    certificates: tuple[Any, ...]
    files: dict[str, str]


def sign(
    folder: Path,
    key: SigningKey,
    name: str,
    version: str,
    counter: int,
    role: Role = "release",
    not_before: str | None = None,
    not_after: str | None = None,
) -> Release:
    """Writes a release into the folder of a policy or of anything else, and signs the whole.

    Raises:
        LineageError: a file is a link or has a forbidden name, its record is of something else, or the key is none.
        MissingExtraError: the library for it is not installed.
    """
    with advice():
        from model_signing import signing
    if not folder.is_dir():
        raise LineageError("missing", f"{folder} is no folder: what is signed is a folder, with all that is in it")
    files_of(folder)
    line = line_in(folder)
    record = None if line is None else line.record.id
    told = Release(name, version, counter, role, sha256_of_artifact(folder), record, not_before, not_after)
    release = checked(msgspec.to_builtins(told), Release, "this is no release", Damaged)
    for day in filter(None, (not_before, not_after)):
        moment(day)
    _check_newer(folder, release)
    try:
        signer = _signer(signing.Config().set_hashing_config(_hashing(folder)), key)
    except (OSError, ValueError, TypeError) as error:
        raise Damaged(f"{key.private} cannot be signed with: {one_line(error)}") from None
    (folder / SIGNATURE).unlink(missing_ok=True)
    write_json(folder / RELEASE, msgspec.to_builtins(release))
    signer.sign(folder, folder / SIGNATURE)
    return release


def _check_newer(folder: Path, release: Release) -> None:
    """Refuses a release whose counter is lower than that of the one that lies there."""
    if not (folder / RELEASE).is_file():
        return
    before = release_of(folder)
    if (before.name, before.role) == (release.name, release.role) and release.counter < before.counter:
        raise LineageError("rollback", f"{folder} was signed with counter {before.counter}: the next one is higher")


def line_in(folder: Path) -> Line | None:
    """The line of what lies in a folder, checked; None if nothing is recorded of it.

    Raises:
        LineageError: it does not hold.
    """
    if not records_of(folder).is_file():
        return None
    line = Line.load(folder)
    line.check(folder)
    return line


def moment(text: str, late: bool = False) -> dt.datetime:
    """A time as ISO 8601 has it, in UTC if nothing else is said; of a day its beginning, or its end where `late`.

    Raises:
        LineageError: it is none.
    """
    try:
        told = dt.datetime.fromisoformat(text)
    except ValueError:
        raise Damaged(f"{text!r} is no time: write it as 2026-12-31, or as 2026-12-31T18:00:00Z") from None
    told = told if told.tzinfo else told.replace(tzinfo=dt.UTC)
    return told + dt.timedelta(days=1) if late and len(text) <= len("2026-12-31") else told


def _signer(config: Any, key: SigningKey) -> Any:
    if key.certificate is not None:
        if key.password:
            raise ValueError("the library for it reads no encrypted key beside a certificate")
        chain = list(key.issuers) or [key.certificate]  # it takes no empty chain
        return config.use_certificate_signer(
            private_key=key.private, signing_certificate=key.certificate, certificate_chain=chain
        )
    return config.use_elliptic_key_signer(
        private_key=key.private, password=key.password.encode() if key.password else None
    )


def release_of(folder: Path) -> Release:
    """The release that a folder is said to be.

    Raises:
        LineageError: it is none.
    """
    if not (folder / RELEASE).is_file():
        raise LineageError("unsigned", f"{folder} is not signed: there is no {RELEASE}")
    return checked(read_json(folder / RELEASE, Damaged), Release, f"{folder / RELEASE} is no release", Damaged)


def signature_of(folder: Path) -> Signature:
    """What the signature of a folder says of itself; nothing of it is verified yet.

    Raises:
        LineageError: there is none, or it is damaged.
    """
    path = folder / SIGNATURE
    if not path.is_file():
        raise LineageError("unsigned", f"{folder} is not signed: there is no {SIGNATURE}")
    bundle = read_json(path, Damaged)
    try:
        material = bundle["verificationMaterial"]
        chain = tuple(_certificate(one["rawBytes"]) for one in _chain(material))
        key = fingerprint_of(chain[0].public_key()) if chain else material["publicKey"]["hint"]
        predicate = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))["predicate"]
        files = {one["name"]: one["digest"] for one in predicate["resources"]}
        left_out = {*map(str, predicate["serialization"].get("ignore_paths", ()))} - {SIGNATURE}
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise Damaged(f"{path} is no signature: {one_line(error)}") from None
    if left_out:
        raise LineageError("forbidden", f"{path} leaves files unsigned: {', '.join(sorted(left_out))}")
    return Signature(str(key), chain, files)


def verify_files(folder: Path, signature: Signature, but: Collection[str] = ()) -> None:
    """Checks that a folder holds what was signed, and nothing else.

    Args:
        but: files whose contents are not looked at.

    Raises:
        LineageError: it names the first file that was added, is missing, or was changed.
    """
    here = set(files_of(folder))
    if added := here - signature.files.keys():
        raise LineageError("added", f"{folder} holds a file that was not signed: {min(added)}")
    if missing := signature.files.keys() - here:
        raise LineageError("missing", f"{folder} lacks a file that was signed: {min(missing)}")
    for name in sorted(signature.files.keys() - {*but}):
        if sha256_of_file(folder / name) != signature.files[name]:
            raise LineageError(PARTS.get(name, "changed"), f"{folder / name} is not what was signed")


def verify_signature(folder: Path, public_key: Path | None, authorities: list[Path]) -> None:
    """Checks a signature by a public key, or by certificates of authorities.

    Raises:
        LineageError: it was not made with that key, or with one that they certified, for these files.
    """
    with advice():
        from model_signing import verifying
    config: Any = verifying.Config().set_hashing_config(_hashing(folder))
    if public_key is not None:
        config = config.use_elliptic_key_verifier(public_key=public_key)
    else:
        config = config.use_certificate_verifier(certificate_chain=authorities)
    try:
        config.verify(folder, folder / SIGNATURE)
    except Exception as error:  # whatever a hostile signature does to the library: it does not hold
        raise LineageError("forged", f"the signature of {folder} does not hold: {one_line(error)}") from None


def files_of(folder: Path) -> list[str]:
    """The files of a folder that are signed, by name.

    Raises:
        LineageError: one is a link, has a name that other tools leave unsigned, or a save of it was interrupted.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise LineageError("symlink", f"{path} is a link: what is signed are files")
        if any(part.startswith(FORBIDDEN) for part in path.relative_to(folder).parts):
            raise LineageError("forbidden", f"{path}: names that begin with {FORBIDDEN} are not signed by other tools")
        if path.suffix in UNFINISHED:
            raise LineageError("forbidden", f"{path} was left by a save that was interrupted: load and save it again")
        if path.is_file() and name != SIGNATURE:
            found.append(name)
    return found


def _hashing(folder: Path) -> Any:
    with advice():
        from model_signing import hashing
    return hashing.Config().set_ignored_paths(paths=[folder / SIGNATURE], ignore_git_paths=False)


def _chain(material: dict[str, Any]) -> list[dict[str, Any]]:
    if "certificate" in material:
        return [material["certificate"]]
    found: list[dict[str, Any]] = material.get("x509CertificateChain", {}).get("certificates", [])
    return found


def _certificate(encoded: str) -> Any:
    with advice():
        from cryptography import x509
    return x509.load_der_x509_certificate(base64.b64decode(encoded))
