"""The folder of a training run: what was asked for, on what, what came of it, and how to go on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.logger import KVWriter, Logger, TensorBoardOutputFormat

from embodied.errors import CheckpointError
from embodied.learn.saving import TRAINER_CARD
from embodied.nn.checkpoint import load_json, save_json
from embodied.nn.generation import has_file, locked
from embodied.origin import git_revision, versions

RUN, METRICS, POLICY = "run.json", "metrics.jsonl", "policy"


class RunFolder:
    """`run.json` (settings, seed, versions, git revision), `metrics.jsonl`, TensorBoard files, `policy/`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def policy(self) -> Path:
        """The folder of the newest checkpoint."""
        return self.path / POLICY

    @property
    def has_checkpoint(self) -> bool:
        """Whether a training can go on from here."""
        return has_file(self.policy, TRAINER_CARD)

    def forget(self) -> None:
        """Takes away what a run that never came to a checkpoint has written, so that it can begin again."""
        for name in (RUN, METRICS):
            (self.path / name).unlink(missing_ok=True)

    def check_free(self, resume: bool) -> None:
        """Checks that a new run would overwrite nothing.

        Raises:
            CheckpointError: the folder already holds a run, and it is not to be resumed.
        """
        if not resume and (self.path / RUN).exists():
            raise CheckpointError(
                f"{self.path} already holds a run: choose another --run, go on with --resume, or delete it"
            )

    def make(self) -> None:
        """Creates the folder, if it is not there.

        Raises:
            CheckpointError: it cannot be.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(f"{self.path} cannot be a run's folder: {error.strerror or error}") from None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps other processes from training in the folder meanwhile.

        Raises:
            CheckpointError: one does, or the folder cannot be made.
        """
        was_there = self.path.exists()
        self.make()
        try:
            with locked(self.path):
                yield
        finally:
            if not was_there and self.path.is_dir() and not any(self.path.iterdir()):
                self.path.rmdir()  # nothing was begun

    def check_there(self) -> None:
        """Checks that the folder was not deleted.

        Raises:
            CheckpointError: it was.
        """
        if not (self.path / RUN).is_file():
            raise CheckpointError(f"{self.path} was deleted while it was trained in: nothing more is saved there")

    def begin(self, settings: dict[str, Any]) -> None:
        """Creates the folder and writes down where the run comes from.

        Raises:
            CheckpointError: the folder already holds a run.
        """
        self.check_free(False)
        self.make()
        origin = {
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "git": git_revision(),
            "versions": versions(),
        }
        save_json(self.path / RUN, {"settings": settings, **origin})

    def settings(self) -> dict[str, Any]:
        """Returns what the run was asked for.

        Raises:
            CheckpointError: there is no run here, or its description is damaged.
        """
        data = load_json(self.path / RUN)
        if not isinstance(data.get("settings"), dict):
            raise CheckpointError(f"{self.path / RUN} holds no settings")
        return data["settings"]

    def logger(self) -> Logger:
        """Returns a logger that appends to the metrics and to TensorBoard files."""
        return Logger(str(self.path), [_JsonLines(self.path / METRICS), TensorBoardOutputFormat(str(self.path))])


class _JsonLines(KVWriter):
    """Appends one JSON object per dump, so that an interrupted run loses at most its last line."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        numbers = {k: float(v) for k, v in key_values.items() if isinstance(v, int | float | np.number)}
        self._file.write(json.dumps({"step": step, **numbers}) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()
