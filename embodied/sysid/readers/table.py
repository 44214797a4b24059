"""A log as columns of numbers, before anybody has said what they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_BYTES = 4 << 30  # of a file, and of what it unpacks to
MOST_NUMBERS = 1 << 29
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """Columns of equal length, `(T,)` each.

    Attributes:
        columns: by name; several numbers of one kind are `name[0]`, `name[1]`, …
        about: units and metadata that the file itself tells.
        seconds: columns that are times in seconds already, whatever their name.
        source: the kind of log, such as "lerobot", where it is known.
        label: what distinguishes it from others of the same file.
    """

    columns: Mapping[str, Vector]
    about: Mapping[str, Any] = field(default_factory=dict)
    seconds: frozenset[str] = frozenset()
    source: str = ""
    label: str = ""

    @property
    def length(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values()))) if self.columns else 0


def table_of(arrays: Mapping[str, Any], **rest: Any) -> Table:
    """Makes a table of arrays of one or two dimensions; those that are no numbers, or of another length, are left out.

    Raises:
        ValueError: there are no numbers, or too many, or two columns would have the same name.
    """
    numbers = {name: array for name, value in arrays.items() if (array := _numbers(value)) is not None}
    if not numbers:
        raise ValueError("it holds no numbers")
    length = _length(list(numbers.values()))
    columns: dict[str, Vector] = {}
    for name, array in numbers.items():
        if array.ndim == 2 and array.shape[0] != length and array.shape[1] == length:
            array = array.T  # MATLAB's rows
        if array.shape[0] != length:
            continue
        parts = [(name, array)] if array.ndim == 1 else [(f"{name}[{k}]", array[:, k]) for k in range(array.shape[1])]
        add_columns(columns, parts)
    return Table(columns, **rest)


def _length(arrays: list[NDArray]) -> int:
    """How many instants there are: what most arrays share on some axis, vectors before others, the longest."""
    shared = Counter(n for array in arrays for n in set(array.shape))
    vectors = {array.shape[0] for array in arrays if array.ndim == 1}
    return max(shared, key=lambda n: (shared[n], n in vectors, n))


def add_columns(columns: dict[str, Vector], parts: Iterable[tuple[str, NDArray]]) -> None:
    """Adds columns; raises ValueError for a name that is there already."""
    for name, values in parts:
        if name in columns:
            raise ValueError(f"two columns have the same name, {name!r}")
        columns[name] = values.astype(np.float64)


def _numbers(value: Any) -> NDArray | None:
    """An array of one or two dimensions with numbers, or None."""
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O":
            array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return None
    if array.dtype.kind not in "bifu" or array.ndim not in (1, 2) or array.size > MOST_NUMBERS:
        return None
    if array.ndim == 2 and 1 in array.shape:
        array = array.reshape(-1)
    return array if array.size else None
