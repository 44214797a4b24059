"""Text with one row per instant: any separator, with a header or without, in the notations of several countries."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from pathlib import Path

import numpy as np

from embodied.sysid.readers.table import MOST_BYTES, Table, Vector, add_columns

SEPARATORS = (",", ";", "\t", "|")
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
NOTHING = {"", "nan", "na", "n/a", "null", "none", "-", "--"}
WORDS = {"true": 1.0, "false": 0.0, "inf": np.inf, "-inf": -np.inf, "+inf": np.inf}
COMMA_NUMBER = re.compile(r"\s*[-+]?\d*,\d+([eE][-+]?\d+)?\s*")
SAMPLE = 50  # lines from which a notation is told


def read_delimited(path: Path) -> list[Table]:
    """Reads a table; columns without a header are called by their numbers, and columns of words are left out.

    Raises:
        ValueError: rows of different lengths, names that are there twice, or no rows.
    """
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES >> 30} GiB")
    lines = _text(path).splitlines()
    comments = [line for line in lines if line.lstrip().startswith("#")]
    about = next((line.lstrip()[1:] for line in comments if line.lstrip()[1:].lstrip().startswith("{")), "{}")
    rows = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not rows:
        raise ValueError("it has no rows")
    separator = _separator(rows[:SAMPLE])
    header, body = _header(rows, separator)
    columns: dict[str, Vector] = {}
    seconds = set()
    for name, values, is_time in _columns(header, body, separator):
        add_columns(columns, [(name, values)])
        seconds |= {name} if is_time else set()
    if not columns:
        raise ValueError("it holds no numbers")
    return [Table(columns, json.loads(about), frozenset(seconds))]


def _text(path: Path) -> str:
    data = path.read_bytes()
    for mark, encoding in MARKS.items():
        if data.startswith(mark):
            return data.decode(encoding)
    if b"\0" in data[:4096]:
        raise ValueError("it is not text")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _separator(rows: list[str]) -> str | None:
    """What parts the cells, most often and equally often in all rows; None for white space."""
    counts = {sep: [row.count(sep) for row in rows] for sep in SEPARATORS}
    if any(_has_decimal_commas(rows, sep) for sep in (";", "\t", "|", None)):
        del counts[","]
    steady = {sep: c[0] for sep, c in counts.items() if c[0] and len(set(c)) == 1}
    if steady:
        return max(steady, key=lambda sep: (sep != "|", steady[sep]))
    some = {sep: min(c) for sep, c in counts.items() if min(c)}
    return max(some, key=lambda sep: some[sep]) if some else None


def _has_decimal_commas(rows: list[str], separator: str | None) -> bool:
    """Whether cells, parted by something else than commas, are numbers with a comma in them."""
    cells = [cell for row in rows for cell in _cells(row, separator)]
    commas = [cell for cell in cells if "," in cell]
    return len(cells) > len(rows) and bool(commas) and all(COMMA_NUMBER.fullmatch(cell) for cell in commas)


def _cells(row: str, separator: str | None) -> list[str]:
    if separator is None:
        return row.split()
    cells = next(csv.reader([row], delimiter=separator, skipinitialspace=True))
    return [cell.strip() for cell in cells]


def _header(rows: list[str], separator: str | None) -> tuple[list[str], list[str]]:
    """Names of the columns, and the rows below them."""
    first = _cells(rows[0], separator)
    if all(_is_number(cell) or cell.lower() in NOTHING for cell in first):
        return [str(k) for k in range(len(first))], rows
    return first, rows[1:]


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", ".", 1))
    except ValueError:
        return cell.lower() in WORDS
    return True


def _columns(header: list[str], body: list[str], separator: str | None) -> list[tuple[str, Vector, bool]]:
    """Name, numbers, and whether they are seconds, of every column that has numbers or times."""
    if not body:
        raise ValueError("it has a header and no rows")
    quick = _quick(body, separator, len(header))
    if quick is not None:
        return [(name, quick[:, k], False) for k, name in enumerate(header)]
    cells = [_cells(row, separator) for row in body]
    if header[-1] == "" and all(row[-1] == "" for row in cells if len(row) == len(header)):
        header = header[:-1]  # lines end with a separator
    cells = [row[: len(header)] if len(row) == len(header) + 1 and row[-1] == "" else row for row in cells]
    if {len(row) for row in cells} != {len(header)}:
        lengths = ", ".join(map(str, sorted({len(row) for row in cells})))
        raise ValueError(f"rows of {lengths} cells for {len(header)} names")
    comma = separator != "," and any(COMMA_NUMBER.fullmatch(cell) for row in cells for cell in row)
    found = []
    for name, column in zip(header, zip(*cells, strict=True), strict=True):
        values, is_time = _values(column, comma)
        if values is not None:
            found.append((name, values, is_time))
    return found


def _quick(body: list[str], separator: str | None, width: int) -> Vector | None:
    """A table that is nothing but numbers; None for any other."""
    try:
        values = np.loadtxt(io.StringIO("\n".join(body)), delimiter=separator, ndmin=2, comments=None)
    except ValueError:
        return None
    return values if values.shape[1] == width else None


def _values(column: tuple[str, ...], comma: bool) -> tuple[Vector | None, bool]:
    values = np.full(len(column), np.nan)
    for row, cell in enumerate(column):
        text = cell.replace(".", "").replace(",", ".") if comma and "," in cell else cell
        if text.lower() in NOTHING:
            continue
        try:
            values[row] = WORDS[text.lower()] if text.lower() in WORDS else float(text)
        except ValueError:
            return _times(column)
    return values, False


def _times(column: tuple[str, ...]) -> tuple[Vector | None, bool]:
    """A column of dates as seconds since the first; None for one of words."""
    try:
        stamps = np.array([cell.replace(" ", "T").removesuffix("Z") or "NaT" for cell in column], "datetime64[ns]")
    except ValueError:
        return None, False
    known = ~np.isnat(stamps)
    if not known.any():
        return None, False
    since = (stamps - stamps[known][0]).astype(np.int64) * 1e-9
    return np.where(known, since, np.nan), True
