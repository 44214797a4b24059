"""What a decision of the planner costs in each task, and what thinking less costs in success."""

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
from embodied_scripts.baselines import planning_agent

WORLDS = 4
SECONDS = 0.1  # of choosing among what was imagined
LEGEND = (
    "ahead: options that a plan looks ahead × worlds for each hidden value. sim: time in all worlds, for a plan; "
    "plan, longest: of thought for one; each: thought for a decision, where several are made by one plan; load: for "
    "each second of acting."
)


@dataclass(frozen=True)
class Depth:
    """How much is imagined for a plan: so many options ahead, in so many worlds for each hidden value."""

    ahead: float
    samples: int


# From what the planner is used with to what fits into a second.
DEPTHS = {
    "embodied/Signpost-v0": (Depth(math.inf, 4), Depth(math.inf, 1), Depth(3, 1)),
    "embodied/Search-v0": (Depth(math.inf, 4), Depth(2, 1), Depth(1, 1)),
    "embodied/Weigh-v0": (Depth(3, 1), Depth(2, 1), Depth(1, 1)),
    "embodied/LightDark-v0": (Depth(4, 1), Depth(2, 1), Depth(1, 1)),
}


@dataclass(frozen=True)
class Thought:
    """What thinking took in one task, and what came of it.

    Attributes:
        worlds: to imagine in.
        simulated_s: time that was simulated for a plan, over all of them [s].
        plan_s, longest_s: of thought for a plan, on average and at most [s].
        decision_s: of thought for each decision, plans shared among those that are made by them [s].
        load: seconds of thought for each second in which the robot acts.
        success, error, reward: of the episodes.
    """

    worlds: int
    simulated_s: float
    plan_s: float
    longest_s: float
    decision_s: float
    load: float
    success: float
    error: float
    reward: float


def think(env_id: str, depth: Depth, episodes: int, seed: int = 10_000) -> Thought:
    """Plays episodes with the planner, and measures what its decisions take."""
    env = GymVecEnv(make_vec(env_id, min(WORLDS, episodes)))
    agent = planning_agent(env, SECONDS, depth.samples, depth.ahead)
    report = evaluate(agent, env, episodes, seed)
    env.close()
    effort, acted_s = agent.effort, report.episodes * (report.length_s or math.nan)
    took = sum(effort.prepared_s) + sum(effort.decided_s)
    return Thought(
        worlds=effort.worlds or 0,
        simulated_s=float(np.mean(effort.simulated_s)),
        plan_s=float(np.mean(effort.prepared_s)),
        longest_s=max(effort.prepared_s) + max(effort.decided_s),
        decision_s=took / len(effort.decided_s),
        load=took / acted_s,
        success=report.success or 0.0,
        error=report.success_error or 0.0,
        reward=report.reward,
    )


def show_thinking(episodes: int, small: bool = False) -> dict[str, list[float]]:
    """Plays, prints the table, and returns seconds of thought for each decision, by task and depth."""
    tasks = list(DEPTHS)[:1] if small else list(DEPTHS)
    asked = [(env_id, depth) for env_id in tasks for depth in DEPTHS[env_id][-2 if small else 0 :]]
    thoughts = {one: think(*one, episodes) for one in track(asked, "Thinking", transient=True)}
    _print([_line(*one, thought) for one, thought in thoughts.items()], episodes)
    return {f"{_short(env_id)}, {_depth(depth)}": [thoughts[env_id, depth].decision_s] for env_id, depth in asked}


def _short(env_id: str) -> str:
    return env_id.removeprefix("embodied/").removesuffix("-v0")


def _depth(depth: Depth) -> str:
    return f"{'all' if math.isinf(depth.ahead) else depth.ahead} × {depth.samples}"


def _print(lines: list[tuple[str, ...]], episodes: int) -> None:
    title = f"the planner, {episodes} episodes each; seconds of thought, and what comes of it"
    sheet = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for column in ("task", "ahead", "worlds", "sim", "plan", "longest", "each", "load", "success"):
        sheet.add_column(column, no_wrap=True, justify="left" if column == "task" else "right")
    for line in lines:
        sheet.add_row(*line)
    sheet.caption, sheet.caption_justify = LEGEND, "left"
    Console().print(sheet)


def _line(env_id: str, depth: Depth, thought: Thought) -> tuple[str, ...]:
    return (
        _short(env_id),
        _depth(depth),
        str(thought.worlds),
        f"{thought.simulated_s:,.0f}",
        f"{thought.plan_s:.1f}",
        f"{thought.longest_s:.1f}",
        f"{thought.decision_s:.2f}",
        f"{thought.load:.2f}",
        f"{100 * thought.success:.0f} ±{100 * thought.error:.0f} %",
    )
