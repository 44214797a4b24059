"""Which reader a file or a folder is for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from embodied.errors import UnknownNameError
from embodied.sysid.readers.arrow import read_lerobot, read_parquet
from embodied.sysid.readers.delimited import read_delimited
from embodied.sysid.readers.files import read_hdf5, read_json, read_mat, read_npz
from embodied.sysid.readers.ros import read_bag, read_mcap
from embodied.sysid.readers.table import Table

FOLDERS = ("LeRobot dataset (meta/info.json)", "ROS 2 bag (metadata.yaml)")
READERS: dict[str, Callable[[Path], list[Table]]] = {
    ".npz": read_npz,
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".txt": read_delimited,
    ".dat": read_delimited,
    ".parquet": read_parquet,
    ".json": read_json,
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
    ".mat": read_mat,
    ".mcap": read_mcap,
    ".bag": read_bag,
}


def reader_of(path: Path) -> Callable[[Path], list[Table]]:
    """The reader of a file by its suffix, or of a folder by what is in it.

    Raises:
        UnknownNameError: a kind of log that is not read.
    """
    if path.is_dir():
        if (path / "meta" / "info.json").is_file():
            return read_lerobot
        if (path / "metadata.yaml").is_file():
            return read_bag
        raise UnknownNameError("kind of folder", path.name, FOLDERS)
    if path.suffix.lower() not in READERS:
        raise UnknownNameError("kind of recording", path.suffix, READERS)
    return READERS[path.suffix.lower()]
