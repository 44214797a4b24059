"""What different opponents cost, and how near to equilibrium a league comes where that is known."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embodied_scripts.turns import take_turns

if TYPE_CHECKING:
    from embodied.learn.policy import SequencePolicy

OPPONENTS = 8
LEAGUE_STEPS = {"biased rock-paper-scissors": 60_000, "Kuhn poker": 200_000}


def league_rates(rounds: int, worlds: int = 128, steps: int = 64) -> dict[str, list[float]]:
    """Decisions of the learner per second in Sumo, against one opponent and against eight different networks."""
    import numpy as np

    from embodied.learn.arena import Arena
    from embodied.learn.opponents import NetworkOpponent
    from embodied_policies import TransformerPolicy
    from embodied_scripts.bench_learning import use_all_threads
    from embodied_scripts.league import games_of

    use_all_threads()
    worlds = max(worlds, 2 * OPPONENTS)

    def contest(blocks: tuple[int, ...]) -> Callable[[], int]:
        arena = Arena(games_of("Sumo-v0", worlds)[0], blocks)
        spaces = arena.single_observation_space, arena.single_action_space
        for block in range(len(blocks)):
            arena.seat(block, NetworkOpponent(TransformerPolicy(*spaces).eval()), block)
        learner = NetworkOpponent(TransformerPolicy(*spaces).eval())
        learner.begin(worlds, 0)
        obs, _ = arena.reset(seed=0)
        everyone = np.ones(worlds, bool)

        def act() -> int:
            nonlocal obs
            first = np.zeros(worlds, bool)
            for _ in range(steps):
                obs, _, terminated, truncated, _ = arena.step(learner.act(obs, first, everyone, None))
                first = terminated | truncated
                if first.any():
                    obs, _ = arena.reset(options={"reset_mask": first})
            return steps * worlds

        return act

    each = worlds // OPPONENTS // 2 * 2
    many = (worlds - each * (OPPONENTS - 1), *[each] * (OPPONENTS - 1))
    return take_turns({"eight different opponents": contest(many), "one opponent": contest((worlds,))}, rounds)


def show_table_games(small: bool) -> None:
    """Prints how exploitable leagues and plain self-play end up in two games whose equilibrium is known."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

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
    import numpy as np
    import torch

    from embodied.learn.games import PettingZooGames
    from embodied.learn.league import League, LeagueOptions
    from embodied.learn.table_games import BiasedRockPaperScissors, KuhnPoker
    from embodied_policies import MLPPolicy

    torch.set_num_threads(1)
    rock = name.startswith("biased")
    opponents: dict[str, Any] = {"latest": 0.5, "slots": 8} if is_league else {"latest": 0.9, "slots": 1}
    options = LeagueOptions(founders=0.0, uniform=1.0, members=24, size=60, stay=4, **opponents)
    rate = 1e-2 if rock else 3e-3
    make: Callable[[], Any] = BiasedRockPaperScissors if rock else KuhnPoker
    with tempfile.TemporaryDirectory() as folder:
        league = League(
            PettingZooGames(make, 64), MLPPolicy, Path(folder), None, options, n_steps=8, minibatches=4, gamma=1.0,
            learning_rate=lambda left: rate * (0.1 + 0.9 * left), ent_coef=0.1,
            policy_kwargs={"layers": 1 if rock else 2, "width": 16 if rock else 32},
        )  # fmt: skip
        league.learn(steps)
        table = league.table(rounds=16, most=24)
        members = [(n, w) for n, w in zip(table.names, table.nash, strict=True) if n != "random"]
        policies = [league.pool.policy(n) for n, _ in members]
        nash = np.array([w for _, w in members]) + 1e-9
        return (
            _exploitability(rock, policies, nash / nash.sum()),
            _exploitability(rock, policies, np.full(len(policies), 1 / len(policies))),
            _exploitability(rock, [league.learner.policy], np.ones(1)),
        )


def _exploitability(rock: bool, policies: list[Any], weights: Any) -> float:
    import numpy as np

    from embodied.learn.table_games import BIASED, kuhn_exploitability
    from embodied.mind.equilibrium import exploitability

    if rock:
        throws = np.array([[_choices(policy, [0.0], seat) for seat in (0, 1)] for policy in policies])
        first, second = np.einsum("k,ksa->sa", weights, throws)
        return exploitability(BIASED, first, second)
    strategies = [[_kuhn_strategy(policy, seat) for policy in policies] for seat in (0, 1)]
    return kuhn_exploitability((strategies[0], strategies[1]), weights)


def _kuhn_strategy(policy: SequencePolicy, seat: int) -> Callable[[int, tuple[int, ...]], float]:
    """A policy's probability of a bet by card and history."""
    from embodied.learn.table_games import CARDS, DECISIONS, kuhn_row

    bets = {
        (card, history): float(_choices(policy, kuhn_row(card, history), seat)[1])
        for card in range(CARDS)
        for history in DECISIONS[seat]
    }
    return lambda card, history: bets[card, history]


def _choices(policy: SequencePolicy, row: Any, seat: int) -> Any:
    """The probabilities of a policy's choices at a row seen from a seat."""
    import numpy as np
    import torch

    from embodied.learn.opponents import with_seat

    seen = with_seat(np.asarray([row], np.float32), np.array([seat]))
    with torch.inference_mode():
        reading, _ = policy.step(torch.as_tensor(seen), torch.ones(1, dtype=torch.bool), policy.initial(1))
    return reading.actions.base_dist.probs[0, 0].double().numpy()  # type: ignore[attr-defined]
