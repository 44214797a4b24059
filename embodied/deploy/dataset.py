"""Runs as episodes of a LeRobot dataset (format 3.0), which LeRobot's own tools read, show and train on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodied.errors import RecordingError
from embodied.extras import advice
from embodied.files import read_json, write_json
from embodied.sysid.recording import Recording

VERSION = "v3.0"
CHUNK = "chunk-{chunk_index:03d}/file-{file_index:03d}"
STATE, ACTION = "observation.state", "action"
COUNTERS = {"timestamp": "float32", "frame_index": "int64", "episode_index": "int64", "index": "int64"}
COUNTERS |= {"task_index": "int64"}


class LeRobotFolder:
    """A dataset on disk, to which episodes are added, each in files of its own; angles are in degrees, as LeRobot has
    them.

    Args:
        folder: new, or one that this class has written.
        fps: rows per second; joints: names, in the order of the angles; robot: what LeRobot calls its type.

    Raises:
        RecordingError: the folder holds a dataset of another robot, rate or format.
    """

    def __init__(self, folder: Path, fps: float, joints: tuple[str, ...], robot: str) -> None:
        self.folder = folder
        vector = {"dtype": "float32", "shape": [len(joints)], "names": [f"{joint}.pos" for joint in joints]}
        counters = {name: {"dtype": dtype, "shape": [1], "names": None} for name, dtype in COUNTERS.items()}
        fresh: dict[str, Any] = {
            "codebase_version": VERSION,
            "robot_type": robot,
            "total_episodes": 0,
            "total_frames": 0,
            "total_tasks": 0,
            "chunks_size": 1000,
            "data_files_size_in_mb": 100,
            "video_files_size_in_mb": 200,
            "fps": round(fps),
            "splits": {},
            "data_path": f"data/{CHUNK}.parquet",
            "video_path": None,
            "features": {STATE: vector, ACTION: vector} | counters,
        }
        path = folder / "meta" / "info.json"
        self._info = read_json(path, RecordingError) if path.exists() else fresh
        for name in ("codebase_version", "robot_type", "fps", "features"):
            if self._info.get(name) != fresh[name]:
                raise RecordingError(f"{folder} holds a dataset with {name} {self._info.get(name)}, not {fresh[name]}")

    def __len__(self) -> int:
        return int(self._info["total_episodes"])

    def add(self, run: Recording, task: str, angles: str = "angle") -> None:
        """Adds a run: its commands as actions, and a signal of it as what was observed [rad].

        Raises:
            MissingExtraError: pyarrow is not installed.
        """
        episode, first, frames = len(self), int(self._info["total_frames"]), len(run)
        columns: dict[str, NDArray] = {
            STATE: np.degrees(run.signal(angles)).astype(np.float32),
            ACTION: np.degrees(run.command).astype(np.float32),
            "timestamp": (np.arange(frames) / self._info["fps"]).astype(np.float32),
            "frame_index": np.arange(frames),
            "episode_index": np.full(frames, episode),
            "index": first + np.arange(frames),
            "task_index": np.full(frames, self._task(task)),
        }
        place = CHUNK.format(chunk_index=0, file_index=episode)
        _write(self.folder / "data" / f"{place}.parquet", columns)
        stats = {name: _statistics(values) for name, values in columns.items()}
        about: dict[str, Any] = {
            "episode_index": [episode],
            "tasks": [[task]],
            "length": [frames],
            "data/chunk_index": [0],
            "data/file_index": [episode],
            "dataset_from_index": [first],
            "dataset_to_index": [first + frames],
            "meta/episodes/chunk_index": [0],
            "meta/episodes/file_index": [episode],
        }
        about |= {f"stats/{name}/{what}": [value] for name, some in stats.items() for what, value in some.items()}
        _write(self.folder / "meta" / "episodes" / f"{place}.parquet", about)
        merged = self._merged(stats, first)
        self._info |= {"total_episodes": episode + 1, "total_frames": first + frames}
        self._info["splits"] = {"train": f"0:{episode + 1}"}
        _save(self.folder / "meta" / "info.json", self._info)
        _save(self.folder / "meta" / "stats.json", merged)

    def _task(self, task: str) -> int:
        """The number of a task, which is written down when it is new; LeRobot reads them by pandas' index."""
        path = self.folder / "meta" / "tasks.json"
        tasks: list[str] = read_json(path, RecordingError)["tasks"] if path.exists() else []
        self._info["total_tasks"] = len(tasks)
        if task in tasks:
            return tasks.index(task)
        tasks.append(task)
        _save(path, {"tasks": tasks})
        names, index = "__index_level_0__", list(range(len(tasks)))
        described: list[dict[str, Any]] = [
            {"name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64"},
            {"name": None, "field_name": names, "pandas_type": "unicode", "numpy_type": "object"},
        ]
        pandas = {
            "index_columns": [names],
            "column_indexes": [],
            "columns": [d | {"metadata": None} for d in described],
        }
        _write(self.folder / "meta" / "tasks.parquet", {"task_index": index, names: tasks}, pandas)
        self._info["total_tasks"] = len(tasks)
        return len(tasks) - 1

    def _merged(self, new: dict[str, dict[str, list]], frames: int) -> dict[str, Any]:
        """Statistics of all episodes: those of the `frames` so far, and those of one more."""
        path = self.folder / "meta" / "stats.json"
        old = read_json(path, RecordingError) if path.exists() else {}
        if not old or old["index"]["count"] != [frames]:  # there are none yet, or somebody was interrupted
            old = self._counted_again()
        return {name: _together(old[name], some) for name, some in new.items()} if old else new

    def _counted_again(self) -> dict[str, dict[str, list]]:
        """Statistics of the episodes so far, from their files."""
        with advice():
            import pyarrow.parquet as parquet
        total: dict[str, dict[str, list]] = {}
        for k in range(len(self)):
            table = parquet.read_table(self.folder / "data" / f"{CHUNK.format(chunk_index=0, file_index=k)}.parquet")
            some = {name: _statistics(np.array(table[name].to_pylist())) for name in (STATE, ACTION, *COUNTERS)}
            total = {name: _together(total[name], one) for name, one in some.items()} if total else some
        return total


