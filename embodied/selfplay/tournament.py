"""Who is how good: games between players in both seats of the same worlds, and what follows from their table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from embodied.agent import Agent
from embodied.evaluation.loop import Decision, Observer, run
from embodied.extras import advice
from embodied.selfplay.arena import LONGEST, Arena, Result
from embodied.selfplay.equilibrium import cycles, cyclic_share, nash_mixture
from embodied.selfplay.games import Games
from embodied.vector.vec import Experience, GymVecEnv

T = TypeVar("T")
Z = 1.96  # of a 95 % interval
RATED, ORDERS = 40, 8  # games of each pair that are rated, and orders in which they are
WORLDS_PER_PAIR = 16  # at least, where there are as many


@dataclass(frozen=True)
class Table:
    """Pay-offs between K players.

    Attributes:
        names: of the players.
        score: share of games that the row's player won against the column's, draws as halves, `(K, K)`.
        low, high: its 95 % interval; games: how many there were, `(K, K)`.
        payoff: mean return of the row's player, `(K, K)`.
    """

    names: tuple[str, ...]
    score: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    games: NDArray[np.float64]
    payoff: NDArray[np.float64]

    @property
    def nash(self) -> NDArray[np.float64]:
        """The mixture that no player of the table beats ("Nash averaging", Balduzzi et al. 2018), `(K,)`."""
        return nash_mixture(self.payoff)

    @property
    def cyclic_share(self) -> float:
        """How much of the table no rating explains."""
        return cyclic_share(self.payoff)

    @property
    def cycles(self) -> list[tuple[str, str, str]]:
        """Triples of which each surely beats the next, and the last the first."""
        return [(self.names[i], self.names[j], self.names[k]) for i, j, k in cycles(self.low > 0.5)]

    def ratings(self) -> dict[str, tuple[float, float]]:
        """Rating and its uncertainty (openskill's Plackett-Luce: mean and deviation), from games as the table says.

        The order of games is chance, and ratings are means over several such orders: who plays last must not matter.

        Raises:
            MissingExtraError: openskill is not installed.
        """
        with advice():
            from openskill.models import PlackettLuce
        model, rng, met = PlackettLuce(), np.random.default_rng(0), self._games_met()
        rated = np.zeros((ORDERS, len(self.names), 2))
        for order in rated:
            players = [model.rating() for _ in self.names]
            for i, j, won in met[rng.permutation(len(met))]:
                [players[i]], [players[j]] = model.rate(
                    [[players[i]], [players[j]]], scores=[float(won), float(1 - won)]
                )
            order[:] = [(player.mu, player.sigma) for player in players]
        means = rated.mean(axis=0).tolist()
        return {name: (mu, sigma) for name, (mu, sigma) in zip(self.names, means, strict=True)}

    def _games_met(self) -> NDArray[np.intp]:
        """Up to `RATED` games of each pair, as many won as the table says: who, against whom, and whether it won."""
        met = []
        for i in range(len(self.names)):
            for j in range(i):
                count = int(min(self.games[i, j], RATED))
                won = round(count * float(self.score[i, j]))
                met += [(i, j, 1)] * won + [(i, j, 0)] * (count - won)
        return np.array(met, np.intp).reshape(-1, 3)


def interval(wins: float, games: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (1927); 0 to 1 before any game."""
    if not games:
        return 0.0, 1.0
    share, z2 = wins / games, Z * Z
    middle = (share + z2 / (2 * games)) / (1 + z2 / games)
    half = Z / (1 + z2 / games) * math.sqrt(share * (1 - share) / games + z2 / (4 * games * games))
    return max(0.0, middle - half), min(1.0, middle + half)


def play(
    games: Games, player: Agent, others: list[Agent], rounds: int, seed: int, longest: int = LONGEST
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores (1, ½ or 0) and pay-offs of `player` against each of `others`, `(len(others), games)` each.

    Every world is played `rounds` times, each time from both seats with the same seed. Each player has seeds of its
    own. A game of more than `longest` moves is cut off, and is what was paid until then.
    """
    share = games.num_games // len(others) // 2 * 2  # of the worlds; what is left of the last block is not counted
    blocks = (*[share] * (len(others) - 1), games.num_games - share * (len(others) - 1))
    table = np.zeros((len(others), rounds, 2, share, 2))
    for turn in range(rounds):
        for swapped in (0, 1):
            arena = Arena(games, blocks, longest)
            if swapped:
                arena.seats = 1 - arena.seats
            seeds = np.random.SeedSequence([seed, turn, swapped]).generate_state(1 + len(others)).tolist()
            for i, other in enumerate(others):
                arena.seat(i, other, seeds[1 + i])
            first_games = _FirstGames(arena)
            run(player, GymVecEnv(arena), seed + turn * games.num_games, [first_games], 1, agent_seed=seeds[0])
            for result in first_games.results:
                place = result.game - arena.blocks[result.block].start
                if place < share:
                    table[result.block, turn, swapped, place] = result.score, result.payoff
    flat = table.reshape(len(others), -1, 2)
    return flat[..., 0], flat[..., 1]


class _FirstGames(Observer):
    """How the first game of every world ended that was not void."""

    def __init__(self, arena: Arena) -> None:
        self._arena, self._over = arena, np.zeros(arena.num_envs, bool)
        self.results: list[Result] = []

    def on_step(self, decision: Decision, experience: Experience) -> None:
        for result in self._arena.take_results():
            if not self._over[result.game]:
                self._over[result.game] = True
                self.results.append(result)


def at_once(others: list[T], games: Games) -> list[list[T]]:
    """Parts of `others` that one player can meet at once, each in worlds enough."""
    parts = min(len(others), -(-len(others) * WORLDS_PER_PAIR // games.num_games))
    return [[others[i] for i in some] for some in np.array_split(np.arange(len(others)), parts)] if others else []


def tournament(games: Games, players: dict[str, Agent], rounds: int = 1, seed: int = 30_000) -> Table:
    """The table of everyone against everyone."""
    names = tuple(players)
    k = len(names)
    wins, counts, payoff = np.zeros((k, k)), np.zeros((k, k)), np.zeros((k, k))
    for i in range(1, k):
        for some in at_once(list(range(i)), games):
            scores, returns = play(games, players[names[i]], [players[names[j]] for j in some], rounds, seed + i)
            payoff[i, some], payoff[some, i] = returns.mean(axis=1), -returns.mean(axis=1)
            counts[i, some] = counts[some, i] = scores.shape[1]
            wins[i, some] = scores.sum(axis=1)
            wins[some, i] = scores.shape[1] - wins[i, some]
    score = np.divide(wins, counts, out=np.full((k, k), 0.5), where=counts > 0)
    bounds = np.array([[interval(wins[i, j], counts[i, j]) for j in range(k)] for i in range(k)]).reshape(k, k, 2)
    return Table(names, score, bounds[..., 0], bounds[..., 1], counts, payoff)
