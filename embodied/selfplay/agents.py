"""Agents for games of two seats: policies of both seats, pairs of agents, and mixtures of strategies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from embodied.agent import Agent, act_in
from embodied.nn.agent import NetworkAgent
from embodied.nn.policy import SequencePolicy

SEAT_COLUMNS = 2  # what is added to a row: which seat it is seen from


def with_seat(rows: NDArray, seats: NDArray) -> NDArray[np.float32]:
    """Rows `(n, D)` and the seats `(n,)` that they are seen from as what a player of both seats sees, `(n, D + 2)`."""
    return np.concatenate([rows, np.eye(SEAT_COLUMNS, dtype=np.float32)[seats]], axis=1)


def seated_space(rows: spaces.Box) -> spaces.Box:
    """The space of rows `with_seat`."""
    bound = np.ones(SEAT_COLUMNS, np.float32)
    low, high = np.concatenate([rows.low, 0 * bound]), np.concatenate([rows.high, bound])
    return spaces.Box(low, high, dtype=np.float32)


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


class Mixture:
    """In each game one of several agents, drawn anew when it begins: the average strategy of a league.

    Args:
        agents: the strategies that are mixed.
        weights: how often each plays, `(K,)`.
    """

    def __init__(self, agents: list[Agent], weights: NDArray) -> None:
        self._agents, self._weights = agents, np.asarray(weights) / np.sum(weights)
        self.allowed: NDArray | None = None

    def initial(self, n: int, seed: int) -> _MixtureCarry:
        """Returns what all of them remember before a game."""
        carries = [agent.initial(n, seed + i) for i, agent in enumerate(self._agents)]
        return _MixtureCarry(carries, np.zeros(n, np.intp), np.random.default_rng(seed))

    def act(self, carry: _MixtureCarry, obs: NDArray, first: NDArray) -> tuple[_MixtureCarry, NDArray]:
        """Returns actions, each by the agent that plays that game."""
        return self.act_in(carry, obs, first, np.ones(len(first), bool))

    def act_in(
        self, carry: _MixtureCarry, obs: NDArray, first: NDArray, worlds: NDArray[np.bool_]
    ) -> tuple[_MixtureCarry, NDArray]:
        """Acts in some games."""
        sampled = carry.generator.choice(len(self._agents), len(obs), p=self._weights)
        playing = np.where(first & worlds, sampled, carry.playing)
        carries, actions = list(carry.carries), None
        for i in np.unique(playing[worlds]):
            own = worlds & (playing == i)
            carries[i], reply = act_in(self._agents[i], carries[i], obs, first, own, self.allowed)
            actions = np.zeros_like(reply) if actions is None else actions
            actions[own] = reply[own]
        assert actions is not None
        return _MixtureCarry(carries, playing, carry.generator), actions


@dataclass
class _MixtureCarry:
    carries: list[Any]
    playing: NDArray[np.intp]  # (n,), which agent plays each game
    generator: np.random.Generator
