"""A trainer on disk: policy, optimizer, generator and worlds, so that a run goes on exactly where it was saved."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import torch
from stable_baselines3.common.running_mean_std import RunningMeanStd
from torch import Tensor

from embodied.errors import CheckpointError
from embodied.files import DAMAGED, checked, one_line
from embodied.learn.collect import RolloutCollector
from embodied.learn.config import LearnerConfig, PPOConfig
from embodied.nn.checkpoint import (
    load_json,
    load_tensors,
    load_weights,
    optimizer_tensors,
    refuse_no_numbers,
    restore_optimizer,
    save_json,
    save_policy,
    save_tensors,
)
from embodied.nn.generation import current, has_file, verify
from embodied.vector.members import extras_of
from embodied.vector.spec import EnvSpec
from embodied.vector.vec import GymVecEnv
from embodied.version import __version__

TRAINER, TRAINER_CARD, WORLDS = "trainer.safetensors", "trainer.json", "worlds.safetensors"
_RNG, _WORLD, _MEMORY, _NORMALIZER, _OWN = (
    "generator", "worlds/", "memory/", "vecnormalize/", "own/"
)  # fmt: skip


class SettingNotSavedWarning(UserWarning):
    """Something that a run was made with is neither saved nor given, so that the run goes on without it."""


@dataclass(frozen=True)
class TrainerSettings:
    """What a saved trainer was made with, beside policy and environment."""

    config: LearnerConfig
    n_envs: int
    previous: tuple[str, ...]
    seed: int | None
    unsaved: tuple[str, ...]


class SavedSettings(msgspec.Struct):
    """Settings in a trainer's card."""

    n_envs: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]
    previous: tuple[Literal["action", "reward"], ...]
    seed: int | None


class TrainerCard(msgspec.Struct):
    """What `trainer.json` must hold."""

    num_timesteps: Annotated[int, msgspec.Meta(ge=0)]
    n_updates: Annotated[int, msgspec.Meta(ge=0)]
    config: dict[str, Any]
    settings: SavedSettings
    unsaved: tuple[str, ...]
    learner: str = PPOConfig.learner


def save_trainer(model: RolloutCollector, folder: Path) -> None:
    """Writes policy and trainer into `folder`, as safetensors and JSON, as one generation.

    Raises:
        CheckpointError: the folder cannot be written to, or weights are no numbers; what was saved before is intact.
    """
    refuse_no_numbers(model.policy.state_dict(), "the policy that is to be saved holds numbers that are none")
    files: dict[str, Callable[[Path], None]] = {}
    tensors = optimizer_tensors(model.policy.optimizer)
    tensors |= {_RNG: model.generator.get_state()} | _normalizer_tensors(model)
    tensors |= {f"{_OWN}{name}": value.detach() for name, value in model.own_tensors().items()}
    files[TRAINER] = lambda path: save_tensors(path, tensors)
    worlds = _worlds_tensors(model)
    if worlds is not None:
        files[WORLDS] = lambda path: save_tensors(path, worlds)
    config = model.config.jsonable()
    settings = {"n_envs": model.n_envs, "previous": list(model.previous), "seed": model.seed}
    unsaved = [name for name in config if callable(getattr(model.config, name))]
    unsaved += ["expert"] * (model.dagger is not None)
    counters = {"num_timesteps": model.num_timesteps, "n_updates": model._n_updates}
    card = counters | {"learner": model.config.learner, "config": config, "settings": settings, "unsaved": unsaved}
    files[TRAINER_CARD] = lambda path: save_json(path, card)
    own = model.policy.card() | {"env": EnvSpec.of(model.env).jsonable()} | _contract_of(model)
    save_policy(folder, model.policy, own, files, obsolete=(WORLDS,))


