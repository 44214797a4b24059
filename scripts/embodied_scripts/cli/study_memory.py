"""`embodied study novel|popgym|recall`: published benchmarks of memory, with the settings of the documentation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from embodied_scripts.cli.lazy import load

CORES = ("transformer", "gru", "mlp")


@dataclass(frozen=True)
class MemoryBenchmark:
    """Options of every benchmark of memory."""

    name: ClassVar[str]

    seeds: int = 3
    """Seeds of the transformer; the other cores get one."""
    cores: tuple[str, ...] = CORES
    """Which networks: transformer, gru, mlp."""
    only: tuple[str, ...] = ()
    """Only these environments."""
    episodes: int = 200
    """Fresh episodes after training; their mean return is reported."""
    jobs: int = 0
    """Trainings at once, each with its share of the cores (0: one per core; small networks gain little from two)."""
    out: Path = Path("runs/study.jsonl")
    """One line of JSON per finished training."""
    picture: Path | None = None
    """Draw the learning curves into this file, such as curves.png."""

    def run(self) -> None:
        """Trains what is missing and prints the table."""
        load("studies.memory_benchmarks:run_benchmark")(self)


@dataclass(frozen=True)
class NoVelocity(MemoryBenchmark):
    """Classic control without velocities, beside rl-zoo3's recurrent PPO."""

    name = "novel"


@dataclass(frozen=True)
class PopGym(MemoryBenchmark):
    """Partially observable games of POPGym (extra: bench)."""

    name = "popgym"


@dataclass(frozen=True)
class Recall(MemoryBenchmark):
    """A cue that is asked for after a delay of up to 100 steps."""

    name = "recall"
