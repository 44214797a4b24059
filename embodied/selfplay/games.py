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
from embodied.hidden import EXTRAS, PRIVILEGED
from embodied.spaces import MASK, Codec, mask_of
from embodied.vector.batches import stack_observations
from embodied.vector.members import checked_extras


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

    Args:
        make: builds one game.

    Raises:
        OptionError: the game is not one of two players who see and do the same kind of things.
    """

    def __init__(self, make: Callable[[], ParallelEnv | AECEnv], num_games: int) -> None:
        games = [make() for _ in range(num_games)]
        self._boards: list[_Board] = [_board(game) for game in games]
        players = games[0].possible_agents
        if len(players) != 2:
            raise OptionError(f"a league needs two players; this game has {len(players)}: {', '.join(players)}")
        views, moves = (
            [space(player) for player in players] for space in (games[0].observation_space, games[0].action_space)
        )
        if views[0] != views[1] or moves[0] != moves[1]:
            raise OptionError("a league needs a game whose seats see and do the same kind of things")
        self._codec = Codec(views[0])
        self.shaping_curriculum = 0.0
        self.num_games = num_games
        self.seats = (str(players[0]), str(players[1]))
        self.observation_space = _row_space(self._codec)
        self.action_space = moves[0]
        self.hidden: tuple[tuple[Any, ...], tuple[Any, ...]] = ((), ())
        self.privileged: tuple[dict[str, NDArray], dict[str, NDArray]] = ({}, {})
        self.rows = np.zeros((2, num_games, self._codec.size), np.float32)
        self.to_move = np.zeros((2, num_games), bool)
        self.allowed: NDArray[np.bool_] | None = None

    def reset(self, seed: int | None, games: NDArray[np.bool_]) -> None:
        for i in np.flatnonzero(games):
            self._boards[i].reset(None if seed is None else seed + int(i))
        self._look(games)

    def step(self, actions: tuple[NDArray, NDArray], games: NDArray[np.bool_]) -> Tick:
        n = self.num_games
        tick = Tick(np.zeros(n, np.float32), np.zeros(n, bool), np.zeros(n, bool), np.zeros(n, bool))
        for i in np.flatnonzero(games):
            tick.reward[i], tick.terminated[i], tick.truncated[i] = self._boards[i].move((actions[0][i], actions[1][i]))
            tick.void[i] = self._boards[i].void
        self._look(games)
        return tick

    def _look(self, games: NDArray[np.bool_]) -> None:
        """Takes in what both seats of some games see now."""
        rows = np.flatnonzero(games)
        for seat in (0, 1):
            seen = [self._boards[i].see(seat) for i in rows]
            self.rows[seat, rows] = self._codec.rows(stack_observations(seen))
            self.to_move[seat, rows] = [self._boards[i].is_turn(seat) for i in rows]
            masks = [self._boards[i].mask(seat, view) for i, view in zip(rows, seen, strict=True)]
            mask = next((mask for mask in masks if mask is not None), None)
            if mask is not None and self.allowed is None:
                self.allowed = np.ones((2, self.num_games, np.size(mask)), bool)
            if self.allowed is not None:  # without a mask, everything is allowed
                everything = np.ones(self.allowed.shape[-1], bool)
                self.allowed[seat, rows] = [everything if mask is None else mask for mask in masks]


class _Board(Protocol):
    def reset(self, seed: int | None) -> None: ...
    def move(self, actions: tuple[Any, Any]) -> tuple[float, bool, bool]: ...
    def see(self, seat: int) -> Any: ...
    def is_turn(self, seat: int) -> bool: ...
    def mask(self, seat: int, view: Any) -> NDArray | None: ...
    @property
    def void(self) -> bool: ...


class _ParallelBoard:
    """One game in which both move at once."""

    def __init__(self, env: ParallelEnv) -> None:
        self._env, self._players = env, env.possible_agents
        self._tells = checked_extras(getattr(env.unwrapped, EXTRAS, None)) is not None

    def reset(self, seed: int | None) -> None:
        self._views, self._infos = self._env.reset(seed=seed)

    def move(self, actions: tuple[Any, Any]) -> tuple[float, bool, bool]:
        given = dict(zip(self._players, actions, strict=True))
        views, rewards, terminations, truncations, infos = self._env.step(given)
        self._views, self._infos = {**self._views, **views}, {**self._infos, **infos}
        over = any(terminations.values())
        return _payoff(self._players, rewards), over, any(truncations.values()) and not over

    def see(self, seat: int) -> Any:
        return self._views[self._players[seat]]

    def is_turn(self, seat: int) -> bool:
        return True

    @property
    def void(self) -> bool:
        """Whether the physics of a duel of this project failed."""
        return self._tells and any(info.get("failed", False) for info in self._infos.values())

    def mask(self, seat: int, view: Any) -> NDArray | None:
        return _mask(view, self._infos.get(self._players[seat], {}))


class _TurnBoard:
    """One game in which they move in turn."""

    def __init__(self, env: AECEnv) -> None:
        self._env, self._players = env, env.possible_agents

    def reset(self, seed: int | None) -> None:
        self._env.reset(seed=seed)

    def move(self, actions: tuple[Any, Any]) -> tuple[float, bool, bool]:
        env = self._env
        env.step(actions[self._players.index(env.agent_selection)])
        over = any(env.terminations.values())
        return _payoff(self._players, env.rewards), over, any(env.truncations.values()) and not over

    def see(self, seat: int) -> Any:
        return self._env.observe(self._players[seat])

    def is_turn(self, seat: int) -> bool:
        return self._env.agent_selection == self._players[seat]

    @property
    def void(self) -> bool:
        """A game of turns has no physics that fail."""
        return False

    def mask(self, seat: int, view: Any) -> NDArray | None:
        return _mask(view, self._env.infos.get(self._players[seat], {}))


def _board(env: ParallelEnv | AECEnv) -> _Board:
    return _ParallelBoard(env) if isinstance(env, ParallelEnv) else _TurnBoard(env)


def _payoff(players: list[Any], rewards: dict[Any, float]) -> float:
    """What the first player wins from the second: its reward, or half the difference where they do not add up to 0."""
    first, second = (float(rewards.get(player, 0.0)) for player in players)
    if abs(first + second) > 1e-6:
        warnings.warn(
            f"rewards of {first:g} and {second:g}: this game is not zero-sum; half the difference is played for",
            NotZeroSumWarning,
            stacklevel=2,
        )
    return (first - second) / 2


def _mask(view: Any, info: dict[str, Any]) -> NDArray | None:
    """Which choices are allowed, by the observation or the info; all where none is, as when it is not one's turn."""
    mask = mask_of(view)
    mask = info.get(MASK) if mask is None else mask
    if mask is None:
        return None
    mask = np.asarray(mask, bool).reshape(-1)
    return mask if mask.any() else np.ones_like(mask)


def _row_space(codec: Codec) -> spaces.Box:
    """The space of a codec's rows; numbers without bounds stay without."""
    low, high = np.full(codec.size, -np.inf, np.float32), np.full(codec.size, np.inf, np.float32)
    for part in codec.parts:
        box = part.space
        known = (box.low.reshape(-1), box.high.reshape(-1)) if isinstance(box, spaces.Box) else (0.0, 1.0)
        low[part.start : part.stop], high[part.start : part.stop] = known
    return spaces.Box(low, high, dtype=np.float32)
