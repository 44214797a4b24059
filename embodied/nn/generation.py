"""A checkpoint of several files as one generation: whole, or not there at all.

Files are written beside the present ones; a card with their hashes makes them current by one rename; then they take
their places. Whoever reads in between, or after a kill, gets the files that the card names. Other files in the folder
are left alone.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from safetensors import SafetensorError

from embodied.errors import CheckpointError
from embodied.files import checked, read_json, write_json

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

CARD, NEW = "policy.json", ".new"


class _Card(msgspec.Struct):
    files: dict[str, str] = {}


def write_generation(
    folder: Path, card: dict[str, Any], writers: Mapping[str, Callable[[Path], None]], obsolete: Collection[str] = ()
) -> None:
    """Writes files as the next generation of a folder.

    Args:
        card: what `policy.json` holds, beside the SHA-256 of each of the other files.
        writers: write each file, by name, to the path that they are given.
        obsolete: names of files that would be of an older generation.

    Raises:
        CheckpointError: the disk is full, the folder cannot be written to, or somebody else is writing there; the last
            generation is still there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            _settle(folder)
            for name, write in writers.items():
                write(folder / (name + NEW))
            write_json(folder / CARD, card | {"files": {name: _digest(folder / (name + NEW)) for name in writers}})
            _settle(folder)
            for name in {*obsolete} - {*writers}:
                (folder / name).unlink(missing_ok=True)
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CheckpointError(f"{folder} cannot be written: {reason}; what was saved before is intact") from None


def current(folder: Path, name: str) -> Path:
    """Where a file of the present generation is; what the card does not know of is taken as it is."""
    told = _files(folder).get(name)
    beside = folder / (name + NEW)
    return beside if told and _digest(folder / name) != told and _digest(beside) == told else folder / name


def has_file(folder: Path, name: str) -> bool:
    """Whether a file belongs to the present generation; any does that is there, where the card names none."""
    files = _files(folder)
    return name in files if files else (folder / name).is_file()


def verify(folder: Path, names: Collection[str]) -> None:
    """Refuses files that are not what was saved; those that the card does not know of cannot be told.

    Raises:
        CheckpointError: it names the first.
    """
    files = _files(folder)
    for name in names:
        if name in files and _digest(current(folder, name)) != files[name]:
            raise CheckpointError(f"{folder / name} is damaged: it is not what was saved with {CARD}")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes from locking the same folder meanwhile.

    Raises:
        CheckpointError: one has.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CheckpointError(f"{folder} is in use by another process") from None
        yield
    finally:
        os.close(handle)


def _files(folder: Path) -> dict[str, str]:
    """The hashes of the other files that a card names; none where there is no card, or it is damaged."""
    try:
        return checked(read_json(folder / CARD, CheckpointError), _Card, "", CheckpointError).files
    except CheckpointError:
        return {}


def _settle(folder: Path) -> None:
    """Moves files of the present generation to their places."""
    for name, digest in _files(folder).items():
        if "/" not in name and _digest(folder / (name + NEW)) == digest:
            (folder / (name + NEW)).replace(folder / name)


def _digest(path: Path) -> str:
    """The SHA-256 of a file; nothing for none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return ""
