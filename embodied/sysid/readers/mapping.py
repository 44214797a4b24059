"""What the columns of somebody's log are: a file or a preset that says where time, commands and signals stand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from embodied.errors import RecordingError, UnknownNameError
from embodied.files import checked, read_toml
from embodied.patterns import matches
from embodied.sysid.readers.ros import commands
from embodied.sysid.readers.table import Table
from embodied.sysid.readers.units import TO_SI, known_unit, spelled

COUNTS = {"counts": ("rad", 1.0), "counts/s": ("rad/s", 1.0)}


NO_MAP = "is no map of columns"


class Columns(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which columns make a signal, and what their numbers mean: value = sign · scale · (number − offset), in `unit`.

    Attributes:
        columns: names, numbers of columns, or a pattern such as `observation.state[*]`; `{joint}` stands for each of
            the map's joints.
        unit: of the numbers; they are kept in SI. Counts of an encoder are `counts` or `counts/s`.
        counts_per_turn: of an encoder.
        scale, offset, sign: one for all columns, or one for each.
    """

    columns: str | int | list[str | int]
    unit: str = ""
    counts_per_turn: float = 0.0
    scale: float | list[float] = 1.0
    offset: float | list[float] = 0.0
    sign: float | list[float] = 1.0


class Time(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which column is the time, in which unit; or, without one, how many rows there are per second."""

    column: str | int | None = None
    unit: str = "s"
    rate_hz: float = 0.0


class LogMap(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What the columns of a log are.

    Attributes:
        joints: names that `{joint}` stands for, in the order of the columns that are made.
        command: None for a log without commands.
        metadata: kept with the recording, beside what the file itself tells.
    """

    time: Time
    signals: dict[str, Columns]
    command: Columns | None = None
    joints: list[str] = []
    metadata: dict[str, Any] = {}

    def parts(self, table: Table) -> dict[str, Any]:
        """Time, command, signals, units and metadata of a table, as `Recording` takes them.

        Raises:
            UnknownNameError: a column that the table does not have, or a unit that is not known.
            RecordingError: numbers that do not fit the columns.
        """
        units: dict[str, str] = {}
        signals = {}
        for name, columns in self.signals.items():
            signals[name], unit = self._values(name, columns, table)
            units |= {name: unit} if unit else {}
        command = np.zeros((table.length, 0))
        if self.command is not None:
            command, unit = self._values("command", self.command, table)
            units |= {"command": unit} if unit else {}
        metadata = {**table.about.get("metadata", {}), **self.metadata}
        metadata |= {"label": table.label} if table.label else {}
        return {
            "time_s": self._time(table),
            "command": command,
            "signals": signals,
            "units": units,
            "metadata": metadata,
        }

    def _time(self, table: Table) -> NDArray[np.float64]:
        """Seconds since the first row."""
        if self.time.column is None:
            if not self.time.rate_hz > 0:
                raise RecordingError("a map says which column is the time, or how many rows there are per second")
            return np.arange(table.length) / self.time.rate_hz
        (name,) = _named(self.time.column, table, self.joints)
        values = table.columns[name]
        factor = 1.0 if name in table.seconds else known_unit(self.time.unit)[1]
        return (values - values[0]) * factor

    def _values(self, name: str, spec: Columns, table: Table) -> tuple[NDArray[np.float64], str]:
        named = _named(spec.columns, table, self.joints)
        values = np.stack([table.columns[column] for column in named], axis=1)
        unit, factor = _unit(name, spec)
        rest = {}
        for what in ("scale", "offset", "sign"):
            rest[what] = np.asarray(getattr(spec, what), np.float64)
            if rest[what].ndim and len(rest[what]) != len(named):
                raise RecordingError(f"{what} of {name} has {len(rest[what])} numbers for {len(named)} columns")
        return factor * rest["sign"] * rest["scale"] * (values - rest["offset"]), unit


def _unit(name: str, spec: Columns) -> tuple[str, float]:
    """The SI unit, and the factor that leads to it."""
    if spec.unit in COUNTS:
        if not spec.counts_per_turn > 0:
            raise RecordingError(f"{name} is in {spec.unit}: say counts_per_turn")
        return COUNTS[spec.unit][0], 2 * np.pi / spec.counts_per_turn
    return known_unit(spec.unit) if spec.unit else ("", 1.0)


def _named(columns: str | int | list[str | int], table: Table, joints: list[str]) -> list[str]:
    """The columns of a table that are meant, in order."""
    if isinstance(columns, list):
        return [name for one in columns for name in _named(one, table, joints)]
    known = list(table.columns)
    if isinstance(columns, int):
        if not 0 <= columns < len(known):
            raise UnknownNameError("number of a column", columns, map(str, range(len(known))))
        return [known[columns]]
    if "{joint}" in columns:
        return [name for joint in joints for name in _named(columns.replace("{joint}", joint), table, [])]
    found = [columns] if columns in known else [name for name in known if matches(name, columns)]
    found = found or [name for name in known if name.partition("[")[0] == columns]
    if not found:
        raise UnknownNameError("column", columns, known)
    return found


PRESETS: Mapping[str, LogMap] = {
    "lerobot": LogMap(
        Time("timestamp"), {"position": Columns("observation.state[*]")}, Columns("action[*]"),
    ),
    "aloha": LogMap(
        Time(rate_hz=50.0), {"position": Columns("observations/qpos[*]", "rad")}, Columns("action[*]", "rad"),
    ),
    "bam": LogMap(
        Time("timestamp"),
        {
            "position": Columns("position", "rad"), "speed": Columns("speed", "rad/s"), "load": Columns("load"),
            "input_volts": Columns("input_volts", "V"), "temp": Columns("temp"),
            "torque_enable": Columns("torque_enable"),
        },
        Columns("goal_position", "rad"),
    ),
}  # fmt: skip


def read_map(given: Path | str) -> LogMap:
    """A preset by its name, or the map of a TOML file.

    Raises:
        UnknownNameError: neither a preset nor a file.
        RecordingError: a file that is no map.
    """
    if str(given) in PRESETS:
        return PRESETS[str(given)]
    path = Path(given)
    if not path.is_file():
        raise UnknownNameError("map", str(given), PRESETS, " (or a TOML file)")
    found = checked(read_toml(path, RecordingError, NO_MAP), LogMap, f"{path} {NO_MAP}", RecordingError)
    for name, columns in [*found.signals.items(), *([("command", found.command)] if found.command else [])]:
        if columns.unit and columns.unit not in COUNTS and spelled(columns.unit) not in TO_SI:
            raise UnknownNameError(f"unit of {name}", columns.unit, [*TO_SI, *COUNTS])
    return found


def guessed(table: Table) -> LogMap | None:
    """The map of a log whose kind is known; None for others."""
    if table.source in PRESETS:
        preset = PRESETS[table.source]
        there = {name: c for name, c in preset.signals.items() if _has(table, c)}
        return LogMap(preset.time, there, preset.command, preset.joints, preset.metadata)
    return _of_ros(table) if table.source == "ros" else None


def _has(table: Table, columns: Columns) -> bool:
    try:
        return bool(_named(columns.columns, table, []))
    except UnknownNameError:
        return False


def _of_ros(table: Table) -> LogMap:
    """What the topic that gave the time measures, of the joints that a topic of commands drives."""
    lead = str(table.about.get("metadata", {}).get("time", ""))
    prefix = f"{lead}/"
    joints = [n[len(prefix) + 9 : -1] for n in table.columns if n.startswith(f"{prefix}position[")]
    units = {"position": "rad", "velocity": "rad/s", "effort": "N·m"}
    command = None
    for topic in filter(commands, table.about.get("metadata", {}).get("topics", [])):
        for field, unit in {**units, "data": ""}.items():
            told = [
                name[len(topic) + 1 + len(field) + 1 : -1]
                for name in table.columns
                if name.startswith(f"{topic}/{field}[")
            ]
            driven = [joint for joint in joints if joint in told] if field != "data" else joints
            if command is None and topic != lead and told and driven:
                wanted = told if field == "data" else driven
                command = Columns([f"{topic}/{field}[{joint}]" for joint in wanted], unit)
                joints = driven
    signals = {
        field: Columns([f"{prefix}{field}[{joint}]" for joint in joints], unit)
        for field, unit in units.items()
        if joints and all(f"{prefix}{field}[{joint}]" in table.columns for joint in joints)
    }
    return LogMap(Time("time"), signals, command, joints, {"joints": joints})
