"""Demonstrations of a player, kept for behavior cloning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from embodied.agent import Agent
from embodied.errors import OptionError
from embodied.learn.cloning import Demonstrations, collect_demonstrations
from embodied.nn.checkpoint import policy_folder
from embodied.vector.spec import EnvSpec
from embodied.vector.vec import GymVecEnv, make_vec
from embodied_scripts.baselines import planning_agent
from embodied_scripts.cli.collect import PLANNER, Collect
from embodied_scripts.cli.options import import_flags
from embodied_scripts.ids import parse_options, resolve_id
from embodied_scripts.records import PLAYER, begun
from embodied_scripts.runs import runs_in, saved_policy
from embodied_scripts.show.playing import cast_anywhere
from embodied_scripts.training.progress import stoppable

WORLDS, PLANNER_WORLDS = 64, 4
TRAINED = "trained"


def collect(asked: Collect) -> None:
    """Plays, with a bar, and writes the episodes."""
    if min(asked.episodes, asked.samples or 1, asked.worlds or 1) < 1 or not asked.seconds > 0:
        raise OptionError("episodes, worlds and samples must be at least 1, seconds above 0")
    if asked.out.exists() and (not asked.out.is_dir() or any(asked.out.iterdir())):
        raise OptionError(f"{asked.out} is there already, and not empty: name another folder")
    played = _played(asked)
    agent, env = _cast(asked)
    making = begun("collect", asked, played, EnvSpec.of(env).jsonable())
    data = _collected(agent, env, asked)
    env.close()
    data.save(asked.out)
    making.finish(asked.out)
    earned = f"mean return {data.steps['reward'].sum() / len(data):+.2f}"
    won = f", {data.success.mean():.0%} successful" if data.success.any() else ""
    summary = f"{len(data)} episodes, {earned}{won}, in {asked.out}."
    after = f"Next: embodied train {data.card['env']['id']} --demonstrations {asked.out}{import_flags()}"
    Console(soft_wrap=True).print(f"{summary} {after}", markup=False, highlight=False)


def _played(asked: Collect) -> list[tuple[str, Path]]:
    """The policy that plays, if one does."""
    if Path(asked.target).is_dir():
        return [(PLAYER, policy_folder(runs_in(Path(asked.target))[0]))]
    return [(PLAYER, saved_policy(asked.target))] if asked.player == TRAINED else []


def _cast(asked: Collect) -> tuple[Agent, GymVecEnv]:
    """The player, and its worlds."""
    plans = asked.player == PLANNER and not Path(asked.target).is_dir()
    worlds = min(asked.worlds or (PLANNER_WORLDS if plans else WORLDS), asked.episodes)
    if not plans:
        agent, env, _ = cast_anywhere(asked.target, asked.player, asked.options, worlds)
        return agent, env
    return _planner(asked, worlds)


def _planner(asked: Collect, worlds: int) -> tuple[Agent, Any]:
    env_id = resolve_id(asked.target)
    env = GymVecEnv(make_vec(env_id, worlds, **parse_options(asked.options)))
    return planning_agent(env, asked.seconds, asked.samples), env


def _collected(agent: Agent, env: GymVecEnv, asked: Collect) -> Demonstrations:
    """The episodes, or those that are finished when the person stops it; a second Ctrl-C gives all up."""
    with stoppable() as stopped, Progress(transient=True) as progress:
        task = progress.add_task("Collecting", total=asked.episodes)

        def ended(done: int) -> bool:
            progress.update(task, completed=done)
            return not stopped.is_set()

        return collect_demonstrations(agent, env, asked.episodes, asked.seed, ended, asked.noise)
