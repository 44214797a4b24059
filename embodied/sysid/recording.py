"""Commands and measurements of a robot, over time, as one value that is read and written without loss.

Shape suffixes: T instants, U commands (`nu`), K columns of a signal.
"""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from embodied.errors import RecordingError, UnknownNameError
from embodied.extras import advice

Columns = NDArray[np.float64]
TIME, COMMAND, ABOUT = "time_s", "command", "about"
NOT_SIGNALS = {TIME, COMMAND, ABOUT, "file", "allow_pickle"}  # the last two are taken by NumPy


@dataclass(frozen=True)
class Recording:
    """A run of a robot.

    Args:
        time_s: `(T,)` [s]; finite. That it rises evenly is not required: `lint` looks at it.
        command: `(T, nu)`; a vector of T is one command.
        signals: what was measured, by name, `(T, K)`; a vector of T is one column. NaN is what was not measured.
        units: by name of the signal, or "command", such as "rad" or "rad/s".
        metadata: anything else that JSON can hold, such as the robot, its gains, its supply.

    Raises:
        RecordingError: lengths that differ, names that cannot be kept, a time or command that is not a number.
    """

    time_s: NDArray[np.float64]
    command: Columns
    signals: Mapping[str, Columns]
    units: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        time = _numbers(TIME, self.time_s)
        if time.ndim != 1 or len(time) < 2:
            raise RecordingError(f"{TIME} must be a vector of at least 2 instants, not of shape {time.shape}")
        signals = {name: _columns(name, values, len(time)) for name, values in self.signals.items()}
        command = _columns(COMMAND, self.command, len(time))
        for name, values in ((TIME, time), (COMMAND, command)):
            if not np.isfinite(values).all():
                raise RecordingError(f"{name} has {np.sum(~np.isfinite(values))} values that are not numbers")
        for name in signals:
            if name in NOT_SIGNALS or not name or set(name) & set("[],\n\r#"):
                raise RecordingError(f"{name!r} cannot name a signal")
        for name in self.units:
            if name not in signals and name != COMMAND:
                raise UnknownNameError("signal", name, [COMMAND, *signals])
        object.__setattr__(self, "time_s", time)
        object.__setattr__(self, "command", command)
        object.__setattr__(self, "signals", MappingProxyType(signals))
        object.__setattr__(self, "units", MappingProxyType(dict(self.units)))
        object.__setattr__(self, "metadata", MappingProxyType(dict(self.metadata)))

    def __len__(self) -> int:
        return len(self.time_s)

    def signal(self, name: str) -> Columns:
        """`(T, K)`; raises UnknownNameError, which lists the signals, for a name that is none."""
        if name not in self.signals:
            raise UnknownNameError("signal", name, self.signals)
        return self.signals[name]

    def part(self, start_s: float, end_s: float) -> Recording:
        """Returns what was recorded from `start_s` up to but without `end_s`, both from the first instant on [s]."""
        since = self.time_s - self.time_s[0]
        rows = (since >= start_s) & (since < end_s)
        if rows.sum() < 2:
            raise RecordingError(f"fewer than 2 instants lie in {start_s}–{end_s} s of {since[-1]:.3g} s")
        kept = {name: values[rows] for name, values in self.signals.items()}
        return Recording(self.time_s[rows], self.command[rows], kept, self.units, self.metadata)

    def save(self, path: Path | str) -> None:
        """Writes an `.npz`, `.csv` or `.parquet` file, in one move."""
        path = Path(path)
        write, _ = _format(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.unfinished")
        try:
            write(unfinished, self)
            unfinished.replace(path)
        except TypeError as error:
            raise RecordingError(f"{path}: metadata must be what JSON can hold: {error}") from error
        finally:
            unfinished.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path | str) -> Recording:
        """Reads what `save` wrote, or a file with the same names; raises RecordingError for one that is damaged."""
        path = Path(path)
        _, read = _format(path)
        if not path.is_file():
            raise RecordingError(f"no recording at {path}")
        try:
            return read(path)
        except (OSError, ValueError, KeyError, TypeError, csv.Error, zipfile.BadZipFile, EOFError) as error:
            raise RecordingError(f"{path} is no recording: {error}") from error


def _numbers(name: str, values: ArrayLike) -> NDArray[np.float64]:
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise RecordingError(f"{name} is not made of numbers: {error}") from None


