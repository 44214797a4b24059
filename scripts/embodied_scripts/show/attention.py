"""Does a network, when it commits, look back at the informative observations?

Shape suffixes: L layers, H heads, T decisions of an episode.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from stable_baselines3.common.vec_env import VecEnv

from embodied.agent import Agent
from embodied.errors import OptionError
from embodied.evaluation.loop import Decision, Observer, run
from embodied.nn.agent import NetworkAgent
from embodied.nn.policy import SequencePolicy
from embodied.vector.vec import Experience, GymVecEnv
from embodied.view.attention import draw_attention
from embodied_scripts.cli.attend import Attend
from embodied_scripts.runs import load_runs, runs_in

TOP = 3  # tokens that count as the ones attended to


COMMITMENTS: dict[str, Callable[[NDArray], int]] = {
    "turning away": lambda informative: (
        len(informative) - int(np.argmax(informative[::-1]))
    ),  # the first decision after the last informative observation
    "arrival": lambda informative: len(informative) - 1,
}


@dataclass(frozen=True)
class Episode:
    """What was seen, and which observations are informative about the hidden variable, `(T,)`."""

    obs: NDArray
    informative: NDArray[np.bool_]


@dataclass(frozen=True)
class Look:
    """Where attention went at one decision of an episode.

    Attributes:
        attention: `(L, H, T)`, over decisions up to that one.
        informative: which of them are informative, `(T,)`.
    """

    attention: NDArray
    informative: NDArray[np.bool_]

    @property
    def among_top(self) -> bool:
        """Whether the mean attention of all heads has an informative observation among its first three."""
        return bool(self.informative[np.argsort(self.attention.mean(axis=(0, 1)))[-TOP:]].any())

    @property
    def by_chance(self) -> float:
        """How probable that is for three different decisions at random."""
        top = min(TOP, len(self.informative))
        return 1.0 - math.comb(int((~self.informative).sum()), top) / math.comb(len(self.informative), top)

    @property
    def share(self) -> NDArray[np.float64]:
        """Attention on informative observations, beside what equal attention would give them, `(L, H)`."""
        return self.attention[:, :, self.informative].sum(axis=2) / self.informative.mean()


def measure_attention(asked: Attend) -> None:
    """Prints how often informative observations are among the three most attended to, and what chance would give."""
    if asked.episodes < 1:
        raise OptionError("episodes must be at least 1")
    policies, card = load_runs(runs_in(asked.run_dir)[:1])
    policy = next(iter(policies.values()))
    env = card.make(min(64, asked.episodes))
    played = collect(NetworkAgent(policy), env, asked.episodes, asked.seed)
    looks = {name: look_back(policy, played, when) for name, when in COMMITMENTS.items()}
    if not all(looks.values()):
        raise OptionError("in no episode was something informative before it ended")
    console = Console(soft_wrap=True)
    console.print(_table(looks))
    if asked.picture is not None:
        one = looks["arrival"][len(looks["arrival"]) // 2]
        draw_attention(one.attention, one.informative, env.gym_env.task.control_hz, asked.picture)  # type: ignore[attr-defined]
        console.print(f"Wrote {asked.picture}", markup=False)


def _table(looks: dict[str, list[Look]]) -> Table:
    table = Table(
        "at", "episodes", "decisions", f"informative in first {TOP}", "by chance", "attention ÷ equal", "best heads"
    )
    for name, some in looks.items():
        share = np.mean([look.share for look in some], axis=0)
        informative, chance = (np.mean([getattr(look, what) for look in some]) for what in ("among_top", "by_chance"))
        length = np.mean([len(look.informative) for look in some])
        best = " ".join(f"{layer.max():.1f}" for layer in share)
        table.add_row(
            name, str(len(some)), f"{length:.0f}", f"{informative:.1%}", f"{chance:.1%}", f"{share.mean():.2f}", best
        )
    return table


def collect(agent: Agent, env: GymVecEnv, episodes: int, seed: int) -> list[Episode]:
    """Plays at least so many episodes, equally many in each world.

    Raises:
        OptionError: the task has no `log_likelihood`, so that nobody can say which observations are informative.
    """
    histories = _Histories()
    per_world = -(-episodes // env.num_envs)
    run(agent, env, seed, [histories], per_world)
    return [episode for some in histories.done for episode in some[:per_world]]


class _Histories(Observer):
    """Observations of every world, and whether each is informative, episode by episode."""

    def on_start(self, env: VecEnv) -> None:
        self._world: Any = env.gym_env  # type: ignore[attr-defined]
        self._running: list[list[tuple[NDArray, bool]]] = [[] for _ in range(env.num_envs)]
        self.done: list[list[Episode]] = [[] for _ in range(env.num_envs)]

    def on_decision(self, decision: Decision) -> None:
        evidence = self._world.log_likelihood(decision.obs)
        if evidence is None:
            raise OptionError("which observations are informative is known only of a task with `log_likelihood(obs)`")
        for history, row, informative in zip(self._running, decision.obs, np.ptp(evidence, axis=1) > 0, strict=True):
            history.append((row.copy(), bool(informative)))

    def on_step(self, decision: Decision, experience: Experience) -> None:
        for world in np.flatnonzero(experience.ended):
            rows, informative = zip(*self._running[world], strict=True)
            self.done[world].append(Episode(np.array(rows), np.array(informative)))
            self._running[world] = []


def look_back(policy: SequencePolicy, episodes: list[Episode], when: Callable[[NDArray], int]) -> list[Look]:
    """Attention at the decision of each episode that `when` picks; none where none was informative before it."""
    looks = []
    for episode in episodes:
        at = when(episode.informative)
        if not episode.informative[:at].any() or at >= len(episode.informative):
            continue
        inside = policy.introspect(episode.obs[: at + 1]).inside
        if "attention" not in inside:
            raise OptionError("only a transformer attends to anything")
        looks.append(Look(inside["attention"][:, :, at, : at + 1], episode.informative[: at + 1]))
    return looks
