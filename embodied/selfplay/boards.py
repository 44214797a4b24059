"""One game of PettingZoo each, parallel or of turns: who is to move, what was won, and when it is over.

A player may die before the game is over: it moves no more, and what it wins or loses from then on is its own.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pettingzoo import AECEnv, ParallelEnv

from embodied.hidden import EXTRAS
from embodied.spaces import MASK, mask_of
from embodied.vector.members import checked_extras


class Board(Protocol):
    """One game of two players."""

    def reset(self, seed: int | None) -> None:
        """Starts it."""

    def move(self, actions: tuple[Any, Any]) -> tuple[tuple[float, float], bool, bool]:
        """Moves it by those whose turn it is; what both earned, and whether it was terminated or truncated."""
        ...

    def see(self, seat: int) -> Any:
        """What a seat observes."""

    def is_turn(self, seat: int) -> bool:
        """Whether a seat is to move."""
        ...

    def mask(self, seat: int) -> NDArray | None:
        """Which choices a seat has, as it is told."""

    @property
    def void(self) -> bool:
        """Whether the physics of a duel of this project failed."""
        ...


class ParallelBoard:
    """A game in which both move at once."""

    def __init__(self, env: ParallelEnv) -> None:
        self._env, self._players = env, env.possible_agents
        self._tells = checked_extras(getattr(env.unwrapped, EXTRAS, None)) is not None

    def reset(self, seed: int | None) -> None:
        self._views, self._infos = self._env.reset(seed=seed)
        self._dead: dict[Any, bool] = {}  # who is, and whether by a termination

    def move(self, actions: tuple[Any, Any]) -> tuple[tuple[float, float], bool, bool]:
        given = {p: action for p, action in zip(self._players, actions, strict=True) if p not in self._dead}
        views, rewards, terminations, truncations, infos = self._env.step(given)
        self._views, self._infos = {**self._views, **views}, {**self._infos, **infos}
        for player in self._players:
            if terminations.get(player) or truncations.get(player):
                self._dead.setdefault(player, bool(terminations.get(player)))
        over = len(self._dead) == len(self._players) or not self._env.agents
        terminated = over and any(self._dead.values())
        return _earned(self._players, rewards), terminated, over and not terminated

    def see(self, seat: int) -> Any:
        return self._views[self._players[seat]]

    def is_turn(self, seat: int) -> bool:
        return self._players[seat] not in self._dead

    @property
    def void(self) -> bool:
        return self._tells and any(info.get("failed", False) for info in self._infos.values())

    def mask(self, seat: int) -> NDArray | None:
        return _mask(self.see(seat), self._infos.get(self._players[seat], {}))


class TurnBoard:
    """A game in which they move in turn."""

    void = False  # it has no physics that fail

    def __init__(self, env: AECEnv) -> None:
        self._env, self._players = env, env.possible_agents

    def reset(self, seed: int | None) -> None:
        self._env.reset(seed=seed)
        self._views = {player: self._env.observe(player) for player in self._players}

    def move(self, actions: tuple[Any, Any]) -> tuple[tuple[float, float], bool, bool]:
        env = self._env
        env.step(actions[self._players.index(env.agent_selection)])
        first, second = _earned(self._players, env.rewards)
        terminated, truncated = self._ending()
        while not (terminated or truncated) and self._is_dead(env.agent_selection):
            env.step(None)  # the dead take their leave
            more = _earned(self._players, env.rewards)
            first, second = first + more[0], second + more[1]
            terminated, truncated = self._ending()
        self._views |= {player: env.observe(player) for player in env.agents}
        return (first, second), terminated, truncated

    def see(self, seat: int) -> Any:
        return self._views[self._players[seat]]

    def is_turn(self, seat: int) -> bool:
        return self._env.agent_selection == self._players[seat]

    def mask(self, seat: int) -> NDArray | None:
        return _mask(self.see(seat), self._env.infos.get(self._players[seat], {}))

    def _is_dead(self, player: Any) -> bool:
        return bool(self._env.terminations.get(player) or self._env.truncations.get(player))

    def _ending(self) -> tuple[bool, bool]:
        """Whether it is over, by a termination or cut off."""
        if not all(map(self._is_dead, self._env.agents)):
            return False, False
        terminated = any(self._env.terminations.values()) or not self._env.agents
        return terminated, not terminated


def board_of(env: ParallelEnv | AECEnv) -> Board:
    """The board of a game of either kind."""
    return ParallelBoard(env) if isinstance(env, ParallelEnv) else TurnBoard(env)


def _earned(players: list[Any], rewards: dict[Any, float]) -> tuple[float, float]:
    first, second = (float(rewards.get(player, 0.0)) for player in players)
    return first, second


def _mask(view: Any, info: dict[str, Any]) -> NDArray | None:
    """Which choices are allowed, by the observation or the info; all where none is, as when it is not one's turn."""
    mask = mask_of(view)
    mask = info.get(MASK) if mask is None else mask
    if mask is None:
        return None
    mask = np.asarray(mask, bool).reshape(-1)
    return mask if mask.any() else np.ones_like(mask)
