"""Tables of studies: one line of JSON per finished training, so that an interrupted study goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from rich.console import Console
from rich.table import Table

from embodied.errors import EmbodiedError, OptionError, UnknownNameError
from embodied.physics.threads import default_threads

Row = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    """What was finished before; nothing where there is no such file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def rows_so_far(
    path: Path, steps: int, episodes: int, wanted: Iterable[tuple[str, int]]
) -> tuple[list[Row], list[tuple[str, int]]]:
    """The rows of a table that were made with these settings, and what is missing of `wanted` (condition, seed)."""
    rows = [row for row in read_rows(path) if (row["steps"], row["episodes"]) == (steps, episodes)]
    done = {(row["condition"], row["seed"]) for row in rows}
    return rows, [one for one in wanted if one not in done]


def gather(path: Path, trainings: Sequence[Future[Row]]) -> list[Row]:
    """Waits for trainings; writes, prints and returns the row of each as it is finished.

    Raises:
        EmbodiedError: some failed; the rows of the others are kept.
    """
    rows, failures = [], []
    for training in as_completed(trainings):
        if (error := training.exception()) is not None:
            failures.append(error)
            continue
        rows.append(training.result())
        with path.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        print(json.dumps({key: value for key, value in rows[-1].items() if not isinstance(value, list)}), flush=True)
    if failures:
        raise EmbodiedError(f"{len(failures)} trainings failed, the others are kept: {failures[0]}") from failures[0]
    return rows


class Study(Protocol):
    """What a study that trains under several conditions is asked for."""

    out: Path
    only: tuple[str, ...]
    seeds: int
    jobs: int
    steps: int
    episodes: int


def complete(asked: Study, conditions: Sequence[str], train: Callable[[int, int, str, int], Row]) -> list[Row]:
    """Trains what a table lacks, by condition and seed, in `jobs` processes (0: one per core); returns all its rows.

    Rows that were made with other settings are left alone. `train` takes steps, episodes, condition and seed.

    Raises:
        UnknownNameError: a condition that there is not.
        OptionError: numbers that do not do.
        EmbodiedError: some trainings failed.
    """
    if min(asked.seeds, asked.steps, asked.episodes) < 1 or asked.jobs < 0:
        raise OptionError("steps, episodes and seeds must be positive, and jobs 0 or more")
    for condition in asked.only:
        if condition not in conditions:
            raise UnknownNameError("kind of training", condition, conditions)
    asked.out.mkdir(parents=True, exist_ok=True)
    path, wanted = asked.out / "table.jsonl", [(one, seed) for seed in range(asked.seeds) for one in asked.only]
    rows, missing = rows_so_far(path, asked.steps, asked.episodes, wanted)
    with ProcessPoolExecutor(asked.jobs or default_threads(), get_context("spawn")) as pool:
        return rows + gather(path, [pool.submit(train, asked.steps, asked.episodes, *one) for one in missing])


def by_condition(rows: Sequence[Row], conditions: Sequence[str]) -> dict[str, list[Row]]:
    """The rows of each condition, in the order of the conditions."""
    return {name: [row for row in rows if row["condition"] == name] for name in conditions}


def print_table(title: str, columns: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    """Prints lines below their columns."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column)
    for line in lines:
        table.add_row(*line)
    Console().print(table)


def mean_and_error(values: Sequence[float], form: str = ".1%") -> str:
    """The mean and its standard error, as text."""
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{np.mean(values):{form}} ± {error:{form}}"
