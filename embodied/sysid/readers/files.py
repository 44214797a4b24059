"""JSON, HDF5, MATLAB's and NumPy's files."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from embodied.extras import advice
from embodied.files import read_arrays
from embodied.sysid.readers.table import MOST_BYTES, MOST_NUMBERS, Table, table_of

DEEPEST = 16  # levels of nested objects
READING_S = 300.0  # for a file of MATLAB
# SciPy's reader can crash on a damaged file, so that another process reads it.
_CONVERT = """
import sys, numpy, scipy.io
data = scipy.io.loadmat(sys.argv[1])
numbers = {k: v for k, v in data.items() if getattr(v, "dtype", None) is not None and v.dtype.kind in "bifu"}
numpy.savez(sys.argv[2], **{k: v for k, v in numbers.items() if not k.startswith("__")})
"""


def read_json(path: Path) -> list[Table]:
    """Reads a list of records, an object of lists, or an object whose "entries" are the records."""
    _check_size(path)
    data = json.loads(path.read_text(encoding="utf-8-sig"))
    metadata: dict[str, Any] = {}
    if isinstance(data, dict) and isinstance(data.get("entries"), list):
        metadata = {name: value for name, value in data.items() if name != "entries"}
        data = data["entries"]
    if isinstance(data, list):
        if not all(isinstance(record, dict) for record in data):
            raise ValueError("it is a list of something else than records")
        flat = [_flat(record) for record in data]
        names = dict.fromkeys(name for record in flat for name in record)
        arrays = {name: [record.get(name, np.nan) for record in flat] for name in names}
    elif isinstance(data, dict):
        flat_lists = _flat(data)
        arrays = {name: value for name, value in flat_lists.items() if isinstance(value, list)}
        metadata = {name: value for name, value in flat_lists.items() if not isinstance(value, list)}
    else:
        raise ValueError("it is neither records nor columns")
    arrays = {name: _padded([_number(value) for value in values]) for name, values in arrays.items()}
    source = "bam" if {"goal_position", "timestamp", "position"} <= set(arrays) else ""
    return [table_of(arrays, about={"metadata": metadata}, source=source)]


def _flat(record: dict[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """Nested objects as `outer.inner`."""
    if depth > DEEPEST:
        raise ValueError(f"objects are nested more than {DEEPEST} levels deep")
    flat: dict[str, Any] = {}
    for name, value in record.items():
        flat |= _flat(value, f"{prefix}{name}.", depth + 1) if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _padded(values: list[Any]) -> list[Any]:
    """Lists in place of those that a few records lack."""
    widths = {len(value) for value in values if isinstance(value, list)}
    if len(widths) != 1:
        return values
    (width,) = widths
    return [value if isinstance(value, list) else [np.nan] * width for value in values]


def _number(value: Any) -> Any:
    return np.nan if value is None else value


def read_hdf5(path: Path) -> list[Table]:
    """Reads every dataset of numbers with one row per instant, by its path; attributes become metadata."""
    with advice():
        import h5py
    with h5py.File(path, "r") as file:
        arrays: dict[str, Any] = {}

        def take(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and item.dtype.kind in "bifu" and item.ndim in (1, 2):
                if item.size > MOST_NUMBERS:
                    raise ValueError(f"{name} has {item.size} numbers")
                arrays[name] = item[()]

        file.visititems(take)
        metadata = {name: _plain(value) for name, value in file.attrs.items()}
    names = set(arrays)
    source = "aloha" if {"action", "observations/qpos"} <= names else ""
    return [table_of(arrays, about={"metadata": metadata}, source=source)]


def read_mat(path: Path) -> list[Table]:
    """Reads the arrays of a MATLAB file, of version 7.3 (HDF5) or older."""
    with path.open("rb") as file:
        begins = file.read(128)
    if b"MATLAB 7.3" in begins or begins.startswith(b"\x89HDF"):
        return read_hdf5(path)
    _check_size(path)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "arrays.npz"
        command = [sys.executable, "-c", _CONVERT, str(path), str(out)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=READING_S, check=False)
        if done.returncode or not out.is_file():
            raise ValueError((done.stderr.strip().splitlines() or ["MATLAB's format is damaged"])[-1])
        return read_npz(out)


def read_npz(path: Path) -> list[Table]:
    """Reads the arrays of NumPy's archive; nothing in it is executed."""
    arrays = read_arrays(path)
    about = json.loads(str(arrays.pop("about"))) if "about" in arrays else {}
    return [table_of(arrays, about=about)]


def _check_size(path: Path) -> None:
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES >> 30} GiB")


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
