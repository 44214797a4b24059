"""`embodied play`: watch a policy, or a reference player, in Rerun."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from embodied.errors import MissingExtraError, OptionError
from embodied_scripts.playing import cast, decisions, outcome_of
from embodied_scripts.view import wait
from embodied_scripts.watching import Onlooker, Reporter, open_stream

if TYPE_CHECKING:
    from rich.console import Console

    from embodied.agent import Agent
    from embodied.learn.vec import Experience, GymVecEnv
    from embodied.view.grid import Grid
    from embodied.view.stream import Stream


@dataclass
class Play:
    """Show a trained run, or an environment with a reference player, in Rerun."""

    target: Annotated[str, tyro.conf.Positional]
    """Folder of a run, or an environment."""
    rerun: str = "live"
    """live (a window), web (a browser page), a file that ends in .rrd, or the address of a viewer elsewhere."""
    episodes: int = 5
    """Episodes to show; of several worlds, in each of them."""
    worlds: int = 1
    """Show so many worlds side by side, and how their episodes end."""
    seed: int = 20_000
    """Seed of the world."""
    player: str | None = None
    """Who plays when the target is an environment: random, blind, curious or oracle; in a duel random, scripted or
    trained, in both seats (default: oracle, or the best player of a duel)."""
    options: tuple[str, ...] = ()
    """Options of the environment, as name=value; a run keeps its own."""

    def run(self) -> None:
        """Plays the episodes; live and web keep real time, and web goes on serving until Ctrl-C."""
        from rich.console import Console

        if min(self.episodes, self.worlds) < 1:
            raise OptionError("episodes and worlds must be at least 1")
        agent, env, title = cast(self.target, self.player, self.options, self.worlds)
        console = Console(soft_wrap=True)
        stream: Stream | Grid
        if self.worlds == 1:
            stream = open_stream(self.rerun, Onlooker(env.gym_env), title, getattr(agent, "policy", None))
        else:
            stream = _open_grid(self.rerun, env, title)
        if stream.url:
            console.print(f"Open {stream.url}")
        (_play if self.worlds == 1 else _play_many)(agent, env, stream, self, console)  # type: ignore[arg-type]
        if self.rerun == "web":
            console.print("Still serving; Ctrl-C ends it.")
            wait()
        stream.close()
        if self._in_file:
            console.print(f"Wrote {self.rerun}. Open it with: rerun {self.rerun}")

    @property
    def _in_file(self) -> bool:
        return Path(self.rerun).suffix == ".rrd"

    def keep_time(self, hz: float) -> None:
        """Waits for the next decision where somebody is watching."""
        if not self._in_file:
            time.sleep(1 / hz)


def _play(agent: Agent, env: GymVecEnv, stream: Stream, asked: Play, console: Console) -> None:
    """Plays in one world, and shows everything about it."""
    world: Any = env.gym_env
    onlooker = Onlooker(world)
    reporter = Reporter(stream, onlooker, getattr(agent, "policy", None))
    results: list[tuple[str, float]] = []

    def ended(experience: Experience, total: float) -> None:
        said = f"episode {len(results) + 1}: {outcome_of(env, experience, total)}, return {total:+.2f}"
        results.append((said, total))
        console.print(said)

    for moment in decisions(agent, env, asked.seed, ended):
        if moment.first:
            if results:
                stream.end(moment.time_s - 1e-3, *results[-1])
            if len(results) == asked.episodes:
                return
            reporter.begin(moment.time_s, f"episode {len(results) + 1}", env.privileged["hidden"][0])
        reporter.take(moment, onlooker.scene(), onlooker.sensed(moment.obs, moment.first))
        asked.keep_time(world.task.control_hz)


def _open_grid(where: str, env: GymVecEnv, title: str) -> Grid:
    """Worlds side by side, each as it looks after its first reset."""
    import copy

    try:
        from embodied.view.grid import Grid, width_of
    except ImportError as error:
        raise MissingExtraError("rerun", "view") from error
    world: Any = env.gym_env
    batch = world.batch
    env.reset()
    models = [copy.copy(batch.model) for _ in range(batch.n)]
    for i, model in enumerate(models):
        batch.dress(model, i)
    return Grid(where, models, width_of(*batch.render_pair(0)), title)


def _play_many(agent: Agent, env: GymVecEnv, grid: Grid, asked: Play, console: Console) -> None:
    """Plays in all worlds at once until as many episodes have ended as were asked for, in all of them."""
    import numpy as np

    from embodied.learn.vec import step

    world: Any = env.gym_env
    n, hz = env.num_envs, world.task.control_hz
    env.seed(asked.seed)
    obs, first, carry = env.reset(), np.ones(n, bool), agent.initial(n, asked.seed)
    totals, outcomes = np.zeros(n), Counter[str]()
    for decision in range(math.ceil(world.task.episode_s * hz) * asked.episodes + 1):
        grid.step(decision / hz, [world.batch.render_pair(i)[1] for i in range(n)])
        asked.keep_time(hz)
        carry, action = agent.act(carry, obs, first)
        experience, _ = step(env, action)
        totals += experience.reward
        for i in np.flatnonzero(experience.ended).tolist():
            outcome = outcome_of(env, experience, totals[i], i)
            grid.ended(i, outcome, totals[i])
            outcomes[outcome] += 1
            totals[i] = 0.0
        obs, first = experience.obs, experience.ended
        if outcomes.total() >= asked.episodes * n:
            break
    console.print(f"{n} worlds: " + ", ".join(f"{count} × {outcome}" for outcome, count in outcomes.items()))
