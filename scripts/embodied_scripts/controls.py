"""`embodied controls`: what a policy owes to looking, beside a planner and what is left when looking is taken away."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray

from embodied.errors import OptionError

if TYPE_CHECKING:
    from embodied.agent import Agent, Carry
    from embodied.learn.evaluate import Report
    from embodied.learn.vec import GymVecEnv

WORLDS, THINKERS = 64, 4
PAN = "pan_servo"
SEARCHED_EPISODES, SEARCHED_SEED = 256, 50_000  # in which the best static gaze is looked for
LEGEND = (
    "value: share of what information is worth here, from blind (0) to oracle (1). bits: gathered, by an exact filter "
    "on what the player was shown; certain: when an ideal observer would be, on average, and how long before the end; "
    "ECE: calibration error of the player's own belief; ms: of thought per step, many worlds at once (planner: few)."
)


@dataclass
class Controls:
    """Measure what a policy owes to looking: itself and four controls, beside reference players and a planner.

    The first run is the active policy, and the controls are made of it: its head held ahead, or at the best angle; its
    channel of information cut after one look, or from the beginning.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of runs of the same environment; those after the first are measured beside it."""
    episodes: int = 512
    """Episodes per player."""
    planner: int = 64
    """Episodes of the planner, which thinks for seconds in each and so plays in few worlds; 0 leaves it out, as do
    tasks that nobody has written skills for."""
    seconds: float = 0.1
    """The planner's time for a decision."""
    angles: int = 7
    """Among how many the best static gaze is looked for."""
    seed: int = 10_000
    """Seed of the worlds."""
    json: Path | None = None
    """Also write the measures to this file."""

    def run(self) -> None:
        """Prints the table, and writes the JSON if asked."""
        from embodied.learn.agents import NetworkAgent
        from embodied.learn.checkpoint import check_spaces
        from embodied.learn.vec import GymVecEnv, make_vec
        from embodied_scripts.evaluate import load_runs
        from embodied_scripts.players import SKILLED, reference_players

        if not self.runs or min(self.episodes, self.angles) < 1 or self.planner < 0 or not self.seconds > 0:
            raise OptionError("name at least one run; episodes, angles and seconds must be positive")
        policies, about = load_runs(list(self.runs))
        env = GymVecEnv(make_vec(about["id"], min(WORLDS, self.episodes), **about["options"]))
        for policy in policies.values():
            check_spaces(policy.card() | {"env": about}, env.observation_space, env.action_space, about["id"])
        references = {name: one for name, one in reference_players(env).items() if name != "random"}
        if "oracle" not in references:
            raise OptionError(f"{about['id']} has no blind player and no oracle to measure between")
        trained = {name: NetworkAgent(policy) for name, policy in policies.items()}
        active, *others = trained
        players = references | {f"active: {active}": trained[active]} | {name: trained[name] for name in others}
        players |= controls_of(trained[active], env, self.angles)
        reports = {name: _measured(player, env, self.episodes, self.seed) for name, player in players.items()}
        env.close()
        if self.planner and about["id"] in SKILLED:
            reports["planner"] = self._planned(about)
        _print(reports)
        if self.json is not None:
            told = {name: asdict(report) | {"ms": ms} for name, (report, ms) in reports.items()}
            self.json.write_text(json.dumps({"env": about, "seed": self.seed, "players": told}, indent=1))

    def _planned(self, about: dict[str, Any]) -> tuple[Report, float]:
        from embodied.learn.vec import GymVecEnv, make_vec
        from embodied_scripts.players import planning_agent

        env = GymVecEnv(make_vec(about["id"], min(THINKERS, self.planner), **about["options"]))
        agent = planning_agent(env, self.seconds)
        measured = _measured(agent, env, self.planner, self.seed)
        env.close()
        prepared, chosen = np.mean(agent.effort.prepared_s), 1e3 * np.mean(agent.effort.decided_s)
        print(f"the planner imagined for {prepared:.1f} s for each plan, and chose skills in {chosen:.0f} ms")
        return measured


def controls_of(active: Agent, env: GymVecEnv, angles: int) -> dict[str, Agent]:
    """The active agent with its looking taken away, by name."""
    from embodied_policies.controls import FixedGaze, FrozenLooks, blank_of

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
    from embodied.learn.evaluate import evaluate
    from embodied_policies.controls import FixedGaze

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
    from embodied.learn.evaluate import evaluate

    timed = _Timed(agent)
    report = evaluate(timed, env, episodes, seed)
    return report, 1e3 * timed.seconds / timed.decisions


def _print(reports: dict[str, tuple[Report, float]]) -> None:
    from rich.console import Console

    from embodied_scripts.rows import print_table

    blind, oracle = (reports[name][0].reward for name in ("blind", "oracle"))
    lines = [
        [
            name,
            str(report.episodes),
            _both(report.success, report.success_error, "{:.1%}", "{:.1%}"),
            _both(report.reward, report.reward_error, "{:+.3f}", "{:.3f}"),
            f"{(report.reward - blind) / (oracle - blind):.2f}",
            _number(report.bits, "{:.2f}"),
            _number(report.seconds_to_certainty, "{:.1f} s"),
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
