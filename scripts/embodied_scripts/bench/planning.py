"""What the planner's decisions take in each task, and what comes of thinking less."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

from embodied.evaluation.report import evaluate
from embodied.vector.vec import GymVecEnv, make_vec
from embodied_scripts.baselines import OPTION_TASKS, planning_agent
from embodied_scripts.ids import resolve_id

BUDGETS = (0.9, 0.3, 0.1)  # s, of thought for a decision
SMALL = (0.05, 0.02)  # s
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


def think(env_id: str, seconds: float, episodes: int, seed: int = 10_000) -> Thought:
    """Plays episodes in one world with the planner, and measures what its decisions take."""
    env = GymVecEnv(make_vec(env_id, 1))
    agent = planning_agent(env, seconds)
    report = evaluate(agent, env, episodes, seed)
    env.close()
    effort, acted_s = agent.effort, report.episodes * (report.length_s or math.nan)
    took = np.array(effort.decided_s)
    return Thought(
        decision_s=(float(np.median(took)), float(np.quantile(took, 0.99)), float(took.max())),
        load=effort.total_s / acted_s,
        simulated=effort.simulated_s / acted_s,
        success=report.success or 0.0,
        error=report.success_error or 0.0,
        reward=report.reward,
    )


def show_thinking(episodes: int, task: str | None = None, small: bool = False) -> dict[str, list[float]]:
    """Plays, prints the table, and returns the longest thought for a decision, by task and bound."""
    tasks = list(OPTION_TASKS) if task is None else [resolve_id(task)]
    asked = [(one, bound) for one in tasks[: 1 if small else None] for bound in (SMALL if small else BUDGETS)]
    thoughts = {one: think(*one, episodes) for one in track(asked, "Thinking", transient=True)}
    _print([_line(*one, thought) for one, thought in thoughts.items()], episodes)
    return {f"{_short(env_id)}, {bound:g} s": [thoughts[env_id, bound].decision_s[2]] for env_id, bound in asked}


def _short(env_id: str) -> str:
    return env_id.removeprefix("embodied/").removesuffix("-v0")


def _print(lines: list[tuple[str, ...]], episodes: int) -> None:
    title = f"the planner, {episodes} episodes each; seconds of thought, and what comes of it"
    sheet = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for column in ("task", "bound", "median", "99 %", "longest", "load", "sim", "success", "return"):
        sheet.add_column(column, no_wrap=True, justify="left" if column == "task" else "right")
    for line in lines:
        sheet.add_row(*line)
    sheet.caption, sheet.caption_justify = LEGEND, "left"
    Console().print(sheet)


def _line(env_id: str, bound: float, thought: Thought) -> tuple[str, ...]:
    return (
        _short(env_id),
        f"{bound:g}",
        *(f"{seconds:.2f}" for seconds in thought.decision_s),
        f"{thought.load:.2f}",
        f"{thought.simulated:,.0f}",
        f"{100 * thought.success:.1f} ±{100 * thought.error:.1f} %",
        f"{thought.reward:+.3f}",
    )
