"""Parquet, and LeRobot's datasets, which are made of it (formats 2.1 and 3.0)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodied.extras import advice
from embodied.sysid.readers.table import MOST_NUMBERS, Table, Vector, add_columns
from embodied.sysid.readers.units import TO_SI

LEROBOT = {"action", "observation.state", "timestamp"}
EPISODE = "episode_index"


def read_parquet(path: Path) -> list[Table]:
    """Reads a Parquet file; one with several of LeRobot's episodes gives a table for each."""
    _, parquet = _arrow()
    file = parquet.ParquetFile(path)
    if file.metadata.num_rows * max(file.metadata.num_columns, 1) > MOST_NUMBERS:
        raise ValueError(f"it has {file.metadata.num_rows} rows of {file.metadata.num_columns} columns")
    table = file.read()
    about = json.loads((table.schema.metadata or {}).get(b"about", b"{}"))
    columns: dict[str, Vector] = {}
    seconds: set[str] = set()
    for name in table.column_names:
        parts, is_time = _columns(name, table[name].combine_chunks())
        add_columns(columns, parts)
        seconds |= {part for part, _ in parts} if is_time else set()
    if not columns:
        raise ValueError("it holds no numbers")
    is_lerobot = set(table.column_names) >= LEROBOT
    whole = Table(columns, about, frozenset(seconds), "lerobot" if is_lerobot else "")
    return list(_episodes(whole)) if is_lerobot and EPISODE in columns else [whole]


def read_lerobot(folder: Path) -> list[Table]:
    """Reads a LeRobot dataset, of format 2.1 (a file per episode) or 3.0 (episodes one after the other in files).

    Raises:
        ValueError: it has no data, or belongs to a format that is not known.
    """
    info = json.loads((folder / "meta" / "info.json").read_text(encoding="utf-8"))
    version = str(info.get("codebase_version", ""))
    if not version.startswith(("v2", "v3")):
        raise ValueError(f"LeRobot's format {version or 'without a version'} is not known; known: v2.1, v3.0")
    files = sorted((folder / "data").rglob("*.parquet"))
    if not files:
        raise ValueError("it has no data")
    metadata = {"robot": info.get("robot_type"), "fps": info.get("fps"), "names": _names(info)}
    about = {"metadata": {name: value for name, value in metadata.items() if value}}
    tables = [table for file in files for table in read_parquet(file)]
    return [Table(t.columns, about, t.seconds, "lerobot", t.label) for t in tables]


def _names(info: dict[str, Any]) -> Any:
    """What the numbers of an action are called."""
    names = info.get("features", {}).get("action", {}).get("names")
    return names.get("motors") if isinstance(names, dict) else names


def _episodes(table: Table) -> Iterator[Table]:
    which = table.columns[EPISODE]
    for episode in np.unique(which[np.isfinite(which)]):
        rows = which == episode
        part = {name: values[rows] for name, values in table.columns.items() if name != EPISODE}
        yield Table(part, table.about, table.seconds, table.source, f"episode {int(episode)}")


def _columns(name: str, column: Any) -> tuple[list[tuple[str, NDArray]], bool]:
    """The numbers of a column, or of its lists, and whether they are seconds; nothing for one of words."""
    arrow, _ = _arrow()
    kind, types = column.type, arrow.types
    if types.is_timestamp(kind) or types.is_duration(kind) or types.is_time(kind):
        return [(name, _seconds(column, kind))], True
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _of_lists(name, column), False
    if types.is_struct(kind):
        flat = zip((field.name for field in kind), column.flatten(), strict=True)
        return [part for inner, values in flat for part in _columns(f"{name}.{inner}", values)[0]], False
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return [(name, _numbers(column))], False
    return [], False


def _numbers(column: Any) -> NDArray:
    arrow, _ = _arrow()
    return np.asarray(column.cast(arrow.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)


def _seconds(column: Any, kind: Any) -> NDArray:
    """Times since the first [s], counted in whole units before they are divided; NaN where there is none."""
    arrow, _ = _arrow()
    _, unit = TO_SI[kind.unit]
    whole = column.cast(arrow.int32() if kind.bit_width == 32 else arrow.int64())
    known = np.asarray(whole.is_valid().to_numpy(zero_copy_only=False), bool)
    count = np.asarray(whole.fill_null(0).to_numpy(zero_copy_only=False), np.int64)
    first = count[known][0] if known.any() else 0
    return np.where(known, (count - first) * unit, np.nan)


def _of_lists(name: str, column: Any) -> list[tuple[str, NDArray]]:
    arrow, _ = _arrow()
    inner = column.type.value_type
    if not (arrow.types.is_integer(inner) or arrow.types.is_floating(inner) or arrow.types.is_boolean(inner)):
        return []
    lengths = {len(row) for row in column if row.is_valid}
    if len(lengths) != 1:
        return []  # words or tokens rather than a row of numbers
    (width,) = lengths
    values = np.full((len(column), width), np.nan)
    known = np.asarray(column.is_valid().to_numpy(zero_copy_only=False), bool)
    values[known] = _numbers(column.flatten()).reshape(-1, width)
    return [(f"{name}[{k}]", values[:, k]) for k in range(width)]


def _arrow() -> tuple[Any, Any]:
    with advice():
        import pyarrow
        from pyarrow import parquet
    return pyarrow, parquet
