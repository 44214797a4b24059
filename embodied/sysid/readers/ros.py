"""MCAP files and ROS bags: messages of joints, put on the time of the measured ones.

Messages that are read: `sensor_msgs/JointState`, `trajectory_msgs/JointTrajectory` (its first point), arrays of numbers
(`std_msgs/Float64MultiArray`) and, in MCAP, JSON objects with the same fields. A column is `/topic/field[joint]`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from embodied.extras import advice
from embodied.sysid.readers.table import MOST_NUMBERS, Table, Vector

FIELDS = ("position", "velocity", "effort")
COMMANDING = ("command", "cmd", "target", "desired", "reference", "action", "goal")
Message = tuple[str, int, Any]  # topic, time of the log [ns], what was said


def read_mcap(path: Path) -> list[Table]:
    """Reads the joints of an MCAP file."""
    return [_table(_mcap_messages(path))]


def read_bag(path: Path) -> list[Table]:
    """Reads the joints of a ROS 1 bag, or of a folder with a ROS 2 bag."""
    with advice():
        from rosbags.highlevel import AnyReader, AnyReaderError
        from rosbags.typesys import Stores, get_typestore
    try:
        with AnyReader([path], default_typestore=get_typestore(Stores.LATEST)) as reader:
            raw = reader.messages()
            return [_table((c.topic, stamp, reader.deserialize(data, c.msgtype)) for c, stamp, data in raw if _read(c))]
    except AnyReaderError as error:
        raise ValueError(f"it is no bag: {error}") from error


def _read(connection: Any) -> bool:
    """Whether messages of a connection are of a kind that is understood; others are not even decoded."""
    return connection.msgtype.endswith(("JointState", "JointTrajectory", "Float64MultiArray", "Float32MultiArray"))


def _mcap_messages(path: Path) -> Iterator[Message]:
    with advice():
        from mcap.exceptions import McapError
        from mcap.reader import make_reader
        from mcap_ros2.decoder import DecoderFactory
    try:
        with path.open("rb") as file:
            reader = make_reader(file)
            decoders: dict[int, Any] = {}
            for schema, channel, message in reader.iter_messages():
                if channel.message_encoding == "json":
                    yield channel.topic, message.log_time, json.loads(message.data)
                elif channel.message_encoding == "cdr" and schema is not None:
                    if channel.id not in decoders:
                        decoders[channel.id] = DecoderFactory().decoder_for(channel.message_encoding, schema)
                    if decoders[channel.id] is not None:
                        yield channel.topic, message.log_time, decoders[channel.id](message.data)
    except McapError as error:
        raise ValueError(f"it is no MCAP file: {error}") from error


class _Stream:
    """What one topic says over time."""

    def __init__(self) -> None:
        self.stamp_ns: list[int] = []
        self.rows: dict[str, list[float]] = {}

    def add(self, stamp_ns: int, numbers: dict[str, float]) -> None:
        """Adds a message; what it does not say is unknown."""
        self.stamp_ns.append(stamp_ns)
        for name in numbers:
            if name not in self.rows:
                self.rows[name] = [np.nan] * (len(self.stamp_ns) - 1)
        for name, values in self.rows.items():
            values.append(numbers.get(name, np.nan))


def _table(messages: Iterator[Message]) -> Table:
    """One table for all topics, on the time of the one that measures most often."""
    streams: dict[str, _Stream] = {}
    for topic, log_ns, message in messages:
        numbers = _numbers_of(message)
        if numbers:
            streams.setdefault(topic, _Stream()).add(_stamp_of(message) or log_ns, numbers)
    if not streams:
        raise ValueError("it holds no messages of joints")
    if sum(len(s.stamp_ns) * len(s.rows) for s in streams.values()) > MOST_NUMBERS:
        raise ValueError("it holds too many numbers")
    measured = [topic for topic in streams if not commands(topic)] or list(streams)
    lead = max(measured, key=lambda topic: len(streams[topic].stamp_ns))
    first = streams[lead].stamp_ns[0]
    now = np.array(streams[lead].stamp_ns, np.int64)
    columns: dict[str, Vector] = {"time": np.asarray((now - first) * 1e-9, np.float64)}
    for topic, stream in streams.items():
        stamps = np.array(stream.stamp_ns, np.int64)
        order = np.argsort(stamps, kind="stable")
        last = np.searchsorted(stamps[order], now, side="right") - 1
        for name, values in stream.rows.items():
            held = np.array(values)[order][np.maximum(last, 0)]
            columns[f"{topic}/{name}"] = np.where(last >= 0, held, np.nan)
    columns = _from_the_first_command(columns, [topic for topic in streams if commands(topic)])
    metadata = {"time": lead, "topics": sorted(streams)}
    return Table(columns, {"metadata": metadata}, frozenset({"time"}), "ros")


def _from_the_first_command(columns: dict[str, Vector], topics: list[str]) -> dict[str, Vector]:
    """Without the rows before anything was commanded.

    Raises:
        ValueError: commands and measurements are of different clocks.
    """
    known = np.zeros(len(columns["time"]), bool)
    for name, values in columns.items():
        if any(name.startswith(f"{topic}/") for topic in topics):
            known |= np.isfinite(values)
    if not topics:
        return columns
    if not known.any():
        late = ", ".join(topics)
        raise ValueError(f"{late} command only after everything was measured: are their clocks the same?")
    return {name: values[int(known.argmax()) :] for name, values in columns.items()}


def commands(topic: str) -> bool:
    """Whether a topic is called like one of commands."""
    return any(word in topic.lower() for word in COMMANDING)


def _get(message: Any, name: str) -> Any:
    return message.get(name) if isinstance(message, dict) else getattr(message, name, None)


def _stamp_of(message: Any) -> int:
    """The time in a message's header [ns]; 0 where it has none."""
    header = _get(message, "header")
    stamp = None if header is None else _get(header, "stamp")
    if stamp is None:
        return 0
    seconds = _get(stamp, "sec")
    rest = _get(stamp, "nanosec")
    return int(seconds or 0) * 1_000_000_000 + int((_get(stamp, "nsec") if rest is None else rest) or 0)


def _numbers_of(message: Any) -> dict[str, float]:
    """Numbers by `field[joint]`."""
    points = _get(message, "points")
    if points is not None and len(points):
        names = list(_get(message, "joint_names") or [])
        fields = {"position": "positions", "velocity": "velocities", "effort": "effort"}
        values = {field: _get(points[0], theirs) for field, theirs in fields.items()}
    elif _get(message, "data") is not None and not isinstance(_get(message, "data"), str | bytes):
        names, values = [], {"data": _get(message, "data")}
    else:
        names, values = list(_get(message, "name") or []), {field: _get(message, field) for field in FIELDS}
    numbers: dict[str, float] = {}
    for field, row in values.items():
        if row is None or not np.iterable(row):
            continue
        for k, value in enumerate(row):
            joint = names[k] if k < len(names) else str(k)
            if isinstance(value, int | float | np.number):
                numbers[f"{field}[{joint}]"] = float(value)
    return numbers
