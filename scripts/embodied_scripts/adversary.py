"""`embodied adversary`: how policies do where an adversary hides what they look for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro

from embodied.errors import OptionError

if TYPE_CHECKING:
    from embodied.agent import Agent
    from embodied.learn.vec import GymVecEnv

WORLDS = 64


@dataclass(frozen=True)
class Trial:
    """How a policy did.

    Attributes:
        prior, prior_error: success where what is hidden is drawn from the prior, and its standard error.
        hunted, hunted_error: the same where an adversary chooses it.
        by_value: success by hidden value, `(K,)`, None for one that was not met; chosen: how often the adversary chose
            each, `(K,)`.
    """

    prior: float
    prior_error: float
    hunted: float
    hunted_error: float
    by_value: list[float | None]
    chosen: list[float]


@dataclass
class AdversaryOf:
    """Measure how policies do where an adversary chooses what is hidden, beside where the prior does.

    Against each policy, which learns no more, an adversary learns for some episodes where it fails; then both play on,
    and the adversary learns no more either.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of runs of the same environment."""
    episodes: int = 1024
    """On which each is measured, with the prior and with the adversary."""
    learning: int = 4096
    """Episodes that the adversary learns from before."""
    seed: int = 10_000
    """Seed of the worlds."""
    json: Path | None = None
    """Also write the measures to this file."""

    def run(self) -> None:
        """Prints the table, and writes the JSON if asked."""
        from embodied.learn.agents import NetworkAgent
        from embodied_scripts.evaluate import load_runs
        from embodied_scripts.players import reference_players

        if not self.runs or min(self.episodes, self.learning) < 1:
            raise OptionError("name at least one run; episodes and learning must be positive")
        policies, about = load_runs(list(self.runs))
        if not about["id"].startswith("embodied/"):
            raise OptionError(f"nothing is hidden in {about['id']} that an adversary could choose")
        players: dict[str, Any] = {name: lambda env, one=one: NetworkAgent(one) for name, one in policies.items()}
        players |= {"curious, scripted": lambda env: reference_players(env)["curious"]}
        trials = {name: self._tried(make, about) for name, make in players.items()}
        _print(trials)
        if self.json is not None:
            told = {name: vars(trial) for name, trial in trials.items()}
            self.json.write_text(json.dumps({"env": about, "seed": self.seed, "players": told}, indent=1))

    def _tried(self, make: Any, about: dict[str, Any]) -> Trial:
        from embodied.learn.vec import GymVecEnv, make_vec

        worlds = min(WORLDS, self.episodes)
        hunting = GymVecEnv(make_vec(about["id"], worlds, adversary=1.0, **about["options"]))
        plain = GymVecEnv(make_vec(about["id"], worlds, **about["options"]))
        prior, hidden = played(make(plain), plain, self.episodes, self.seed)
        plain.close()
        player, adversary = make(hunting), hunting.gym_env.adversary  # type: ignore[attr-defined]
        played(player, hunting, self.learning, self.seed + 1_000_000)
        adversary.learns = False
        hunted, chosen = played(player, hunting, self.episodes, self.seed)
        hunting.close()
        values = range(len(adversary.prior))
        by_value = [float(np.mean(prior[hidden == k])) if (hidden == k).any() else None for k in values]
        return Trial(*_rate(prior), *_rate(hunted), by_value, [float(np.mean(chosen == k)) for k in values])


def played(agent: Agent, env: GymVecEnv, episodes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Plays equally many episodes in each world; returns success and the hidden value of each."""
    from embodied.learn.vec import step

    n = env.num_envs
    per_world = -(-episodes // n)
    env.seed(seed)
    obs, first, carry = env.reset(), np.ones(n, bool), agent.initial(n, seed)
    count, success, hidden = np.zeros(n, int), [], []
    while (count < per_world).any():
        carry, action = agent.act(carry, obs, first)
        experience, _ = step(env, action)
        over = experience.ended & ~experience.ignore & (count < per_world)
        assert experience.success is not None
        success += experience.success[over].tolist()
        hidden += experience.final_privileged["hidden"][over, 0].tolist()
        count += over
        obs, first = experience.obs, experience.ended
    return np.array(success, float), np.array(hidden)


def _rate(success: np.ndarray) -> tuple[float, float]:
    rate = float(success.mean())
    return rate, float(np.sqrt(rate * (1 - rate) / len(success)))


def _print(trials: dict[str, Trial]) -> None:
    from embodied_scripts.rows import print_table

    lines = [
        [
            name,
            f"{trial.prior:.1%} ± {trial.prior_error:.1%}",
            f"{trial.hunted:.1%} ± {trial.hunted_error:.1%}",
            f"{trial.hunted - trial.prior:+.1%}",
            " / ".join("–" if rate is None else f"{rate:.0%}" for rate in trial.by_value),
            " / ".join(f"{rate:.0%}" for rate in trial.chosen),
        ]
        for name, trial in trials.items()
    ]
    columns = ("player", "drawn from the prior", "chosen by an adversary", "change", "by value", "chosen how often")
    print_table("success ± standard error", columns, lines)
