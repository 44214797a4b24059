"""What each world was given, and what came of it: one line of a table per episode of a training."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

from stable_baselines3.common.callbacks import BaseCallback

OWN = ("step", "world", "return", "success")


class DrawsLog(BaseCallback):
    """Appends to a CSV file whose columns are `OWN` and the names of what differs from world to world.

    A run that goes on from a checkpoint leaves out what was written after it, and so writes no episode twice.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        super().__init__()
        self._path, self._names = path, names
        self._file: TextIOWrapper | None = None

    def _on_training_start(self) -> None:
        kept = self._lines_until(self.num_timesteps)
        self._file = self._path.open("w", newline="", encoding="utf-8")
        self._table = csv.writer(self._file)
        self._table.writerows([(*OWN, *self._names), *kept])

    def _on_step(self) -> bool:
        for world, info in enumerate(self.locals["infos"]):
            if "drawn" in info:
                came_of_it = (info["episode"]["r"], int(info.get("is_success", False)))
                drawn = [repr(float(value)) for value in info["drawn"]]  # exactly, so that it can be put back
                self._table.writerow((self.num_timesteps, world, *came_of_it, *drawn))
        return True

    def _on_rollout_end(self) -> None:
        assert self._file is not None
        self._file.flush()

    def _on_training_end(self) -> None:
        assert self._file is not None
        self._file.close()

    def _lines_until(self, step: int) -> list[list[str]]:
        """What was written up to a step, without the head; a line that a kill cut short is left out."""
        if not self._path.exists():
            return []
        with self._path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.reader(file))[1:]
        whole = len(OWN) + len(self._names)
        return [line for line in lines if len(line) == whole and int(line[0]) <= step]
