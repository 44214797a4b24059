"""What different opponents cost, and how near to equilibrium a league comes where that is known."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from embodied.evaluation.loop import play
from embodied.nn.agent import NetworkAgent
from embodied.nn.policy import SequencePolicy
from embodied.selfplay.agents import with_seat
from embodied.selfplay.arena import Arena
from embodied.selfplay.config import LeagueConfig
from embodied.selfplay.equilibrium import exploitability
from embodied.selfplay.games import PettingZooGames
from embodied.selfplay.league import League
from embodied.vector.vec import GymVecEnv
from embodied_policies import MlpPolicy, TransformerPolicy
from embodied_scripts.bench.learning import use_all_threads
from embodied_scripts.bench.rounds import take_turns
from embodied_scripts.leagues import games_of
from embodied_scripts.studies.table_games import (
    BIASED,
    CARDS,
    DECISIONS,
    BiasedRockPaperScissors,
    KuhnPoker,
    kuhn_exploitability,
    kuhn_row,
)

OPPONENTS = 8
LEAGUE_STEPS = {"biased rock-paper-scissors": 60_000, "Kuhn poker": 200_000}


def league_rates(rounds: int, worlds: int = 128, steps: int = 64) -> dict[str, list[float]]:
    """Decisions of the learner per second in Sumo, against one opponent and against eight different networks."""
    use_all_threads()
    worlds = max(worlds, 2 * OPPONENTS)

    def rate_of(blocks: tuple[int, ...]) -> Callable[[], int]:
        arena = Arena(games_of("Sumo-v0", worlds)[0], blocks)
        spaces = arena.single_observation_space, arena.single_action_space

        def network() -> NetworkAgent:
            return NetworkAgent(TransformerPolicy(*spaces), deterministic=False, reuse_memory=True)

        for block in range(len(blocks)):
            arena.seat(block, network(), block)
        decisions = play(network(), GymVecEnv(arena), 0)
        return lambda: sum(len(decision.first) for decision in itertools.islice(decisions, steps))

    each = worlds // OPPONENTS // 2 * 2
    many = (worlds - each * (OPPONENTS - 1), *[each] * (OPPONENTS - 1))
    return take_turns({"eight different opponents": rate_of(many), "one opponent": rate_of((worlds,))}, rounds)


def show_table_games(small: bool) -> None:
    """Prints how exploitable leagues and plain self-play end up in two games whose equilibrium is known."""
    table = Table(title="What best replies win together (0 in equilibrium)", box=SIMPLE_HEAD, title_justify="left")
    for column in ("game", "training", "Nash average", "uniform average", "newest"):
        table.add_column(column)
    for name in LEAGUE_STEPS:
        for training in ("league", "latest against latest"):
            figures = table_game_figures(name, training == "league", 600 if small else LEAGUE_STEPS[name])
            table.add_row(name, training, *(f"{figure:.3f}" for figure in figures))
    Console().print(table)


def table_game_figures(name: str, is_league: bool, steps: int) -> tuple[float, float, float]:
    """How exploitable the Nash average, the uniform average and the newest member of a training are."""
    torch.set_num_threads(1)
    rock = name.startswith("biased")
    opponents: dict[str, Any] = (
        {"latest": 0.5, "concurrent_opponents": 8} if is_league else {"latest": 0.9, "concurrent_opponents": 1}
    )
    options = LeagueConfig(
        anchors=0.0, uniform=1.0, checkpoints=24, population_size=60, resample_interval=4, **opponents
    )
    rate = 1e-2 if rock else 3e-3
    make: Callable[[], Any] = BiasedRockPaperScissors if rock else KuhnPoker
    with tempfile.TemporaryDirectory() as folder:
        league = League(
            PettingZooGames(make, 64), MlpPolicy, Path(folder), None, options, n_steps=8, minibatches=4, n_epochs=4,
            gamma=1.0, learning_rate=rate, learning_rate_end=0.1 * rate, ent_coef=0.1,
            policy_kwargs={"layers": 1 if rock else 2, "width": 16 if rock else 32},
        )  # fmt: skip
        league.learn(steps)
        table = league.table(rounds=16, most=24)
        members = [(n, w) for n, w in zip(table.names, table.nash, strict=True) if n != "random"]
        policies = [league.population.policy(n) for n, _ in members]
        nash = np.array([w for _, w in members]) + 1e-9
        return (
            _exploitability(rock, policies, nash / nash.sum()),
            _exploitability(rock, policies, np.full(len(policies), 1 / len(policies))),
            _exploitability(rock, [league.learner.policy], np.ones(1)),
        )


def _exploitability(rock: bool, policies: list[Any], weights: Any) -> float:
    if rock:
        throws = np.array([[_choices(policy, [0.0], seat) for seat in (0, 1)] for policy in policies])
        first, second = np.einsum("k,ksa->sa", weights, throws)
        return exploitability(BIASED, first, second)
    strategies = [[_kuhn_strategy(policy, seat) for policy in policies] for seat in (0, 1)]
    return kuhn_exploitability((strategies[0], strategies[1]), weights)


def _kuhn_strategy(policy: SequencePolicy, seat: int) -> Callable[[int, tuple[int, ...]], float]:
    """A policy's probability of a bet by card and history."""
    bets = {
        (card, history): float(_choices(policy, kuhn_row(card, history), seat)[1])
        for card in range(CARDS)
        for history in DECISIONS[seat]
    }
    return lambda card, history: bets[card, history]


def _choices(policy: SequencePolicy, row: Any, seat: int) -> Any:
    """The probabilities of a policy's choices at a row seen from a seat."""
    seen = with_seat(np.asarray([row], np.float32), np.array([seat]))
    with torch.inference_mode():
        reading, _ = policy.step(torch.as_tensor(seen), torch.ones(1, dtype=torch.bool), policy.initial(1))
    return reading.actions.base_dist.probs[0, 0].double().numpy()  # type: ignore[attr-defined]
