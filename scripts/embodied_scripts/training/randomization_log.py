"""What each world was given, and what came of it: one line of a table per episode of a training."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

from stable_baselines3.common.callbacks import BaseCallback

from embodied.errors import CheckpointError

OWN = ("step", "world", "return", "success")


class RandomizationLog(BaseCallback):
    """Appends to a CSV file whose columns are `OWN` and the names of what differs from world to world.

    A run that goes on from a checkpoint leaves out what was written after it, and so writes no episode twice.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        super().__init__()
        self._path, self._head = path, [*OWN, *names]
        self._file: TextIOWrapper | None = None

    def _on_training_start(self) -> None:
        whole = self._path.with_suffix(".new")
        with whole.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([self._head, *self._lines_until(self.num_timesteps)])
        whole.replace(self._path)
        self._file = self._path.open("a", newline="", encoding="utf-8")
        self._table = csv.writer(self._file)

    def _on_step(self) -> bool:
        for world, info in enumerate(self.locals["infos"]):
            if "sampled_parameters" in info:
                came_of_it = (info["episode"]["r"], int(info.get("is_success", False)))
                sampled = [
                    repr(float(value)) for value in info["sampled_parameters"]
                ]  # exactly, so that it can be put back
                self._table.writerow((self.num_timesteps, world, *came_of_it, *sampled))
        return True

    def _on_rollout_end(self) -> None:
        assert self._file is not None
        self._file.flush()

    def _on_training_end(self) -> None:
        assert self._file is not None
        self._file.close()

    def _lines_until(self, step: int) -> list[list[str]]:
        """What was written up to a step, without the head; a line that a kill cut short is left out.

        Raises:
            CheckpointError: it is of other things that differ.
        """
        if not self._path.exists():
            return []
        with self._path.open(newline="", encoding="utf-8") as file:
            head, *lines = list(csv.reader(file)) or [self._head]
        if head != self._head:
            raise CheckpointError(f"{self._path} is of another randomization: {', '.join(head[len(OWN) :])}")
        return [line for line in lines if len(line) == len(head) and int(line[0]) <= step]
