"""One training from beginning to end, in its folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

import embodied_envs  # noqa: F401  (registers the ids)
from embodied.errors import CheckpointError, EmbodiedError, OptionError
from embodied.files import checked
from embodied.learn.guard import DivergenceGuard
from embodied.learn.learner import SequenceLearner
from embodied.learn.ppo import SequencePPO
from embodied.learn.resources import footprint
from embodied.learn.run import RunFolder
from embodied.learn.sac.algorithm import SequenceSAC
from embodied.lineage.making import Making
from embodied.physics.threads import default_threads
from embodied.vector.spec import EnvSpec
from embodied.vector.vec import GymVecEnv
from embodied_scripts.cli.options import import_flags
from embodied_scripts.cli.train import Train
from embodied_scripts.cli.train_sac import TrainSAC
from embodied_scripts.ids import parse_options
from embodied_scripts.records import training
from embodied_scripts.resuming import (
    EXPERT,
    keep_expert,
    keep_randomization,
    kept_randomization,
    refuse_changes,
    refuse_paths,
    settings_as_json,
)
from embodied_scripts.training.initialization import clone_demonstrations, expert_of, start_of
from embodied_scripts.training.live import Live
from embodied_scripts.training.progress import Checkpoints, Progress, Stop, on_interrupt
from embodied_scripts.training.randomization_log import RandomizationLog

STEPS = 1_500_000
COMMANDS: dict[type[Train], str] = {Train: "embodied train", TrainSAC: "embodied train-sac"}


def train_one(given: Train) -> bool:
    """Trains one run to its end; False if the person stopped it."""
    assert given.run_dir is not None
    folder = RunFolder(given.run_dir)
    with folder.held():
        return _train(folder, given)


def train_to_end(given: Train) -> None:
    """Trains one run to its end, from its last checkpoint if there is one.

    Raises:
        EmbodiedError: a person stopped it.
    """
    assert given.run_dir is not None
    folder = RunFolder(given.run_dir)
    with folder.held():
        begun = folder.has_checkpoint
        if not begun:
            folder.forget()  # killed before the first checkpoint: nothing to go on from
        finished = _train(folder, replace(given, resume=begun))
    if not finished:
        raise EmbodiedError(f"{given.run_dir} was stopped before its end; the same command goes on with it")


def _train(folder: RunFolder, given: Train) -> bool:
    settings = (
        settings_of(folder, given)
        if given.resume
        else replace(given, steps=STEPS if given.steps is None else given.steps)
    )
    folder.check_free(given.resume)
    making = training(settings, _spec_of(settings).jsonable(), folder.policy)
    model = build(settings)
    live = _live_view(model, settings, folder)
    if given.resume:
        model.resume(folder.policy)
    else:
        clone_demonstrations(model, settings)
        folder.begin(settings_as_json(settings))
        keep_randomization(folder.path, settings.randomize)
        keep_expert(folder.path, settings.expert)
        save(model, folder, making)
    model.set_logger(folder.logger())
    model.logger.output_formats.extend(one.writer() for one in live)
    Console().print(_size_of(model), highlight=False)
    try:
        finished = _learn(model, settings, folder, making, live)
    except OSError as error:
        folder.check_there()
        raise CheckpointError(f"{folder.path} cannot be written to: {error.strerror or error}") from error
    save(model, folder, making)
    command = "embodied evaluate" if finished else f"{COMMANDS[type(settings)]} {settings.id} --resume --run"
    done = (
        f"{'Trained' if finished else 'Stopped'}; saved in {folder.path}. Next: {command} {folder.path}{import_flags()}"
    )
    Console(soft_wrap=True).print(done, markup=False, highlight=False)
    return finished


def build(settings: Train) -> SequenceLearner:
    """The trainer of a run."""
    threads = settings.threads or default_threads()
    if settings.device.startswith("cuda") and not torch.cuda.is_available():
        raise OptionError("--device is cuda, but torch finds no GPU here; known: cpu")
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    env = _worlds_of(settings, threads)
    start = start_of(settings) or settings.network
    how: dict[str, Any] = {"seed": settings.seed, "device": settings.device}
    model: SequenceLearner
    if isinstance(settings, TrainSAC):
        model = SequenceSAC(start, env, settings.sac, **how)
    else:
        expert = None if settings.expert is None else expert_of(settings.expert, env)
        model = SequencePPO(start, env, settings.ppo, expert=expert, **how)
    origins = {"parent": settings.start_from, "expert": settings.expert, "demonstrations": settings.demonstrations}
    model.origins = {name: Path(origin).name for name, origin in origins.items() if origin is not None}
    return model


def _worlds_of(settings: Train, threads: int) -> GymVecEnv:
    own: dict[str, Any] = {"threads": threads} if settings.id.startswith("embodied/") else {}
    if settings.adversary is not None:
        own["adversary"] = settings.adversary
    if not settings.id.startswith("embodied/") and (settings.randomize or settings.adversary) is not None:
        raise OptionError("--randomize and --adversary need an environment of this project")
    return _spec_of(settings).make(settings.n_envs, **own)


def _spec_of(settings: Train) -> EnvSpec:
    """The environment that was asked for."""
    options = parse_options(settings.options)
    return EnvSpec(settings.id, options, settings.randomize, settings.previous, observe=settings.observe)


def _size_of(model: SequenceLearner) -> str:
    weights = sum(p.numel() for p in model.policy.parameters())
    held = sum(footprint(model).values()) / 2**20
    return f"{weights:,} weights, {model.n_envs} worlds × {model.n_steps} steps: holds {held:,.0f} MB while it learns"


def save(model: SequenceLearner, folder: RunFolder, making: Making) -> None:
    """Saves a checkpoint, and where it comes from.

    Raises:
        CheckpointError: the folder was deleted, or cannot be written to.
    """
    folder.check_there()
    model.save(folder.policy)
    making.finish(folder.policy)


def _learn(model: SequenceLearner, settings: Train, folder: RunFolder, making: Making, watching: list[Live]) -> bool:
    """Trains to the end, with progress and checkpoints; False if the person stopped it."""
    assert settings.steps is not None
    left = settings.steps - model.num_timesteps
    if left <= 0:
        return True
    stop = Stop()
    try:
        with on_interrupt(stop.request), Progress(settings.steps, str(folder.path)) as progress:
            keep = Checkpoints(lambda: save(model, folder, making))
            callbacks = [stop, progress, keep, *_randomization_log(model, folder), *watching]
            if settings.guard != "off":
                callbacks.append(DivergenceGuard(settings.guard == "restore", report=progress.say))
            model.learn(left, callback=callbacks, reset_num_timesteps=False)
    finally:
        for live in watching:
            live.close()
    return model.num_timesteps >= settings.steps


def _randomization_log(model: SequenceLearner, folder: RunFolder) -> list[RandomizationLog]:
    """What logs the sampled parameters of each world, if worlds differ."""
    worlds = getattr(model.env, "gym_env", None)
    names = getattr(getattr(worlds, "unwrapped", None), "sampled_parameter_names", ())
    return [RandomizationLog(folder.path / "randomization.csv", names)] if names else []


def _live_view(model: SequenceLearner, settings: Train, folder: RunFolder) -> list[Live]:
    """The view that was asked for, if one was."""
    if settings.view is None:
        return []
    live = Live(settings.view, model, f"{settings.id}: {folder.path}", settings.view_every)
    if live.url:
        Console(soft_wrap=True).print(f"Open {live.url}", highlight=False)
    return [live]


def settings_of(folder: RunFolder, given: Train) -> Train:
    """Returns the settings with which a run began; only the number of steps may be another.

    Raises:
        CheckpointError: the folder holds no such run.
        OptionError: settings were given that the run does not have.
    """
    begun = from_jsonable(folder.settings(), str(folder.path))
    if begun.id != given.id:
        raise CheckpointError(f"{folder.path} is a run of {begun.id}, not of {given.id}")
    if type(begun) is not type(given):
        raise CheckpointError(f"{folder.path} was begun by another algorithm: go on with {COMMANDS[type(begun)]}")
    refuse_changes(folder.path, begun, given, type(given)(id=given.id))
    refuse_paths(folder.path, begun.options, given.options)
    kept = {name: getattr(given, name) for name in ("view", "view_every", "device")}
    if begun.randomize is not None:
        kept["randomize"] = kept_randomization(folder.path)
    if begun.expert not in (None, "heuristic"):
        kept["expert"] = str(folder.path / EXPERT)
    return replace(
        begun, run_dir=folder.path, resume=True, steps=begun.steps if given.steps is None else given.steps, **kept
    )


def from_jsonable(saved: dict[str, Any], source: str) -> Train:
    """The inverse of `settings_as_json`.

    Raises:
        CheckpointError: these are no settings of this version.
    """
    kind = TrainSAC if "sac" in saved else Train
    return checked(saved, kind, f"the settings in {source} are of another version", CheckpointError)
