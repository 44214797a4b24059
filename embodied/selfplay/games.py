"""N games of two players at once, as a league sees them: this project's duels, or any of PettingZoo.

Shape suffixes are written out: N games, D numbers that one seat sees, A choices.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import AECEnv, ParallelEnv

from embodied.errors import NotZeroSumWarning, OptionError
from embodied.hidden import PRIVILEGED
from embodied.selfplay.boards import Board, board_of
from embodied.selfplay.seats import SeatActions, SeatViews
from embodied.vector.batches import stack_observations


@dataclass
class Tick:
    """What one move in some of the games led to; a game that ended waits for its reset.

    Attributes:
        reward: of the first seat, `(N,)`; the second earns its negative.
        terminated, truncated: `(N,)`.
        void: the physics of the game failed, and nobody has won, lost or drawn, `(N,)`.
    """

    reward: NDArray[np.float32]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    void: NDArray[np.bool_]


class Games(Protocol):
    """N games of one kind at once.

    Attributes:
        seats: names of the two seats.
        observation_space: what either seat sees, as a row of D numbers.
        action_space: what either seat can do.
        hidden: what is hidden from the first seat, and from the second; empty where the game does not say.
        rows: what each seat sees now, `(2, N, D)`.
        allowed: which choices each seat has now, `(2, N, A)`; None where nothing is ever forbidden.
        to_move: whose turn it is, `(2, N)`; both where they move at once.
        privileged: per seat, privileged information: `hidden`, `state` and `shaping`, `(N, …)` each; empty without.
        shaping_curriculum: what the game recommends (see `SequencePPO`).
    """

    shaping_curriculum: float
    num_games: int
    seats: tuple[str, str]
    observation_space: spaces.Box
    action_space: spaces.Space
    hidden: tuple[tuple[Any, ...], tuple[Any, ...]]
    rows: NDArray[np.float32]
    allowed: NDArray[np.bool_] | None
    to_move: NDArray[np.bool_]
    privileged: tuple[dict[str, NDArray], dict[str, NDArray]]

    def reset(self, seed: int | None, games: NDArray[np.bool_]) -> None:
        """Starts the games of the mask; with a seed, game i is that of `seed + i`."""

    def step(self, actions: tuple[NDArray, NDArray], games: NDArray[np.bool_]) -> Tick:
        """Moves the games of the mask, by the actions of those whose turn it is."""


class DuelGames:
    """The batched duels of this project: `duel` has `seats`, `reset` and `step` as `embodied.world.duel.Duel`."""

    allowed: NDArray[np.bool_] | None = None

    def __init__(self, duel: Any) -> None:
        first, second = duel.seats
        if (first.observation_space, first.action_space) != (second.observation_space, second.action_space):
            raise OptionError("a league needs a game whose seats see and do the same kind of things")
        self.duel = duel
        self.shaping_curriculum = duel.task.shaping_curriculum
        self.num_games = duel.num_envs
        self.seats = (first.name, second.name)
        self.observation_space, self.action_space = first.observation_space, first.action_space
        self.hidden = (duel.task.hidden[first.hidden], duel.task.hidden[second.hidden])
        self.to_move = np.ones((2, self.num_games), bool)

    def reset(self, seed: int | None, games: NDArray[np.bool_]) -> None:
        self._keep(*self.duel.reset(seed, games))

    def step(self, actions: tuple[NDArray, NDArray], games: NDArray[np.bool_]) -> Tick:
        obs, reward, terminated, truncated, info = self.duel.step(actions)
        self._keep(obs, info)
        void = np.asarray(info.get("final_info", info)["failed"], bool)
        return Tick(reward.astype(np.float32), terminated, truncated, void)

    def _keep(self, obs: tuple[NDArray, ...], info: dict[str, Any]) -> None:
        self.rows = np.stack(obs)
        parts = [(seat.hidden, seat.state, seat.number) for seat in self.duel.seats]
        first, second = (
            dict(zip(PRIVILEGED, (info[k][:, p] for k, p in zip(PRIVILEGED, part, strict=True)), strict=True))
            for part in parts
        )
        self.privileged = (first, second)


class PettingZooGames:
    """N copies of a game of PettingZoo, parallel or turn-based, moved one after the other.

    Seats may see and do different things (see `SeatViews` and `SeatActions`).

    Args:
        make: builds one game.

    Raises:
        OptionError: the game is not one of two players, or no policy could play both seats.
    """

    def __init__(self, make: Callable[[], ParallelEnv | AECEnv], num_games: int) -> None:
        games = [make() for _ in range(num_games)]
        self._boards: list[Board] = [board_of(game) for game in games]
        players = games[0].possible_agents
        if len(players) != 2:
            raise OptionError(
                f"a league needs two players; this game has {len(players)}: {', '.join(map(str, players))}"
            )
        first, second = players
        self._views = SeatViews((games[0].observation_space(first), games[0].observation_space(second)))
        self._moves = SeatActions((games[0].action_space(first), games[0].action_space(second)))
        self.shaping_curriculum = 0.0
        self.num_games = num_games
        self.seats = (str(first), str(second))
        self.observation_space = self._views.space
        self.action_space = self._moves.space
        self.hidden: tuple[tuple[Any, ...], tuple[Any, ...]] = ((), ())
        self.privileged: tuple[dict[str, NDArray], dict[str, NDArray]] = ({}, {})
        self.rows = np.zeros((2, num_games, self._views.size), np.float32)
        self.to_move = np.zeros((2, num_games), bool)
        exists = self._moves.exists
        self.allowed = None if exists is None else np.repeat(exists[:, None], num_games, axis=1)

    def reset(self, seed: int | None, games: NDArray[np.bool_]) -> None:
        for i in np.flatnonzero(games):
            self._boards[i].reset(None if seed is None else seed + int(i))
        self._look(games)

    def step(self, actions: tuple[NDArray, NDArray], games: NDArray[np.bool_]) -> Tick:
        n = self.num_games
        tick = Tick(np.zeros(n, np.float32), np.zeros(n, bool), np.zeros(n, bool), np.zeros(n, bool))
        for i in np.flatnonzero(games):
            pair = self._moves.own(0, actions[0][i]), self._moves.own(1, actions[1][i])
            earned, tick.terminated[i], tick.truncated[i] = self._boards[i].move(pair)
            tick.reward[i], tick.void[i] = _payoff(earned), self._boards[i].void
        self._look(games)
        return tick

    def _look(self, games: NDArray[np.bool_]) -> None:
        """Takes in what both seats of some games see now."""
        rows = np.flatnonzero(games)
        for seat in (0, 1):
            boards = [self._boards[i] for i in rows]
            self.rows[seat, rows] = self._views.rows(seat, stack_observations([board.see(seat) for board in boards]))
            self.to_move[seat, rows] = [board.is_turn(seat) for board in boards]
            masks = [board.mask(seat) for board in boards]
            mask = next((mask for mask in masks if mask is not None), None)
            if mask is not None and self.allowed is None:
                self.allowed = np.ones((2, self.num_games, np.size(mask)), bool)
            if self.allowed is not None:  # without a mask, everything is allowed
                everything = (
                    np.ones(self.allowed.shape[-1], bool) if self._moves.exists is None else self._moves.exists[seat]
                )
                self.allowed[seat, rows] = [
                    everything if mask is None else self._moves.placed(seat, mask) for mask in masks
                ]


def _payoff(earned: tuple[float, float]) -> float:
    """What the first player wins from the second: its reward, or half the difference where they do not add up to 0."""
    first, second = earned
    if abs(first + second) > 1e-6:
        warnings.warn(
            f"rewards of {first:g} and {second:g}: this game is not zero-sum; half the difference is played for",
            NotZeroSumWarning,
            stacklevel=2,
        )
    return (first - second) / 2
