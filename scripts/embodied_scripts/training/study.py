"""One training, or several seeds with and without memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from embodied.errors import EmbodiedError, OptionError
from embodied.learn.run import RunFolder
from embodied.nn.config import NetworkConfig
from embodied_scripts.cli.train import MANY_WORLDS, Train
from embodied_scripts.cli.train_sac import TrainSAC
from embodied_scripts.ids import parse_options, resolve_id
from embodied_scripts.resuming import settings_as_json
from embodied_scripts.training.cluster import train_everywhere
from embodied_scripts.training.run import train_one

FILES = ("start_from", "demonstrations", "randomize")


def train(asked: Train) -> None:
    """Trains one run, or a study of several; with `resume`, goes on where it stopped."""
    settings = replace(asked, id=resolve_id(asked.id), **_absolute(asked))
    check(settings)
    name = settings.id.split("/")[-1]
    if settings.seeds == 1 and not settings.with_memoryless and settings.ray is None:
        train_one(replace(settings, run_dir=asked.run_dir or Path("runs") / f"{name}-{asked.seed}"))
        return
    _train_study(replace(settings, run_dir=asked.run_dir or Path("runs") / f"{name}-study"))


def check(asked: Train) -> None:
    """Refuses options that do not fit each other.

    Raises:
        OptionError: the first that is found.
    """
    parse_options(asked.options)
    for message in _contradictions(asked):
        raise OptionError(message)


def _contradictions(asked: Train) -> Iterator[str]:
    least = 1 if asked.demonstrations is None else 0  # cloning alone
    if min(asked.n_envs, asked.seeds) < 1 or (asked.steps is not None and asked.steps < least):
        yield "steps, n_envs and seeds must be at least 1"
    if asked.with_memoryless and asked.network.policy != "TransformerPolicy":
        yield "--with-memoryless is for a TransformerPolicy; beside others, train --policy MlpPolicy"
    if asked.threads < 0:
        yield "threads must be at least 1, or 0 for one per core"
    if not asked.view_every >= 0:
        yield f"view_every must be 0 or more seconds, not {asked.view_every}"
    if asked.view is not None and (asked.seeds > 1 or asked.with_memoryless or asked.ray is not None):
        yield "--view watches one training: leave out --seeds, --with-memoryless and --ray"
    if isinstance(asked, TrainSAC) and (asked.expert or asked.demonstrations) is not None:
        yield "--expert and --demonstrations are for embodied train"
    if isinstance(asked, TrainSAC) and asked.ppo != MANY_WORLDS:
        yield "settings of PPO are for embodied train"
    if asked.expert is not None and asked.previous:
        yield "an expert observes what the robot observes: leave out --previous"
    if asked.start_from is not None and (asked.network != NetworkConfig() or asked.with_memoryless):
        decided = [f.name for f in fields(asked.network) if getattr(asked.network, f.name) != f.default]
        yield f"--start-from decides the network; leave out {', '.join(decided) or 'with_memoryless'}"


def _absolute(asked: Train) -> dict[str, Any]:
    """Files and folders by their whole path, for trainings in other working directories."""
    given = {name: getattr(asked, name) for name in FILES}
    if asked.expert is not None and (Path(asked.expert) / "policy").is_dir():
        given["expert"] = asked.expert
    if asked.start_from is not None and not Path(asked.start_from).exists():
        del given["start_from"]  # the name of an environment, with which a policy comes
    return {name: str(Path(path).absolute()) for name, path in given.items() if path is not None}


def _train_study(study: Train) -> None:
    runs = _runs_of(study)
    if study.ray is not None:
        _train_on_ray(runs, study.ray)
        return
    for run in runs:
        if not train_one(run):
            return


def _runs_of(study: Train) -> list[Train]:
    """The runs that a study is made of."""
    assert study.run_dir is not None
    networks = {"memory": study.network}
    if study.with_memoryless:
        networks["memoryless"] = replace(study.network, context=1)
    runs = []
    for seed in range(study.seed, study.seed + study.seeds):
        for name, network in networks.items():
            folder = study.run_dir / f"{name}-{seed}"
            resume = study.resume and (folder / "run.json").exists()
            runs.append(replace(study, seed=seed, network=network, run_dir=folder, resume=resume))
    return runs


def _train_on_ray(runs: list[Train], address: str) -> None:
    threads = max(1, runs[0].threads)
    jobs = [
        settings_as_json(run) | {"run_dir": str(Path(str(run.run_dir)).absolute()), "threads": threads} for run in runs
    ]
    for run in runs:
        RunFolder(Path(str(run.run_dir))).check_free(run.resume)
    failures = []
    for folder, error in train_everywhere(jobs, address, threads, gpus=int(runs[0].device.startswith("cuda"))):
        Console(soft_wrap=True).print(f"{folder}: {error or 'trained'}", markup=False, highlight=False)
        failures += [folder.name] if error else []
    if failures:
        raise EmbodiedError(f"{', '.join(failures)} failed; the others are saved")
