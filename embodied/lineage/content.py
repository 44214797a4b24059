"""What an artifact contains, as one number: the SHA-256 of its canonical content.

- A policy is its weights, and its card without the hashes of the files that a trainer keeps beside them.
- A folder is its files, by name; one with a dataset, for example.
- An exported policy (`.onnx`) is its bytes, and its card's.
- Any other file is its bytes.

Canonical JSON has sorted keys, no white space, and is UTF-8. Records and signatures of an artifact are not its content,
nor are the files that file managers leave behind.
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
EXPORTED, DEEPEST = ".onnx", 32
RECORDS = "lineage.intoto.jsonl"  # in a folder; beside a file: its name and this ending
SIGNATURE, RELEASE = "model.sig", "release.json"
NOT_CONTENT = {RECORDS, SIGNATURE, RELEASE, ".DS_Store", "Thumbs.db", "desktop.ini"}


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
    except (TypeError, ValueError, RecursionError) as error:
        raise Damaged(f"this cannot be written as JSON: {error}") from None
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def sha256_of_artifact(path: Path) -> str:
    """The SHA-256 of what a file, or a folder, contains; links are followed.

    Raises:
        LineageError: there is nothing, or a save of it was interrupted.
    """
    if path.is_dir():
        return _of_policy(path) if is_policy(path) else sha256_of({n: sha256_of_file(path / n) for n in names_in(path)})
    card = path.with_suffix(".json")
    if path.suffix == EXPORTED and card.is_file():
        return sha256_of({"policy": sha256_of_file(path), "card": sha256_of_file(card)})
    return sha256_of_file(path)


def is_policy(folder: Path) -> bool:
    """Whether a folder is that of a policy."""
    return (folder / CARD).is_file() and (folder / WEIGHTS).is_file()


def names_in(folder: Path) -> list[str]:
    """The files of an artifact, without those that are not its content, sorted.

    Raises:
        LineageError: links lead round in a circle, or a folder cannot be read.
    """
    return sorted(path.relative_to(folder).as_posix() for path in files_below(folder) if path.name not in NOT_CONTENT)


def files_below(folder: Path) -> list[Path]:
    """All files below a folder, also those that links lead to.

    Raises:
        LineageError: links lead round in a circle, or a folder cannot be read.
    """
    found: list[Path] = []
    for where, _, names in os.walk(folder, onerror=_unreadable, followlinks=True):
        if len(Path(where).relative_to(folder).parts) > DEEPEST:
            raise LineageError(
                "symlink", f"links below {folder} lead round in a circle, or folders are nested too deeply"
            )
        found += [Path(where, name) for name in names]
    return found


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


def _of_policy(folder: Path) -> str:
    card = read_json(folder / CARD, Damaged)
    if not isinstance(card, dict):
        raise Damaged(f"{folder / CARD} is no card")
    weights, files = sha256_of_file(folder / WEIGHTS), card.get("files")
    told = files.get(WEIGHTS, weights) if isinstance(files, dict) else weights
    if told != weights:
        raise LineageError(
            "changed", f"{folder / WEIGHTS} is not what {CARD} names: it was changed, or saving it was interrupted"
        )
    return sha256_of({CARD: {k: v for k, v in card.items() if k != "files"}, WEIGHTS: weights})


def sha256_of_file(path: Path) -> str:
    """The SHA-256 of a file's bytes.

    Raises:
        LineageError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise LineageError("missing", f"{path} cannot be read: {error.strerror or error}") from None


def _unreadable(error: OSError) -> None:
    raise LineageError("missing", f"{error.filename} cannot be read: {error.strerror or error}")
