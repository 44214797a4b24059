"""What the planner's decisions take in each task, and what comes of thinking less."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

from embodied.errors import OptionError
from embodied.evaluation.report import Report, evaluate
from embodied.vector.vec import GymVecEnv, make_vec
from embodied_policies.option_policy import OptionPolicy
from embodied_scripts.ids import resolve_id, short_name
from embodied_scripts.planning import option_policy_agent, planning_agent
from embodied_scripts.players import OPTION_TASKS

BUDGETS = (0.9, 0.3, 0.1)  # s, of thought for a decision
SMALL = (0.05, 0.02)  # s
Row = tuple[str, str, float]  # environment, player, bound [s]
LEGEND = (
    "bound: of thought for a decision; median, 99 %, longest: what it took, with all that was prepared for it; load: "
    "seconds of all thought for each second of acting; sim: time in all imagined worlds, for each second of acting."
)


@dataclass(frozen=True)
class Thought:
    """What thinking took in one task, and what came of it.

    Attributes:
        decision_s: of thought for each decision: median, 99th percentile, longest [s].
        load: seconds of thought for each second in which the robot acts; simulated: seconds in all imagined worlds.
        success, error, reward: of the episodes.
    """

    decision_s: tuple[float, float, float]
    load: float
    simulated: float
    success: float
    error: float
    reward: float


def think(
    env_id: str, seconds: float, episodes: int, seed: int = 10_000, network: OptionPolicy | None = None
) -> Thought:
    """Plays episodes in one world with the planner, and measures what its decisions take.

    Args:
        seconds: of thought for a decision.
        network: where the planner goes on from.
    """
    env = GymVecEnv(make_vec(env_id, 1))
    agent = planning_agent(env, seconds, network=network)
    report = evaluate(agent, env, episodes, seed)
    env.close()
    effort, acted_s = agent.effort, report.episodes * (report.length_s or math.nan)
    took = np.array(effort.decided_s)
    return Thought(
        decision_s=(float(np.median(took)), float(np.quantile(took, 0.99)), float(took.max())),
        load=effort.total_s / acted_s,
        simulated=effort.simulated_s / acted_s,
        **_score(report),
    )


def decide(env_id: str, network: OptionPolicy, episodes: int, seed: int = 10_000) -> Thought:
    """Plays episodes in one world with a network that decides without thinking."""
    env = GymVecEnv(make_vec(env_id, 1))
    report = evaluate(option_policy_agent(env, network), env, episodes, seed)
    env.close()
    return Thought(decision_s=(0.0, 0.0, 0.0), load=0.0, simulated=0.0, **_score(report))


def _score(report: Report) -> dict[str, float]:
    """What came of it."""
    return {"success": report.success or 0.0, "error": report.success_error or 0.0, "reward": report.reward}


def show_thinking(
    episodes: int, task: str | None = None, small: bool = False, network: Path | None = None
) -> dict[str, list[float]]:
    """Plays, prints the table, and returns the longest thought for a decision, by task, player and bound.

    Raises:
        OptionError: a network, and no task, or one that it is not for.
    """
    if network is not None and task is None:
        raise OptionError("a network is for one task: name it with --task")
    tasks = list(OPTION_TASKS) if task is None else [resolve_id(task)]
    bounds = SMALL if small else BUDGETS
    asked: dict[Row, Callable[[], Thought]] = {
        (one, "planner", bound): partial(think, one, bound, episodes)
        for one in tasks[: 1 if small else None]
        for bound in bounds
    }
    if network is not None:
        taught = _fitting(network, tasks[0])
        asked |= {
            (tasks[0], "with network", bound): partial(think, tasks[0], bound, episodes, network=taught)
            for bound in bounds
        }
        asked[tasks[0], "network", 0.0] = partial(decide, tasks[0], taught, episodes)
    thoughts = {row: play() for row, play in track(asked.items(), "Thinking", transient=True)}
    _print([_line(*one, thought) for one, thought in thoughts.items()], episodes)
    return {
        f"{short_name(env_id)}, {player}, {bound:g} s": [thought.decision_s[2]]
        for (env_id, player, bound), thought in thoughts.items()
    }


def _fitting(network: Path, env_id: str) -> OptionPolicy:
    """A saved network, refused before anything is played if it is for something else."""
    taught, env = OptionPolicy.load(network), GymVecEnv(make_vec(env_id, 1))
    option_policy_agent(env, taught)
    env.close()
    return taught


def _print(lines: list[tuple[str, ...]], episodes: int) -> None:
    title = f"the planner, {episodes} episodes each; seconds of thought, and what comes of it"
    sheet = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for column in ("task", "player", "bound", "median", "99 %", "longest", "load", "sim", "success", "return"):
        sheet.add_column(column, no_wrap=True, justify="left" if column in ("task", "player") else "right")
    for line in lines:
        sheet.add_row(*line)
    sheet.caption, sheet.caption_justify = LEGEND, "left"
    Console().print(sheet)


def _line(env_id: str, player: str, bound: float, thought: Thought) -> tuple[str, ...]:
    return (
        short_name(env_id),
        player,
        f"{bound:g}",
        *(f"{seconds:.2f}" for seconds in thought.decision_s),
        f"{thought.load:.2f}",
        f"{thought.simulated:,.0f}",
        f"{100 * thought.success:.1f} ±{100 * thought.error:.1f} %",
        f"{thought.reward:+.3f}",
    )
