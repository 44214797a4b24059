"""What a policy owes to active perception: itself, controls whose gaze or memory is taken away, and a planner."""

from __future__ import annotations

import json
import time
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from embodied.agent import Agent, Carry
from embodied.errors import OptionError
from embodied.evaluation.report import Report, evaluate
from embodied.nn.agent import NetworkAgent
from embodied.nn.checkpoint import check_spaces
from embodied.vector.spec import EnvSpec
from embodied.vector.vec import GymVecEnv
from embodied_policies.controls import FixedGaze, FrozenLooks, blank_of
from embodied_scripts.baselines import OPTION_TASKS, baselines, planning_agent
from embodied_scripts.cli.controls import Controls
from embodied_scripts.runs import load_runs
from embodied_scripts.studies.results import print_table

WORLDS, THINKERS = 64, 4


PAN = "pan_servo"


SEARCHED_EPISODES, SEARCHED_SEED = 256, 50_000  # in which the best static gaze is looked for


LEGEND = (
    "value: share of what information is worth here, from uninformed (0) to oracle (1). bits: gathered, by an exact "
    "filter on what the player was shown; certain: when an ideal observer would be, on average, and how long before "
    "the end; ECE: calibration error of the player's own belief; ms: of thought per step, many worlds at once "
    "(planner: few)."
)


def measure_controls(asked: Controls) -> None:
    """Prints the table, and writes the JSON if asked."""
    if not asked.runs or min(asked.episodes, asked.angles) < 1 or asked.planner < 0 or not asked.seconds > 0:
        raise OptionError("name at least one run; episodes, angles and seconds must be positive")
    policies, about = load_runs(list(asked.runs))
    env = about.make(min(WORLDS, asked.episodes))
    for policy in policies.values():
        check_spaces(policy.card() | {"env": about}, env.observation_space, env.action_space, about.id)
    references = {name: one for name, one in baselines(env).items() if name != "random"}
    if "oracle" not in references:
        raise OptionError(f"{about.id} has no uninformed player and no oracle to measure between")
    trained = {name: NetworkAgent(policy) for name, policy in policies.items()}
    active, *others = trained
    players = references | {f"active: {active}": trained[active]} | {name: trained[name] for name in others}
    players |= controls_of(trained[active], env, asked.angles)
    reports = {name: _measured(player, env, asked.episodes, asked.seed) for name, player in players.items()}
    env.close()
    if asked.planner and about.id in OPTION_TASKS:
        reports["planner"] = _planned(asked, about)
    _print(reports)
    if asked.json is not None:
        measures = {name: asdict(report) | {"ms": ms} for name, (report, ms) in reports.items()}
        asked.json.write_text(json.dumps({"env": about.jsonable(), "seed": asked.seed, "players": measures}, indent=1))


def _planned(asked: Controls, about: EnvSpec) -> tuple[Report, float]:
    env = about.make(min(THINKERS, asked.planner))
    agent = planning_agent(env, asked.seconds)
    measured = _measured(agent, env, asked.planner, asked.seed)
    env.close()
    took = agent.effort.decided_s
    print(f"the planner thought for {np.mean(took):.2f} s for each decision, and for {max(took):.2f} s at most")
    return measured


def controls_of(active: Agent, env: GymVecEnv, angles: int) -> dict[str, Agent]:
    """The active agent with its looking taken away, by name."""
    task = env.gym_env.task  # type: ignore[attr-defined]
    blank, found = blank_of(task), {}
    names = [actuator.name for actuator in task.robot.actuators]
    if PAN in names:
        column = names.index(PAN)
        found["fixed gaze"] = FixedGaze(active, column, 0.0)
        best = best_gaze(active, column, env, angles)
        found[f"best static gaze ({90 * best:.0f}°)"] = FixedGaze(active, column, best)
    return found | {
        "inspect once, remember": FrozenLooks(active, blank, 1),
        "frozen active": FrozenLooks(active, blank, 0),
    }


def best_gaze(active: Agent, column: int, env: GymVecEnv, angles: int) -> float:
    """The share of a quarter turn at which the head is best held, by return in worlds of its own."""
    tried = np.linspace(-1, 1, angles)
    returns = [
        evaluate(FixedGaze(active, column, angle), env, SEARCHED_EPISODES, SEARCHED_SEED).reward for angle in tried
    ]
    return float(tried[int(np.argmax(returns))])


class _Timed:
    """The agent, with a clock beside it."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self.seconds, self.decisions = 0.0, 0
        for optional in ("belief", "shown"):
            if hasattr(agent, optional):
                setattr(self, optional, getattr(agent, optional))

    def initial(self, n: int, seed: int) -> Carry:
        return self._agent.initial(n, seed)

    def act(self, carry: Carry, obs: NDArray, first: NDArray) -> tuple[Carry, NDArray]:
        began = time.perf_counter()
        carry, action = self._agent.act(carry, obs, first)
        self.seconds += time.perf_counter() - began
        self.decisions += len(obs)
        return carry, action


def _measured(agent: Agent, env: GymVecEnv, episodes: int, seed: int) -> tuple[Report, float]:
    """How an agent does, and the milliseconds that it takes for a decision."""
    timed = _Timed(agent)
    report = evaluate(timed, env, episodes, seed)
    return report, 1e3 * timed.seconds / timed.decisions


def _print(reports: dict[str, tuple[Report, float]]) -> None:
    uninformed, oracle = (reports[name][0].reward for name in ("uninformed", "oracle"))
    lines = [
        [
            name,
            str(report.episodes),
            _both(report.success, report.success_error, "{:.1%}", "{:.1%}"),
            _both(report.reward, report.reward_error, "{:+.3f}", "{:.3f}"),
            f"{(report.reward - uninformed) / (oracle - uninformed):.2f}",
            _number(report.information_bits, "{:.2f}"),
            _number(report.time_to_certainty_s, "{:.1f} s"),
            _number(report.lead_s, "{:.1f} s"),
            _number(report.calibration_error, "{:.3f}"),
            f"{ms:.2f}",
        ]
        for name, (report, ms) in reports.items()
    ]
    columns = ("player", "episodes", "success", "return", "value", "bits", "certain", "before the end", "ECE", "ms")
    print_table("± standard error, in the same worlds", columns, lines)
    Console(soft_wrap=True).print(LEGEND, style="dim", highlight=False)


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)


def _both(value: float | None, error: float | None, form: str, of_error: str) -> str:
    return "–" if value is None or error is None else f"{form.format(value)} ± {of_error.format(error)}"
