"""Files that others wrote, read within limits: nothing in them is executed, and what is wrong is said in one line.

What comes out of a file goes through a schema: a dataclass or a `msgspec.Struct` that says which fields there are, and
of which type.
"""

from __future__ import annotations

import json
import math
import os
import tokenize
import tomllib
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from embodied.errors import EmbodiedError

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

T = TypeVar("T")
MOST_JSON, MOST_TOML = 64 << 20, 1 << 20  # bytes
MOST_EXPANDED, EXPANDED = 64 << 20, 8  # bytes that an archive may unpack to, and how many times its own size
DAMAGED = (
    ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, OSError, OverflowError, MemoryError,
    NotImplementedError, RuntimeError, SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def read_json(path: Path, error: type[EmbodiedError], what: str = "is damaged") -> Any:
    """What a JSON file holds.

    Args:
        what: what is said of a file that is missing or damaged.

    Raises:
        error: it is missing, damaged, nested too deeply or too large.
    """
    return _read(path, MOST_JSON, json.loads, error, what)


def read_toml(path: Path, error: type[EmbodiedError], what: str = "cannot be read") -> dict[str, Any]:
    """What a TOML file holds; arguments as in `read_json`.

    Raises:
        error: it is missing, damaged, nested too deeply or too large.
    """
    return _read(path, MOST_TOML, tomllib.loads, error, what)


def _read(path: Path, most: int, parse: Callable[[str], Any], error: type[EmbodiedError], what: str) -> Any:
    try:
        if (size := path.stat().st_size) > most:
            raise ValueError(f"{size} bytes are more than {most}")
        return parse(path.read_bytes().decode("utf-8-sig"))
    except RecursionError:
        reason = "it is nested too deeply"
    except OSError as wrong:
        reason = wrong.strerror or str(wrong)
    except (ValueError, MemoryError) as wrong:
        reason = one_line(wrong)
    raise error(f"{path} {what}: {reason}")


def write_json(path: Path, data: Any) -> None:
    """Writes JSON in one move."""
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        file.write(json.dumps(data, indent=1))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Lets one process at a time go on that asks for the same file; where the system has no locks, all."""
    with path.open("rb") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def checked(data: Any, schema: type[T], what: str, error: type[EmbodiedError]) -> T:
    """Data as a schema has it.

    Args:
        what: what is wrong where it is not, such as "card.json is no card".

    Raises:
        error: a field is missing, of another type, or of an impossible value; it names the field.
    """
    try:
        return msgspec.convert(data, schema)
    except (msgspec.ValidationError, RecursionError) as wrong:
        raise error(f"{what}: {one_line(wrong)}") from None


def read_arrays(path: Path) -> dict[str, NDArray]:
    """The arrays of NumPy's archive (npz).

    Raises:
        ValueError: it is damaged, encrypted, holds objects, or unpacks to far more than its size.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            most = max(EXPANDED * path.stat().st_size, MOST_EXPANDED)
            if (total := sum(entry.file_size for entry in entries)) > most:
                raise ValueError(f"it unpacks to {total} bytes, more than {most}")
            named = [entry for entry in entries if entry.filename.endswith(".npy")]
            return {entry.filename.removesuffix(".npy"): _array(archive, entry) for entry in named}
    except OSError as wrong:
        if isinstance(wrong, FileNotFoundError | PermissionError | IsADirectoryError):
            raise
        raise ValueError(one_line(wrong)) from None
    except DAMAGED as wrong:
        raise ValueError(one_line(wrong)) from None


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray:
    """One array, whose header promises no more than there is."""
    if entry.flag_bits & 1:
        raise ValueError(f"{entry.filename} is encrypted")
    data = BytesIO(archive.read(entry))
    version = np.lib.format.read_magic(data)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(data, max_header_size=10_000)
    if dtype.hasobject:
        raise ValueError(f"{entry.filename} holds objects")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > len(data.getbuffer()):
        raise ValueError(f"{entry.filename} holds less than it says")
    data.seek(0)
    return np.lib.format.read_array(data, allow_pickle=False)


def is_path(text: str) -> bool:
    """Whether a word leads somewhere else."""
    return bool({"/", "\\", "\0"} & {*text})


def one_line(error: BaseException | str) -> str:
    """A message without line breaks, of no more than a few hundred letters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "…"
