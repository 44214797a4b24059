"""What happened, row by row, on disk at once: a log that can be read whatever ended the process that wrote it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from embodied.errors import RecordingError
from embodied.sysid.recording import COMMAND, TIME, Recording


class Rows:
    """Instants of a run, with the command and the signals of each; the first row decides what there is."""

    def __init__(self, units: Mapping[str, str] | None = None, **metadata: Any) -> None:
        self.units, self.metadata = dict(units or {}), metadata
        self._time: list[float] = []
        self._columns: dict[str, list[np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self._time)

    def add(self, time_s: float, command: ArrayLike, **signals: ArrayLike) -> None:
        """Adds an instant; vectors or numbers.

        Raises:
            RecordingError: other signals than those of the first row.
        """
        row = {COMMAND: command, **signals}
        if self._time and row.keys() != self._columns.keys():
            raise RecordingError(f"a row has {', '.join(row)}, the first had {', '.join(self._columns)}")
        self._time.append(time_s)
        for name, value in row.items():
            self._columns.setdefault(name, []).append(np.atleast_1d(np.array(value, float)))

    def recording(self) -> Recording:
        """All rows; raises RecordingError for fewer than two."""
        if len(self) < 2:
            raise RecordingError("fewer than two instants have been recorded")
        columns = {name: np.stack(values) for name, values in self._columns.items()}
        return Recording(np.array(self._time), columns.pop(COMMAND), columns, self.units, self.metadata)


class LogFile:
    """Rows that are written to a CSV file as they come, one `write` each; `Recording.load` reads it.

    Args:
        path: a file that ends in `.csv`; replaced if it exists.
        units: by signal, or "command"; metadata: anything that JSON can hold.
    """

    def __init__(self, path: Path, units: Mapping[str, str] | None = None, **metadata: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self._about = path, {"units": dict(units or {}), "metadata": metadata}
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
        self._sizes: dict[str, int] | None = None
        os.write(self._file, f"# {json.dumps(self._about)}\n".encode())

    def add(self, time_s: float, command: ArrayLike, **signals: ArrayLike) -> None:
        """Writes an instant, as `Rows.add` does."""
        row = {name: np.atleast_1d(np.asarray(v, float)) for name, v in {COMMAND: command, **signals}.items()}
        sizes = {name: len(values) for name, values in row.items()}
        if self._sizes is None:
            self._sizes = sizes
            names = [TIME, *(f"{name}[{k}]" for name, size in sizes.items() for k in range(size))]
            os.write(self._file, (",".join(names) + "\n").encode())
        if sizes != self._sizes:
            raise RecordingError(f"a row has {sizes} numbers, the first had {self._sizes}")
        numbers = [time_s, *(number for values in row.values() for number in values.tolist())]
        os.write(self._file, (",".join(map(repr, numbers)) + "\n").encode())

    def close(self) -> None:
        """Ends the file."""
        os.close(self._file)