def _statistics(values: NDArray) -> dict[str, list]:
    rows = values.reshape(len(values), -1).astype(np.float64)
    by_name = {"min": rows.min(axis=0), "max": rows.max(axis=0), "mean": rows.mean(axis=0), "std": rows.std(axis=0)}
    return {name: value.tolist() for name, value in by_name.items()} | {"count": [len(rows)]}


def _together(one: dict[str, list], other: dict[str, list]) -> dict[str, list]:
    """Of two samples as one."""
    n, m = one["count"][0], other["count"][0]
    a, b = ({name: np.array(some[name], float) for name in ("min", "max", "mean", "std")} for some in (one, other))
    mean = (n * a["mean"] + m * b["mean"]) / (n + m)
    square = (n * (a["std"] ** 2 + a["mean"] ** 2) + m * (b["std"] ** 2 + b["mean"] ** 2)) / (n + m)
    merged = {"min": np.minimum(a["min"], b["min"]), "max": np.maximum(a["max"], b["max"]), "mean": mean}
    merged["std"] = np.sqrt(np.maximum(square - mean**2, 0.0))
    return {name: value.tolist() for name, value in merged.items()} | {"count": [n + m]}


def _write(path: Path, columns: dict[str, Any], pandas: dict[str, Any] | None = None) -> None:
    with advice():
        import pyarrow
        import pyarrow.parquet
    values = {name: list(v) if getattr(v, "ndim", 1) > 1 else v for name, v in columns.items()}
    table = pyarrow.table(values)
    if pandas is not None:
        table = table.replace_schema_metadata({b"pandas": json.dumps(pandas).encode()})
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(table, path)


def _save(path: Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, data)