def _contract_of(model: RolloutCollector) -> dict[str, Any]:
    """What its environment promises a policy, for the card; nothing of environments that promise nothing."""
    gym_env = getattr(model.env, "gym_env", None)
    extras = extras_of(gym_env) if gym_env is not None else None
    if extras is None or extras.contract is None:
        return {}
    own = {"version": __version__, "seed": str(model.seed), "steps": str(model.num_timesteps)}
    return {"contract": msgspec.structs.replace(extras.contract, lineage=own | model.origins).jsonable()}


def saved_settings(folder: Path, kind: type[LearnerConfig] = PPOConfig) -> TrainerSettings:
    """Returns the settings of a saved trainer.

    Raises:
        CheckpointError: the folder holds none, or those of another kind.
    """
    saved, own = (card := _trainer_card(folder)), card.settings
    if saved.learner != kind.learner:
        raise CheckpointError(f"{folder} is of {saved.learner}, not of {kind.learner}: use {saved.learner}.load")
    known = {name: value for name, value in saved.config.items() if name not in saved.unsaved}
    config = checked(known, kind, f"{folder / TRAINER_CARD} holds no settings of a trainer", CheckpointError)
    return TrainerSettings(config, own.n_envs, own.previous, own.seed, saved.unsaved)


def _trainer_card(folder: Path) -> TrainerCard:
    saved, path = load_json(current(folder, TRAINER_CARD)), folder / TRAINER_CARD
    return checked(saved, TrainerCard, f"{path} holds no settings of a trainer", CheckpointError)


def warn_of_unsaved(folder: Path, settings: TrainerSettings, spec: EnvSpec | None, given: Mapping[str, Any]) -> None:
    """Warns of what is neither saved nor given."""
    missing = [name for name in (*settings.unsaved, *(spec.unsaved if spec else ())) if name not in given]
    if missing:
        raise_to = "give it again" if len(missing) == 1 else "give them again"
        warnings.warn(
            f"{folder}: {', '.join(missing)} could not be saved; {raise_to}, or the default holds",
            SettingNotSavedWarning,
            stacklevel=3,
        )


def resume_trainer(model: RolloutCollector, folder: Path) -> None:
    """Takes weights, optimizer and counters from `folder`, and the worlds if they are there; else starts new episodes.

    Raises:
        CheckpointError: the folder is incomplete or damaged, or its network is another one.
    """
    load_weights(folder, model.policy)
    tensors, counters = load_tensors(current(folder, TRAINER)), _trainer_card(folder)
    if _RNG not in tensors:
        raise CheckpointError(f"{folder / TRAINER} is incomplete: it has no {_RNG}")
    generator_state = tensors.pop(_RNG)
    refuse_no_numbers(tensors, f"{folder / TRAINER} holds numbers that are none")
    _restore_normalizer(model, tensors, folder)
    _restore_own(model, tensors, folder)
    model.num_timesteps, model._n_updates = counters.num_timesteps, counters.n_updates
    if generator_state.numel() == model.generator.get_state().numel():  # else of another kind of device
        try:
            model.generator.set_state(generator_state)
        except (RuntimeError, TypeError) as error:
            raise CheckpointError(f"{folder / TRAINER} holds no {_RNG}: {one_line(error)}") from error
    restore_optimizer(model.policy.optimizer, tensors)
    verify(folder, [TRAINER, TRAINER_CARD])
    if has_file(folder, WORLDS):
        worlds = load_tensors(current(folder, WORLDS))
        verify(folder, [WORLDS])
        try:
            if _resume_worlds(model, worlds):
                return
        except (*DAMAGED, AssertionError) as error:
            raise CheckpointError(f"{folder / WORLDS} does not fit: {one_line(error)}") from error
    model.begin_anew()


def _normalizers(model: RolloutCollector) -> dict[str, RunningMeanStd]:
    """The running means of a `VecNormalize` that the environment is wrapped in, by name."""
    wrapper = model.get_vec_normalize_env()
    if wrapper is None:
        return {}
    of_obs = getattr(wrapper, "obs_rms", {})
    parts = of_obs if isinstance(of_obs, dict) else {"": of_obs}
    return {f"{_NORMALIZER}obs/{key}": one for key, one in parts.items()} | {f"{_NORMALIZER}return": wrapper.ret_rms}


