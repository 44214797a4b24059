"""Leagues as the command line names them: their games, their settings, and how they are opened."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch

from embodied.agent import Agent
from embodied.errors import CheckpointError, OptionError, UnknownNameError
from embodied.evaluation.agents import RandomAgent
from embodied.files import checked
from embodied.learn.run import RunFolder
from embodied.physics.threads import default_threads
from embodied.selfplay.agents import SeatedPair
from embodied.selfplay.games import DuelGames, Games, PettingZooGames
from embodied.selfplay.league import League
from embodied.world.duel import Duel, Versus
from embodied_envs.scene import randomization_of
from embodied_scripts.cli.league import TrainLeague
from embodied_scripts.cli.options import import_module
from embodied_scripts.ids import own_ids, parse_options, resolve_id
from embodied_scripts.resuming import kept_randomization, refuse_paths

RANDOMIZE = "randomize="


def games_of(name: str, count: int, threads: int = 0, **options: Any) -> tuple[Games, dict[str, Callable[[], Agent]]]:
    """Returns games by their name, and their scripted players.

    Raises:
        UnknownNameError: there is no such duel, and no such module of PettingZoo's kind.
    """
    if "." in name:
        games: Games = PettingZooGames(_maker(name, options), count)
        return games, {"random": lambda: RandomAgent(games.action_space)}
    for word in ("seat", "opponent"):
        if word in options:
            raise OptionError(f"a league has no option {word!r}: its learner sits in both seats, against many")
    vec: Any = gym.make_vec(resolve_id(name), num_envs=1, **options).unwrapped
    if not isinstance(vec, Versus):
        raise UnknownNameError("duel", name, duels())
    different = randomization_of(options.get("randomize"))
    duel = Duel(vec.task, count, threads or default_threads(), "Disabled", None, different)
    scripted = lambda: SeatedPair(_scripted(duel))  # noqa: E731
    return DuelGames(duel), {"scripted": scripted, "random": lambda: RandomAgent(duel.seats[0].action_space)}


def duels() -> list[str]:
    """Names of this project's duels."""
    return [name.removeprefix("embodied/") for name in own_ids() if name.split("/")[1].startswith(("HideSeek", "Sumo"))]


def _maker(name: str, options: dict[str, Any]) -> Callable[[], Any]:
    try:
        module = import_module(name)
    except OptionError as error:
        raise OptionError(
            f"no game {name!r}: {error} (a module with parallel_env or env, such as pettingzoo.classic.rps_v2)"
        ) from error
    make = getattr(module, "parallel_env", None) or getattr(module, "env", None)
    if make is None:
        raise OptionError(f"{name} has neither parallel_env nor env: is it a game of PettingZoo?")
    return lambda: make(**options)


def open_league(folder: Path, writable: bool = True) -> League:
    """Takes up the league of a folder.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    return build_league(saved_league(folder), writable)


def saved_league(path: Path, given: Sequence[str] = ()) -> TrainLeague:
    """With what the league of a folder was begun.

    Args:
        given: options that are given again, as those that are paths must be.

    Raises:
        CheckpointError: there is none, it is damaged, or its game is of a module that nobody has imported.
        OptionError: an option is a path outside of the folder.
    """
    folder = RunFolder(path)
    saved = checked(folder.settings(), TrainLeague, f"{path} is no league of this version", CheckpointError)
    if "." in saved.id and saved.id not in sys.modules:
        raise CheckpointError(f"{path} is a league of the module {saved.id}: import it yourself (--import {saved.id})")
    kept = [option for option in saved.options if not option.startswith(RANDOMIZE)]
    refuse_paths(path, kept, given)
    if len(kept) < len(saved.options):
        kept.append(RANDOMIZE + kept_randomization(path))
    return replace(saved, run_dir=folder.path, options=tuple(kept))


def build_league(asked: TrainLeague, writable: bool = True) -> League:
    assert asked.run_dir is not None
    threads = asked.threads or default_threads()
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    games, anchors = games_of(asked.id, asked.n_envs, threads, **parse_options(asked.options))
    return League(
        games,
        asked.network,
        asked.run_dir,
        anchors,
        asked.league,
        asked.seed,
        writable,
        asked.ppo,
        expert=_expert_of(games) if asked.ppo.dagger_share else None,
    )


def _expert_of(games: Games) -> Agent | None:
    """The experts of a duel's seats as one; None where there are none."""
    if not isinstance(games, DuelGames):
        return None
    first, second = games.duel.seats
    return SeatedPair((games.duel.task.expert(first), games.duel.task.expert(second)))


def _scripted(duel: Any) -> tuple[Any, Any]:
    return duel.task.scripted(duel.seats[0]), duel.task.scripted(duel.seats[1])
