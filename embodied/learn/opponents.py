"""Who sits across the table: networks and scripts, playing some of the games of a batch."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from embodied.agent import Agent
from embodied.learn.agents import NetworkAgent
from embodied.learn.policy import SequencePolicy
from embodied.learn.resources import acting_threads

SEAT_COLUMNS = 2  # what is added to a row: which seat it is seen from


def with_seat(rows: NDArray, seats: NDArray) -> NDArray[np.float32]:
    """Rows `(n, D)` and the seats `(n,)` that they are seen from as what a player of both seats sees, `(n, D + 2)`."""
    return np.concatenate([rows, np.eye(SEAT_COLUMNS, dtype=np.float32)[seats]], axis=1)


def seated_space(rows: spaces.Box) -> spaces.Box:
    """The space of rows `with_seat`."""
    bound = np.ones(SEAT_COLUMNS, np.float32)
    low, high = np.concatenate([rows.low, 0 * bound]), np.concatenate([rows.high, bound])
    return spaces.Box(low, high, dtype=np.float32)


class Opponent(Protocol):
    """A player of either seat in n games; it keeps what it remembers."""

    def begin(self, n: int, seed: int) -> None:
        """Sits down to n games."""

    def act(self, obs: NDArray, first: NDArray, moving: NDArray, allowed: NDArray | None) -> NDArray:
        """Returns actions `(n, …)` on rows `with_seat`; only `moving` games count and are remembered."""


class NetworkOpponent:
    """A policy that plays, by chance as it learned to or always what it thinks best."""

    def __init__(self, policy: SequencePolicy, deterministic: bool = False) -> None:
        self.policy, self._deterministic = policy, deterministic

    def begin(self, n: int, seed: int) -> None:
        self._memory = self.policy.initial(n)
        self._generator = torch.Generator(self.policy.device).manual_seed(seed)

    def act(self, obs: NDArray, first: NDArray, moving: NDArray, allowed: NDArray | None) -> NDArray:
        policy = self.policy
        tensor = lambda array: torch.as_tensor(array, device=policy.device)  # noqa: E731
        with torch.inference_mode(), acting_threads(policy, len(obs)):
            rows, fresh, mask = tensor(obs), tensor(first), None if allowed is None else tensor(allowed)
            if moving.all():
                reading, self._memory = policy.step(rows, fresh, self._memory, mask)
                return policy.action_head.to_env(policy.choose(reading, self._deterministic, self._generator))
            index = tensor(np.flatnonzero(moving))
            part = policy.core.rows(self._memory, index)
            reading, part = policy.step(rows[index], fresh[index], part, None if mask is None else mask[index])
            policy.core.put(self._memory, index, part)
            said = policy.action_head.to_env(policy.choose(reading, self._deterministic, self._generator))
        actions = np.zeros((len(obs), *said.shape[1:]), said.dtype)
        actions[moving] = said
        return actions


class SeatedAgent:
    """A policy of both seats as an agent of one, which sees what that seat sees."""

    def __init__(self, policy: SequencePolicy, seat: int, deterministic: bool = True) -> None:
        self._agent, self._seat = NetworkAgent(policy, deterministic), seat

    def initial(self, n: int, seed: int) -> Any:
        """Returns an empty memory."""
        return self._agent.initial(n, seed)

    def act(self, carry: Any, obs: NDArray, first: NDArray) -> tuple[Any, NDArray]:
        """Reads observations `(n, D)` of the seat and returns actions."""
        return self._agent.act(carry, with_seat(obs, np.full(len(obs), self._seat)), first)


class SeatedPair:
    """Agents of one seat each as an agent of both, on rows `with_seat`."""

    def __init__(self, seats: tuple[Agent, Agent]) -> None:
        self._agents = seats

    def initial(self, n: int, seed: int) -> tuple[Any, Any]:
        """Returns what both remember before a game."""
        first, second = self._agents
        return first.initial(n, seed), second.initial(n, seed + 1)

    def act(self, carry: tuple[Any, Any], obs: NDArray, first: NDArray) -> tuple[tuple[Any, Any], NDArray]:
        """Returns actions, each by the agent of the seat."""
        own, in_second = obs[:, :-SEAT_COLUMNS], obs[:, -1] > 0.5
        carries, replies = zip(
            *(agent.act(memory, own, first) for agent, memory in zip(self._agents, carry, strict=True)), strict=True
        )
        column = in_second.reshape(-1, *[1] * (np.ndim(replies[0]) - 1))
        return (carries[0], carries[1]), np.where(column, replies[1], replies[0])


class ScriptedOpponent:
    """Agents written for one seat each, as one player of both; for games in which both move at once."""

    def __init__(self, seats: tuple[Agent, Agent]) -> None:
        self._agent = SeatedPair(seats)

    def begin(self, n: int, seed: int) -> None:
        self._carry = self._agent.initial(n, seed)

    def act(self, obs: NDArray, first: NDArray, moving: NDArray, allowed: NDArray | None) -> NDArray:
        self._carry, actions = self._agent.act(self._carry, obs, first)
        return actions


class RandomOpponent:
    """Moves at random, among what is allowed."""

    def __init__(self, space: spaces.Space) -> None:
        self._space = space

    def begin(self, n: int, seed: int) -> None:
        self._generator = np.random.default_rng(seed)

    def act(self, obs: NDArray, first: NDArray, moving: NDArray, allowed: NDArray | None) -> NDArray:
        n, space = len(obs), self._space
        if isinstance(space, spaces.Box):
            return self._generator.uniform(space.low, space.high, (n, *space.shape)).astype(np.float32)
        assert isinstance(space, spaces.Discrete)
        weights = self._generator.random((n, int(space.n)))
        return space.start + np.where(True if allowed is None else allowed, weights, -1).argmax(axis=1)


class Mixture:
    """In each game one of several players, drawn anew when it begins: the average strategy of a league.

    Args:
        weights: how often each plays, `(K,)`.
    """

    def __init__(self, players: list[Opponent], weights: NDArray) -> None:
        self._players, self._weights = players, np.asarray(weights) / np.sum(weights)

    def begin(self, n: int, seed: int) -> None:
        self._generator = np.random.default_rng(seed)
        self._who = np.zeros(n, np.intp)
        for i, player in enumerate(self._players):
            player.begin(n, seed + i)

    def act(self, obs: NDArray, first: NDArray, moving: NDArray, allowed: NDArray | None) -> NDArray:
        drawn = self._generator.choice(len(self._players), len(obs), p=self._weights)
        self._who = np.where(first & moving, drawn, self._who)
        actions: NDArray | None = None
        for i in np.unique(self._who[moving]):
            turn = moving & (self._who == i)
            reply = self._players[i].act(obs, first, turn, allowed)
            actions = np.zeros_like(reply) if actions is None else actions
            actions[turn] = reply[turn]
        assert actions is not None
        return actions
