"""`embodied attend`: does a network, when it commits, look back at the moments in which it was told?

Shape suffixes: L layers, H heads, T decisions of an episode.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray

from embodied.errors import OptionError

if TYPE_CHECKING:
    from rich.table import Table

    from embodied.agent import Agent
    from embodied.learn.policy import SequencePolicy
    from embodied.learn.vec import GymVecEnv

TOP = 3  # tokens that count as the ones attended to
COMMITMENTS: dict[str, Callable[[NDArray], int]] = {
    "turning away": lambda told: len(told) - int(np.argmax(told[::-1])),  # the first decision after the last telling
    "arrival": lambda told: len(told) - 1,
}


@dataclass(frozen=True)
class Episode:
    """What was seen, and at which decisions something was learnt of the hidden variable, `(T,)`."""

    obs: NDArray
    told: NDArray[np.bool_]


@dataclass(frozen=True)
class Look:
    """Where attention went at one decision of an episode.

    Attributes:
        attention: `(L, H, T)`, over decisions up to that one.
        told: which of them told something, `(T,)`.
    """

    attention: NDArray
    told: NDArray[np.bool_]

    @property
    def among_top(self) -> bool:
        """Whether the mean attention of all heads has a telling moment among its first three."""
        return bool(self.told[np.argsort(self.attention.mean(axis=(0, 1)))[-TOP:]].any())

    @property
    def by_chance(self) -> float:
        """How probable that is for three different decisions at random."""
        top = min(TOP, len(self.told))
        return 1.0 - math.comb(int((~self.told).sum()), top) / math.comb(len(self.told), top)

    @property
    def share(self) -> NDArray[np.float64]:
        """Attention on telling moments, beside what equal attention would give them, `(L, H)`."""
        return self.attention[:, :, self.told].sum(axis=2) / self.told.mean()


@dataclass
class Attend:
    """Measure what a trained policy attends to when it turns away from what told it, and when it arrives."""

    run_dir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(name="run")]
    """Folder of a run whose policy is a transformer, on a task with an exact filter."""
    episodes: int = 200
    """Episodes that are judged."""
    seed: int = 10_000
    """Seed of their worlds."""
    picture: Path | None = None
    """Also draw one episode's attention, head by head, to this PNG file."""

    def run(self) -> None:
        """Prints how often telling moments are among the three most attended to, and what chance would give."""
        from rich.console import Console

        from embodied.learn.agents import NetworkAgent
        from embodied.learn.vec import GymVecEnv, make_vec
        from embodied_scripts.evaluate import load_runs, runs_in

        if self.episodes < 1:
            raise OptionError("episodes must be at least 1")
        policies, card = load_runs(runs_in(self.run_dir)[:1])
        policy = next(iter(policies.values()))
        env = GymVecEnv(make_vec(card["id"], min(64, self.episodes), **card["options"]))
        played = play(NetworkAgent(policy), env, self.episodes, self.seed)
        looks = {name: look_back(policy, played, when) for name, when in COMMITMENTS.items()}
        if not all(looks.values()):
            raise OptionError("in no episode was something told before it ended")
        console = Console(soft_wrap=True)
        console.print(_table(looks))
        if self.picture is not None:
            from embodied.view.attention import draw_attention

            one = looks["arrival"][len(looks["arrival"]) // 2]
            draw_attention(one.attention, one.told, env.gym_env.task.control_hz, self.picture)  # type: ignore[attr-defined]
            console.print(f"Wrote {self.picture}", markup=False)


def _table(looks: dict[str, list[Look]]) -> Table:
    from rich.table import Table

    table = Table(
        "at", "episodes", "decisions", f"told, in first {TOP}", "by chance", "attention ÷ equal", "best heads"
    )
    for name, some in looks.items():
        share = np.mean([look.share for look in some], axis=0)
        told, chance = (np.mean([getattr(look, what) for look in some]) for what in ("among_top", "by_chance"))
        length = np.mean([len(look.told) for look in some])
        best = " ".join(f"{layer.max():.1f}" for layer in share)
        table.add_row(
            name, str(len(some)), f"{length:.0f}", f"{told:.1%}", f"{chance:.1%}", f"{share.mean():.2f}", best
        )
    return table


def play(agent: Agent, env: GymVecEnv, episodes: int, seed: int) -> list[Episode]:
    """Plays at least so many episodes, equally many in each world.

    Raises:
        OptionError: the task has no exact filter, so that nobody can say what told something.
    """
    from embodied.learn.vec import step

    world: Any = env.gym_env
    env.seed(seed)
    obs, first = env.reset(), np.ones(env.num_envs, bool)
    carry = agent.initial(env.num_envs, seed)
    running: list[list[tuple[NDArray, bool]]] = [[] for _ in range(env.num_envs)]
    done: list[list[Episode]] = [[] for _ in range(env.num_envs)]
    each = -(-episodes // env.num_envs)
    while min(map(len, done)) < each:
        evidence = world.log_likelihood(obs)
        if evidence is None:
            raise OptionError("the task has no exact filter, which says when something was told")
        telling = np.ptp(evidence, axis=1) > 0
        for kept, row, told in zip(running, obs, telling, strict=True):
            kept.append((row.copy(), bool(told)))
        carry, action = agent.act(carry, obs, first)
        experience, _ = step(env, action)
        for n in np.flatnonzero(experience.ended):
            rows, tells = zip(*running[n], strict=True)
            done[n].append(Episode(np.array(rows), np.array(tells)))
            running[n] = []
        obs, first = experience.obs, experience.ended | experience.ignore
    return [episode for some in done for episode in some[:each]]


def look_back(policy: SequencePolicy, episodes: list[Episode], when: Callable[[NDArray], int]) -> list[Look]:
    """Attention at the decision of each episode that `when` picks; none where nothing was told before it."""
    looks = []
    for episode in episodes:
        at = when(episode.told)
        if not episode.told[:at].any() or at >= len(episode.told):
            continue
        inside = policy.explain(episode.obs[: at + 1]).inside
        if "attention" not in inside:
            raise OptionError("only a transformer attends to anything")
        looks.append(Look(inside["attention"][:, :, at, : at + 1], episode.told[: at + 1]))
    return looks