def _normalizer_tensors(model: RolloutCollector) -> dict[str, Tensor]:
    return {
        f"{name}/{part}": torch.as_tensor(np.array(getattr(one, part), np.float64))
        for name, one in _normalizers(model).items()
        for part in ("mean", "var", "count")
    }


def _restore_normalizer(model: RolloutCollector, tensors: dict[str, Tensor], folder: Path) -> None:
    """Takes what a saved `VecNormalize` had come to know out of `tensors`, and gives it to the present one."""
    saved = {name: tensors.pop(name).numpy() for name in list(tensors) if name.startswith(_NORMALIZER)}
    present = _normalizers(model)
    if {name.rpartition("/")[0] for name in saved} != set(present):
        had, has = ("with" if names else "without" for names in (saved, present))
        raise CheckpointError(
            f"{folder} was trained {had} VecNormalize around its environment, and this one is {has}: give an "
            "environment that is wrapped alike; the statistics come back by themselves"
        )
    for name, one in present.items():
        one.mean, one.var, one.count = saved[f"{name}/mean"], saved[f"{name}/var"], float(saved[f"{name}/count"])


def _restore_own(model: RolloutCollector, tensors: dict[str, Tensor], folder: Path) -> None:
    """Takes what a learner learns beside its policy out of `tensors`, and writes it there."""
    saved = {name.removeprefix(_OWN): tensors.pop(name) for name in list(tensors) if name.startswith(_OWN)}
    own = model.own_tensors()
    if {name: t.shape for name, t in saved.items()} != {name: t.shape for name, t in own.items()}:
        raise CheckpointError(f"{folder / TRAINER} is of another learner, or of one of another size")
    for name, value in own.items():
        value.data.copy_(saved[name])


def _worlds_tensors(model: RolloutCollector) -> dict[str, Tensor] | None:
    """Where the worlds stand and what the policy remembers, if the environment can tell."""
    state = model.env.get_state() if isinstance(model.env, GymVecEnv) and model._last_obs is not None else None
    if state is None:
        return None
    remembered = model.memory if model.memory is not None else model.policy.initial(model.n_envs)
    memory = model.policy.memories.tensors(remembered)
    arrays: dict[str, Any] = {f"{_WORLD}{name}": value for name, value in state.items()}
    arrays |= {"obs": model._last_obs, "first": model._last_episode_starts, "num_timesteps": model.num_timesteps}
    tensors = {name: torch.from_numpy(np.array(value, order="C")) for name, value in arrays.items()}
    tensors |= {f"{_MEMORY}{name}": value.contiguous() for name, value in memory.items()}
    return tensors | {"prediction_error": model.prediction_error.moments}


def _resume_worlds(model: RolloutCollector, saved: dict[str, Tensor]) -> bool:
    """Goes on in the very state that was saved; False if it was of other worlds, or of another checkpoint."""
    same = len(saved["first"]) == model.n_envs and int(saved["num_timesteps"]) == model.num_timesteps
    if not isinstance(model.env, GymVecEnv) or not same:
        return False
    worlds = {name.removeprefix(_WORLD): value.numpy() for name, value in saved.items() if name.startswith(_WORLD)}
    policy_state = {name: value for name, value in saved.items() if not name.startswith(_WORLD)}
    refuse_no_numbers(policy_state, f"{WORLDS} holds numbers that are none")
    model.env.set_state(worlds)
    model._last_obs, model._last_episode_starts = saved["obs"].numpy(), saved["first"].numpy()
    model.prediction_error.moments.copy_(saved["prediction_error"])
    model.memory = model.policy.initial(model.n_envs)
    for name, value in model.policy.memories.tensors(model.memory).items():
        value.copy_(saved[f"{_MEMORY}{name}"])
    return True