def _columns(name: str, values: ArrayLike, length: int) -> Columns:
    array = _numbers(name, values)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or len(array) != length:
        raise RecordingError(f"{name} must be of shape ({length}, columns), not {array.shape}")
    return array


def _about(recording: Recording) -> str:
    return json.dumps({"units": dict(recording.units), "metadata": dict(recording.metadata)})


def _metadata(about: str) -> dict[str, Any]:
    data = json.loads(about)
    return {"units": data.get("units", {}), "metadata": data.get("metadata", {})}


def _write_npz(path: Path, recording: Recording) -> None:
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            allow_pickle=False,
            **{TIME: recording.time_s, COMMAND: recording.command, ABOUT: np.array(_about(recording))},
            **recording.signals,
        )


def _read_npz(path: Path) -> Recording:
    with np.load(path, allow_pickle=False) as file:
        signals = {name: file[name] for name in file.files if name not in NOT_SIGNALS}
        data = _metadata(str(file[ABOUT])) if ABOUT in file.files else {}
        return Recording(file[TIME], file[COMMAND], signals, **data)


def _table(recording: Recording) -> dict[str, NDArray[np.float64]]:
    """One column per number, named `signal[k]`."""
    table = {TIME: recording.time_s}
    for name, values in ((COMMAND, recording.command), *recording.signals.items()):
        table |= {f"{name}[{k}]": values[:, k] for k in range(values.shape[1])}
    return table


def _untable(table: Mapping[str, NDArray[np.float64]], about: str) -> Recording:
    if TIME not in table:
        raise UnknownNameError("column", TIME, table)
    groups: dict[str, dict[int, NDArray[np.float64]]] = {COMMAND: {}}
    for column, values in table.items():
        if column != TIME:
            name, _, index = column.removesuffix("]").partition("[")
            groups.setdefault(name, {})[int(index or 0)] = values
    length = len(table[TIME])
    for name, some in groups.items():
        if sorted(some) != list(range(len(some))):
            raise RecordingError(f"columns of {name} are numbered {sorted(some)}, not 0 to {len(some) - 1}")
    data = {
        name: np.stack([some[k] for k in range(len(some))], 1) if some else np.zeros((length, 0))
        for name, some in groups.items()
    }
    return Recording(table[TIME], data.pop(COMMAND), data, **_metadata(about))


def _write_csv(path: Path, recording: Recording) -> None:
    table = _table(recording)
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# {_about(recording)}\n")
        rows = csv.writer(file)
        rows.writerow(table)
        rows.writerows(np.stack(list(table.values()), 1).tolist())


def _read_csv(path: Path) -> Recording:
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = list(file)
    comments = [line for line in lines if line.startswith("#")]
    about = next((line[1:] for line in comments if line[1:].lstrip().startswith("{")), "{}")
    header, *rows = csv.reader(line for line in lines if not line.startswith("#"))
    if len(set(header)) < len(header):
        raise ValueError("two columns have the same name")
    values = np.array([[float(cell) if cell else np.nan for cell in row] for row in rows if row])
    if values.ndim != 2 or values.shape[1] != len(header):
        raise ValueError("rows of different lengths, or none")
    return _untable(dict(zip(header, values.T, strict=True)), about)


def _write_parquet(path: Path, recording: Recording) -> None:
    arrow, parquet = _arrow()
    table = arrow.table(_table(recording)).replace_schema_metadata({ABOUT: _about(recording)})
    parquet.write_table(table, path)


def _read_parquet(path: Path) -> Recording:
    _, parquet = _arrow()
    table = parquet.read_table(path)
    about = (table.schema.metadata or {}).get(ABOUT.encode(), b"{}").decode()
    columns = {name: table[name].to_numpy().astype(np.float64) for name in table.column_names}
    return _untable(columns, about)


def _arrow() -> tuple[Any, Any]:
    with advice():
        import pyarrow
        from pyarrow import parquet
    return pyarrow, parquet


FORMATS: dict[str, tuple[Callable[[Path, Recording], None], Callable[[Path], Recording]]] = {
    ".npz": (_write_npz, _read_npz),
    ".csv": (_write_csv, _read_csv),
    ".parquet": (_write_parquet, _read_parquet),
}


def _format(path: Path) -> tuple[Callable[[Path, Recording], None], Callable[[Path], Recording]]:
    if path.suffix.lower() not in FORMATS:
        raise UnknownNameError("kind of recording", path.suffix, FORMATS)
    return FORMATS[path.suffix.lower()]
