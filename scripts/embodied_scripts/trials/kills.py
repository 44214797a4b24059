"""Trainings and leagues that are killed at random moments must end where those end that were left alone."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from embodied.errors import EmbodiedError
from embodied.learn.saving import TRAINER, TRAINER_CARD
from embodied.nn.checkpoint import WEIGHTS, load_json
from embodied.nn.config import NetworkConfig
from embodied.nn.generation import current, has_file, verify
from embodied.nn.policy import load_policy
from embodied.selfplay.config import LeagueConfig
from embodied_scripts.cli.league import TrainLeague
from embodied_scripts.cli.study_foreign import Kills
from embodied_scripts.cli.train import MANY_WORLDS, Train
from embodied_scripts.training import progress
from embodied_scripts.training.league import train_league
from embodied_scripts.training.run import train_one

STEPS, ROLLOUT, MEMBERS = 2_048, 64, 16
NETWORK = NetworkConfig("GRUPolicy", 1, 16)
SHARE = 0.6  # of the time that a whole run takes, within which it is killed
Work = Callable[[Path], None]


def kill_again_and_again(asked: Kills) -> None:
    """Prints how often, what was lost, and whether the final weights are the same; raises EmbodiedError if not."""
    shutil.rmtree(asked.out, ignore_errors=True)
    torch.set_num_threads(1)
    kinds: dict[str, tuple[Work, int]] = {"training": (_train, ROLLOUT), "league": (_league, STEPS // MEMBERS)}
    rng = np.random.default_rng(asked.seed)
    for name, (work, interval) in kinds.items():
        whole = asked.out / f"{name}-whole"
        begun = time.monotonic()
        if _run(work, whole).exitcode:
            raise EmbodiedError(f"the {name} does not even end when it is left alone")
        lasts, kills, sessions, most = time.monotonic() - begun, 0, 0, 0
        while kills < asked.count // len(kinds):
            folder = asked.out / f"{name}-{sessions}"
            more, lost = _killed_session(work, folder, lasts, rng, asked.count // len(kinds) - kills)
            kills, sessions, most = kills + more, sessions + 1, max(most, lost)
            _compare(folder / "policy", whole / "policy")
            shutil.rmtree(folder)
        Console(soft_wrap=True).print(
            f"{name}: {kills} kills in {sessions} runs; every folder readable, at most {most} steps lost of {interval} "
            f"between checkpoints (and a rollout of {ROLLOUT}), final weights the same bits",
            highlight=False,
        )
        if most > interval + ROLLOUT:
            raise EmbodiedError(f"a kill cost the {name} {most} steps, more than one interval")


def _killed_session(work: Work, folder: Path, lasts: float, rng: np.random.Generator, left: int) -> tuple[int, int]:
    """Kills a run until it ends nevertheless; how often, and the most steps that a kill cost."""
    kills, most = 0, 0
    while True:
        process, reached = _start(work, folder)
        process.join(float(rng.uniform(0, SHARE * lasts)) if kills < left else None)
        if process.exitcode is not None:
            if process.exitcode:
                raise EmbodiedError(f"{folder} could not be gone on with")
            return kills, most
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        kills += 1
        most = max(most, int(reached.value) - _saved(folder / "policy"))


def _saved(folder: Path) -> int:
    """Of how many steps a checkpoint is, whose files all belong together; 0 before the first."""
    if not has_file(folder, TRAINER_CARD):
        return 0
    load_policy(folder)
    verify(folder, [WEIGHTS, TRAINER, TRAINER_CARD])
    return int(load_json(current(folder, TRAINER_CARD))["num_timesteps"])


def _compare(one: Path, other: Path) -> None:
    first, second = (load_policy(folder).state_dict() for folder in (one, other))
    differ = [name for name in first if not torch.equal(first[name], second[name])]
    if differ:
        raise EmbodiedError(f"{one} ended with other weights: {', '.join(differ[:3])}")


def _run(work: Work, folder: Path) -> multiprocessing.process.BaseProcess:
    process, _ = _start(work, folder)
    process.join()
    return process


def _start(work: Work, folder: Path) -> tuple[multiprocessing.process.BaseProcess, Synchronized]:
    fork = multiprocessing.get_context("fork")
    reached = fork.Value("q", 0)
    process = fork.Process(target=_in_child, args=(work, folder, reached))
    process.start()
    return process, reached


def _in_child(work: Work, folder: Path, reached: Synchronized) -> None:
    sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 (for as long as the process lives)
    tell = progress.Progress._on_rollout_end

    def telling(self: progress.Progress) -> None:
        reached.value = self.model.num_timesteps
        tell(self)

    progress.Progress._on_rollout_end = telling  # type: ignore[method-assign]
    progress.UPDATES_BETWEEN_CHECKPOINTS = 1
    work(folder)


def _train(folder: Path) -> None:
    settings: dict[str, Any] = {"ppo": replace(MANY_WORLDS, n_steps=16, n_epochs=2), "network": NETWORK}
    begun = (folder / "run.json").exists()
    train_one(Train("embodied/Signpost-v0", steps=STEPS, n_envs=4, threads=1, run_dir=folder, resume=begun, **settings))


def _league(folder: Path) -> None:
    settings: dict[str, Any] = {
        "ppo": replace(MANY_WORLDS, n_steps=8, n_epochs=2, dagger_share=0.3),
        "network": NETWORK,
        "league": LeagueConfig(concurrent_opponents=2, checkpoints=MEMBERS, population_size=8),
        "options": ("episode_s=1.0",),
    }
    begun = (folder / "run.json").exists()
    train_league(TrainLeague("Sumo-v0", steps=STEPS, n_envs=8, threads=1, run_dir=folder, resume=begun, **settings))
