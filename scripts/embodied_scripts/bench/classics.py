"""How well the mind decides in problems that others have published results on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
from rich.console import Console
from rich.table import Table

from embodied.mind.planner import Planner
from embodied_scripts.cli.lazy import load
from embodied_scripts.studies.classics import RockSample, SimpleLightDark, Tag, Tiger

STEPS = 100
CLASSICS: dict[str, tuple[type, str]] = {
    "Tiger": (Tiger, "a door ends it; the best that is possible: 3.77"),
    "Tag": (Tag, "SARSOP -6.1, QMDP -15.8"),
    "SimpleLightDark": (SimpleLightDark, "solver of 1 s a step: 61.06 ± 0.40; rule with exact filter: 62.40 ± 0.08"),
    "RockSample(7,8)": (RockSample, "SARSOP 21.5, POMCP 16.8 to 20.7"),
}


@dataclass
class Played:
    """Returns of episodes; how long decisions took, with what was taken in after them, and preparations [s]."""

    returns: list[float] = field(default_factory=list)
    decisions_s: list[float] = field(default_factory=list)
    prepared_s: list[float] = field(default_factory=list)

    @property
    def error(self) -> float:
        """Standard error of the mean return."""
        return float(np.std(self.returns) / np.sqrt(len(self.returns)))


class Player(Protocol):
    """Somebody who decides in a problem, as `Planner` does."""

    prepared_s: float

    def reset(self) -> None: ...

    def act(self) -> Any: ...

    def update(self, action: Any, observation: Any) -> None: ...


def play_problem(
    kind: type, make: Callable[[Any, int], Player], episodes: int, seed: int = 0, fresh: bool = True
) -> Played:
    """Plays a problem.

    Args:
        make: a player of a problem, given a seed.
        fresh: whether every episode gets a new player, that knows nothing of the problem.
    """
    played, rng, player = Played(), np.random.default_rng(seed + 1), None
    for episode in range(episodes):
        if player is None or fresh:
            player = make(kind(), seed + episode)
            played.prepared_s.append(player.prepared_s)
        player.reset()
        _play_episode(kind(), player, rng, played)
    return played


def _play_episode(problem: Any, player: Player, rng: np.random.Generator, played: Played) -> None:
    state, earned = problem.initial(1, rng), 0.0
    for t in range(STEPS):
        began = time.perf_counter()
        action = player.act()
        played.decisions_s.append(time.perf_counter() - began)
        state, observed, reward, done = problem.step(state, action, rng)
        earned += problem.discount**t * float(reward[0])
        if done[0]:
            break
        began = time.perf_counter()
        player.update(action, observed[0])
        played.decisions_s[-1] += time.perf_counter() - began
    played.returns.append(earned)


def show_classics(
    episodes: int, seconds: float, offline: float = 0.0, pouct: bool = False, names: Sequence[str] = tuple(CLASSICS)
) -> None:
    """Plays problems of the literature and prints how well, beside what is published; and POUCT, of 1 s."""
    how = f"{offline:g} s of thought ahead, then" if offline else "a fresh planner for every episode,"
    table = Table(title=f"{episodes} episodes each: {how} {1e3 * seconds:g} ms for a decision", title_justify="left")
    for column in ("problem", "return", "decisions: median, 99 %, longest [ms]", "prepared [s]", "published"):
        table.add_column(column)
    for name in names:
        kind, published = CLASSICS[name]
        played = play_problem(kind, partial(_planner, seconds, offline), episodes, fresh=not offline)
        table.add_row(name, *_row(played), published)
        if pouct:
            played = play_problem(kind, load("bench.pouct:PouctPlayer"), episodes)
            table.add_row("  POUCT", *_row(played), "")
    Console().print(table)


def _planner(seconds: float, offline: float, problem: Any, seed: int) -> Planner:
    planner = Planner(problem, seed, seconds)
    if offline:
        planner.think(offline)
    return planner


def _row(played: Played) -> tuple[str, str, str]:
    median, most, longest = 1e3 * np.quantile(played.decisions_s, [0.5, 0.99, 1.0])
    return (
        f"{np.mean(played.returns):.2f} ± {played.error:.2f}",
        f"{median:.1f}, {most:.1f}, {longest:.1f}",
        f"{np.mean(played.prepared_s):.2f}",
    )
