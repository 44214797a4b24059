"""What an artifact contains, as one number: the SHA-256 of its canonical content.

- A policy is its weights, and its card without the hashes of files that belong to the trainer.
- A folder is its files, by name; one with a dataset, for example.
- A file is its bytes.

Canonical JSON has sorted keys, no white space, and is UTF-8. Records and signatures of an artifact are not its content.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from embodied.errors import LineageError
from embodied.files import read_json

CARD, WEIGHTS = "policy.json", "policy.safetensors"
POLICY = "policy"  # the folder of a policy in that of a run
RECORDS = "lineage.intoto.jsonl"  # in a folder; beside a file: its name and this ending
SIGNATURE, RELEASE = "model.sig", "release.json"
ABOUT = {RECORDS, SIGNATURE, RELEASE}  # files that speak of an artifact


class Damaged(LineageError):
    """A file that speaks of an artifact and cannot be read, or does not hold what it should."""

    def __init__(self, message: str) -> None:
        super().__init__("damaged", message)


def sha256_of(data: Any) -> str:
    """The SHA-256 of canonical JSON.

    Raises:
        LineageError: it holds what JSON does not have.
    """
    try:
        text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise Damaged(f"this cannot be written as JSON: {error}") from None
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_of_artifact(path: Path) -> str:
    """The SHA-256 of what a file, or a folder, contains.

    Raises:
        LineageError: there is nothing, or a file in it is a link.
    """
    if path.is_dir():
        return _of_policy(path) if is_policy(path) else sha256_of({n: _of_file(path / n) for n in names_in(path)})
    return _of_file(path)


def is_policy(folder: Path) -> bool:
    """Whether a folder is that of a policy."""
    return (folder / CARD).is_file()


def names_in(folder: Path) -> list[str]:
    """The files of an artifact, without those that speak of it, sorted.

    Raises:
        LineageError: one is a link, which could lead to other contents tomorrow.
    """
    found = [Path(where) / name for where, inner, names in os.walk(folder) for name in (*names, *_links(where, inner))]
    for path in found:
        if path.is_symlink():
            raise LineageError("symlink", f"{path} is a link: an artifact is made of files")
    return sorted({path.relative_to(folder).as_posix() for path in found} - ABOUT)


def records_of(path: Path) -> Path:
    """The file that holds an artifact's records."""
    return path / RECORDS if path.is_dir() else path.with_name(f"{path.name}.{RECORDS}")


def name_of(path: Path) -> str:
    """What an artifact is called: the policy of a run by the name of the run."""
    resolved = path.resolve()
    return resolved.parent.name if resolved.name == POLICY and is_policy(resolved) else resolved.name


def kind_of(path: Path) -> str:
    """What an artifact is: a policy, a folder, or a file."""
    if not path.is_dir():
        return "file"
    return "policy" if is_policy(path) else "folder"


def _links(where: str, inner: list[str]) -> list[str]:
    return [name for name in inner if os.path.islink(os.path.join(where, name))]


def _of_policy(folder: Path) -> str:
    names_in(folder)
    card = read_json(folder / CARD, Damaged)
    if not isinstance(card, dict):
        raise Damaged(f"{folder / CARD} is no card")
    return sha256_of({CARD: {k: v for k, v in card.items() if k != "files"}, WEIGHTS: _of_file(folder / WEIGHTS)})


def _of_file(path: Path) -> str:
    if path.is_symlink():
        raise LineageError("symlink", f"{path} is a link: an artifact is made of files")
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise LineageError("missing", f"{path} cannot be read: {error.strerror or error}") from None
