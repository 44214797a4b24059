"""Commands and measurements of a robot, over time, as one value that is read and written without loss.

Shape suffixes: T instants, U commands (`nu`), K columns of a signal.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from embodied.errors import EmbodiedError, RecordingError, UnknownNameError
from embodied.extras import advice
from embodied.sysid.readers.dispatch import reader_of
from embodied.sysid.readers.mapping import LogMap, guessed, read_map
from embodied.sysid.readers.table import Table
from embodied.sysid.readers.units import to_si
from embodied.sysid.signals import holes_of

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

    def of_joints(self, name: str, joints: int) -> Columns:
        """A signal, or the command, of so many joints in SI units, `(T, joints)`.

        Raises:
            UnknownNameError: there is no such signal.
            RecordingError: it is of another number of joints, or in other units.
        """
        values = self.command if name == COMMAND else self.signal(name)
        if values.shape[1] != joints:
            raise RecordingError(f"{name} has {values.shape[1]} columns for {joints} joints")
        if to_si(self.units.get(name, ""))[1] != 1.0:
            raise RecordingError(f"{name} is in {self.units[name]}: simulate recording.in_si()")
        return values

    def part(self, start_s: float, end_s: float) -> Recording:
        """Returns what was recorded from `start_s` up to but without `end_s`, both from the first instant on [s]."""
        since = self.time_s - self.time_s[0]
        rows = np.flatnonzero((since >= start_s) & (since < end_s))
        if len(rows) < 2:
            raise RecordingError(f"fewer than 2 instants lie in {start_s}–{end_s} s of {since[-1]:.3g} s")
        return self.rows(rows)

    def in_si(self) -> Recording:
        """Returns it with what is in another unit than those of SI, such as degrees or rpm, in SI."""
        found = {name: to_si(unit) for name, unit in self.units.items()}
        factors = {name: factor for name, (_, factor) in found.items()}
        signals = {name: values * factors.get(name, 1.0) for name, values in self.signals.items()}
        units = {name: unit for name, (unit, _) in found.items()}
        return Recording(self.time_s, self.command * factors.get(COMMAND, 1.0), signals, units, self.metadata)

    def rows(self, which: NDArray[np.intp]) -> Recording:
        """Returns some of its instants."""
        kept = {name: values[which] for name, values in self.signals.items()}
        return Recording(self.time_s[which], self.command[which], kept, self.units, self.metadata)

    def pieces(self) -> tuple[list[Recording], int]:
        """Returns the pieces between holes in time, and how many were left out for having a single instant."""
        edges = np.concatenate([[0], holes_of(self.time_s) + 1, [len(self)]]).tolist()
        spans = [np.arange(a, b) for a, b in pairwise(edges)]
        whole = [span for span in spans if len(span) > 1]
        return [self.rows(span) for span in whole] if len(spans) > 1 else [self], len(spans) - len(whole)

    def save(self, path: Path | str) -> None:
        """Writes an `.npz`, `.csv` or `.parquet` file, in one move."""
        path = Path(path)
        write = _writer(path)
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
    def load(cls, path: Path | str, log_map: LogMap | Path | str | None = None) -> Recording:
        """Reads what `save` wrote, or somebody else's log.

        Args:
            path: a table (`.csv`, `.tsv`, `.txt`, `.dat`, `.parquet`, `.npz`, `.json`, `.h5`, `.hdf5`, `.mat`), joints'
                messages (`.mcap`, `.bag`, the folder of a ROS 2 bag), or a LeRobot dataset with one episode.
            log_map: what its columns are: a `LogMap`, a TOML file, or the name of a preset; None for a log with the
                names that are used here, or of a kind that says so itself.

        Raises:
            RecordingError: it is damaged, holds several recordings, or nothing says what its columns are.
            UnknownNameError: a kind of file that is not read, or a column that is not there.
        """
        several = cls.load_all(path, log_map)
        if len(several) > 1:
            raise RecordingError(f"{path} holds {len(several)} recordings: read them with Recording.load_all")
        return several[0]

    @classmethod
    def load_all(cls, path: Path | str, log_map: LogMap | Path | str | None = None) -> list[Recording]:
        """Reads all recordings of a file or folder, such as the episodes of a dataset (see `load`)."""
        path = Path(path)
        read = reader_of(path)
        if not path.exists():
            raise RecordingError(f"no recording at {path}")
        chosen = log_map if isinstance(log_map, LogMap | None) else read_map(log_map)
        try:
            return [_of_table(table, chosen, path) for table in read(path)]
        except EmbodiedError:
            raise
        except Exception as error:  # readers of eight libraries raise whatever they stumble over
            message = " ".join(str(error).split())[:300] or type(error).__name__
            raise RecordingError(f"{path} is no recording: {message}") from error


def _of_table(table: Table, chosen: LogMap | None, path: Path) -> Recording:
    """A recording from columns: by a map, by their names, or by what kind of log it is."""
    known = None if chosen is not None or TIME in table.columns else guessed(table)
    if chosen is None and known is None:
        return _by_names(table, path)
    return Recording(**(chosen or known).parts(table))  # type: ignore[union-attr]


def _by_names(table: Table, path: Path) -> Recording:
    """A recording from columns with the names that are used here, such as `position[0]`."""
    if TIME not in table.columns:
        advice = f"; say what the columns of {path.name} are with a map (--map FILE.toml)"
        raise UnknownNameError("column", TIME, table.columns, advice)
    groups: dict[str, dict[int, NDArray[np.float64]]] = {COMMAND: {}}
    for column, values in table.columns.items():
        if column not in (TIME, ""):  # a column without a name is an index
            name, bracket, index = column.removesuffix("]").partition("[")
            if bracket and not index.isdigit():
                raise RecordingError(f"column {column!r} of {path.name} cannot name a signal: rename it, or use a map")
            group = groups.setdefault(name, {})
            if int(index or 0) in group:
                raise ValueError(f"two columns are {name}[{int(index or 0)}]")
            group[int(index or 0)] = values
    for name, some in groups.items():
        if sorted(some) != list(range(len(some))):
            raise RecordingError(f"columns of {name} are numbered {sorted(some)}, not 0 to {len(some) - 1}")
    data = {
        name: np.stack([some[k] for k in range(len(some))], 1) if some else np.zeros((table.length, 0))
        for name, some in groups.items()
    }
    return Recording(table.columns[TIME], data.pop(COMMAND), data, **_metadata(table.about))


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


def _metadata(about: Mapping[str, Any]) -> dict[str, Any]:
    return {"units": about.get("units", {}), "metadata": about.get("metadata", {})}


def _write_npz(path: Path, recording: Recording) -> None:
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            allow_pickle=False,
            **{TIME: recording.time_s, COMMAND: recording.command, ABOUT: np.array(_about(recording))},
            **recording.signals,
        )


def _table(recording: Recording) -> dict[str, NDArray[np.float64]]:
    """One column per number, named `signal[k]`."""
    table = {TIME: recording.time_s}
    for name, values in ((COMMAND, recording.command), *recording.signals.items()):
        table |= {f"{name}[{k}]": values[:, k] for k in range(values.shape[1])}
    return table


def _write_csv(path: Path, recording: Recording) -> None:
    table = _table(recording)
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# {_about(recording)}\n")
        rows = csv.writer(file)
        rows.writerow(table)
        rows.writerows(np.stack(list(table.values()), 1).tolist())


def _write_parquet(path: Path, recording: Recording) -> None:
    arrow, parquet = _arrow()
    table = arrow.table(_table(recording)).replace_schema_metadata({ABOUT: _about(recording)})
    parquet.write_table(table, path)


def _arrow() -> tuple[Any, Any]:
    with advice():
        import pyarrow
        from pyarrow import parquet
    return pyarrow, parquet


WRITERS: dict[str, Callable[[Path, Recording], None]] = {
    ".npz": _write_npz,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}


def _writer(path: Path) -> Callable[[Path, Recording], None]:
    if path.suffix.lower() not in WRITERS:
        raise UnknownNameError("kind of recording", path.suffix, WRITERS)
    return WRITERS[path.suffix.lower()]
