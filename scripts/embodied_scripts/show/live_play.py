"""Episodes of a policy, or of a baseline, in Rerun."""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from embodied.agent import Agent
from embodied.errors import OptionError
from embodied.evaluation import loop
from embodied.vector.vec import Experience, GymVecEnv
from embodied.view.grid import Grid, width_of
from embodied.view.stream import Stream
from embodied_scripts.cli.play import Play
from embodied_scripts.show.loggers import EpisodeLogger, SceneLogger, open_stream
from embodied_scripts.show.model_view import wait
from embodied_scripts.show.playing import cast, decisions, outcome_of


def play(asked: Play) -> None:
    """Plays the episodes; live and web keep real time, and web goes on serving until Ctrl-C."""
    if min(asked.episodes, asked.worlds) < 1:
        raise OptionError("episodes and worlds must be at least 1")
    agent, env, title = cast(asked.target, asked.player, asked.options, asked.worlds)
    console = Console(soft_wrap=True)
    console.print(title, markup=False, highlight=False)
    stream: Stream | Grid
    if asked.worlds == 1:
        stream = open_stream(asked.rerun, SceneLogger(env.gym_env), title, getattr(agent, "policy", None))
    else:
        stream = _open_grid(asked.rerun, env, title)
    if stream.url:
        console.print(f"Open {stream.url}")
    (_play if asked.worlds == 1 else _play_many)(agent, env, stream, asked, console)  # type: ignore[arg-type]
    if asked.rerun == "web":
        console.print("Still serving; Ctrl-C ends it.")
        wait()
    stream.close()
    if _in_file(asked):
        console.print(f"Wrote {asked.rerun}. Open it with: rerun {asked.rerun}")


def _in_file(asked: Play) -> bool:
    return Path(asked.rerun).suffix == ".rrd"


def keep_time(asked: Play, hz: float) -> None:
    """Waits for the next decision where somebody is watching."""
    if not _in_file(asked):
        time.sleep(1 / hz)


def _play(agent: Agent, env: GymVecEnv, stream: Stream, asked: Play, console: Console) -> None:
    """Plays in one world, and shows everything about it."""
    world: Any = env.gym_env
    scene_logger = SceneLogger(world)
    episode_logger = EpisodeLogger(stream, scene_logger, getattr(agent, "policy", None))
    results: list[tuple[str, float]] = []

    def ended(experience: Experience, total: float) -> None:
        result = f"episode {len(results) + 1}: {outcome_of(env, experience, total)}, return {total:+.2f}"
        results.append((result, total))
        console.print(result)

    for moment in decisions(agent, env, asked.seed, ended):
        if moment.first:
            if results:
                stream.end(moment.time_s - 1e-3, *results[-1])
            if len(results) == asked.episodes:
                return
            episode_logger.begin(moment.time_s, f"episode {len(results) + 1}", env.privileged["hidden"][0])
        episode_logger.take(moment, scene_logger.scene(), scene_logger.sensed(moment.obs, moment.first))
        keep_time(asked, world.task.control_hz)


def _open_grid(where: str, env: GymVecEnv, title: str) -> Grid:
    """Worlds side by side, each as it looks after its first reset."""
    world: Any = env.gym_env
    batch = world.batch
    env.reset()
    models = [copy.copy(batch.model) for _ in range(batch.n)]
    for i, model in enumerate(models):
        batch.dress(model, i)
    return Grid(where, models, width_of(*batch.render_pair(0)), title)


def _play_many(agent: Agent, env: GymVecEnv, grid: Grid, asked: Play, console: Console) -> None:
    """Plays in all worlds at once until as many episodes have ended as were asked for, in all of them."""
    world: Any = env.gym_env
    n, hz = env.num_envs, world.task.control_hz
    tally = _Tally(grid, env)
    longest = math.ceil(world.task.episode_s * hz) * asked.episodes + 1
    for decision in itertools.islice(loop.play(agent, env, asked.seed, [tally]), longest):
        if tally.outcomes.total() >= asked.episodes * n:
            break
        grid.step(decision.index / hz, [world.batch.render_pair(i)[1] for i in range(n)])
        keep_time(asked, hz)
    counts = ", ".join(f"{count} × {outcome}" for outcome, count in tally.outcomes.items())
    console.print(f"{n} worlds: {counts}")


class _Tally(loop.Observer):
    """How episodes end, counted and shown in the grid."""

    def __init__(self, grid: Grid, env: GymVecEnv) -> None:
        self._grid, self._env, self._totals = grid, env, np.zeros(env.num_envs)
        self.outcomes = Counter[str]()

    def on_step(self, decision: loop.Decision, experience: Experience) -> None:
        self._totals[decision.first] = 0.0
        self._totals += experience.reward

    def on_end(self, worlds: NDArray[np.intp], decision: loop.Decision, experience: Experience) -> None:
        for i in worlds.tolist():
            outcome = outcome_of(self._env, experience, self._totals[i], i)
            self._grid.ended(i, outcome, self._totals[i])
            self.outcomes[outcome] += 1
