"""How policies do where an adversary chooses the hidden variable, beside where the prior does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from embodied.agent import Agent
from embodied.errors import OptionError
from embodied.evaluation.loop import run
from embodied.evaluation.observers import Endings
from embodied.nn.agent import NetworkAgent
from embodied.vector.spec import EnvSpec
from embodied.vector.vec import GymVecEnv
from embodied_scripts.baselines import baselines
from embodied_scripts.cli.adversary import AdversaryOf
from embodied_scripts.runs import load_runs
from embodied_scripts.studies.results import print_table

WORLDS = 64


@dataclass(frozen=True)
class Robustness:
    """How a policy did.

    Attributes:
        prior, prior_error: success where what is hidden is drawn from the prior, and its standard error.
        adversarial, adversarial_error: the same where an adversary chooses it.
        by_value: success by hidden value, `(K,)`, None for one that was not met; chosen: how often the adversary chose
            each, `(K,)`.
    """

    prior: float
    prior_error: float
    adversarial: float
    adversarial_error: float
    by_value: list[float | None]
    chosen: list[float]


def measure_robustness(asked: AdversaryOf) -> None:
    """Prints the table, and writes the JSON if asked."""
    if not asked.runs or min(asked.episodes, asked.learning) < 1:
        raise OptionError("name at least one run; episodes and learning must be positive")
    policies, about = load_runs(list(asked.runs))
    if not about.id.startswith("embodied/"):
        raise OptionError(f"nothing is hidden in {about.id} that an adversary could choose")
    players: dict[str, Any] = {name: lambda env, one=one: NetworkAgent(one) for name, one in policies.items()}
    players |= {"heuristic, scripted": lambda env: baselines(env)["heuristic"]}
    measures = {name: _measure(asked, make, about) for name, make in players.items()}
    _print(measures)
    if asked.json is not None:
        players_json = {name: vars(row) for name, row in measures.items()}
        asked.json.write_text(
            json.dumps({"env": about.jsonable(), "seed": asked.seed, "players": players_json}, indent=1)
        )


def _measure(asked: AdversaryOf, make: Any, about: EnvSpec) -> Robustness:
    worlds = min(WORLDS, asked.episodes)
    adversarial_env = about.make(worlds, adversary=1.0)
    plain = about.make(worlds)
    prior, hidden = play_out(make(plain), plain, asked.episodes, asked.seed)
    plain.close()
    player, adversary = make(adversarial_env), adversarial_env.gym_env.adversary  # type: ignore[attr-defined]
    play_out(player, adversarial_env, asked.learning, asked.seed + 1_000_000)
    adversary.learns = False
    adversarial, chosen = play_out(player, adversarial_env, asked.episodes, asked.seed)
    adversarial_env.close()
    values = range(len(adversary.prior))
    by_value = [float(np.mean(prior[hidden == k])) if (hidden == k).any() else None for k in values]
    return Robustness(*_rate(prior), *_rate(adversarial), by_value, [float(np.mean(chosen == k)) for k in values])


def play_out(agent: Agent, env: GymVecEnv, episodes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Plays equally many episodes in each world; returns success and the hidden value of each."""
    endings = Endings()
    run(agent, env, seed, [endings], -(-episodes // env.num_envs))
    return np.array(endings.success, float), np.array(endings.hidden)[:, 0]


def _rate(success: np.ndarray) -> tuple[float, float]:
    rate = float(success.mean())
    return rate, float(np.sqrt(rate * (1 - rate) / len(success)))


def _print(measures: dict[str, Robustness]) -> None:
    lines = [
        [
            name,
            f"{row.prior:.1%} ± {row.prior_error:.1%}",
            f"{row.adversarial:.1%} ± {row.adversarial_error:.1%}",
            f"{row.adversarial - row.prior:+.1%}",
            " / ".join("–" if rate is None else f"{rate:.0%}" for rate in row.by_value),
            " / ".join(f"{rate:.0%}" for rate in row.chosen),
        ]
        for name, row in measures.items()
    ]
    columns = ("player", "drawn from the prior", "chosen by an adversary", "change", "by value", "chosen how often")
    print_table("success ± standard error", columns, lines)
