"""Two small games whose equilibrium is known, by which a league can be judged: for PettingZoo, and as numbers."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import AECEnv, ParallelEnv

# Rock, paper, scissors; what rock wins counts twice. In equilibrium: rock 1/4, paper 1/2, scissors 1/4.
BIASED = np.array([[0.0, -1.0, 2.0], [1.0, 0.0, -1.0], [-2.0, 1.0, 0.0]]) / 2
PASS, BET = 0, 1
CARDS = 3


class BiasedRockPaperScissors(ParallelEnv):
    """One throw of each; nothing is seen."""

    metadata = {"name": "biased_rock_paper_scissors_v0"}  # noqa: RUF012

    def __init__(self) -> None:
        self.possible_agents = ["first", "second"]
        self.agents: list[str] = []

    def observation_space(self, agent: str) -> spaces.Box:
        return spaces.Box(0.0, 1.0, (1,), np.float32)

    def action_space(self, agent: str) -> spaces.Discrete:
        return spaces.Discrete(3)

    def reset(self, seed: int | None = None, options: Any = None) -> tuple[dict, dict]:
        self.agents = list(self.possible_agents)
        return self._each(np.zeros(1, np.float32)), self._each({})

    def step(self, actions: dict[str, Any]) -> tuple[dict, dict, dict, dict, dict]:
        payoff = float(BIASED[int(actions["first"]), int(actions["second"])])
        rewards = {"first": payoff, "second": -payoff}
        self.agents = []
        return self._each(np.zeros(1, np.float32)), rewards, self._each(True), self._each(False), self._each({})

    def _each(self, value: Any) -> dict[str, Any]:
        return dict.fromkeys(self.possible_agents, value)


class KuhnPoker(AECEnv):
    """Kuhn's poker (1950): three cards, one each, one bet; in equilibrium the first player loses 1/18 a game.

    Seen are one's card and who has bet so far, as indicators; actions are to pass (check, fold) and to bet (call).
    """

    metadata = {"name": "kuhn_poker_v0"}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.possible_agents = ["first", "second"]
        self.render_mode = None

    def observation_space(self, agent: str) -> spaces.Box:
        return spaces.Box(0.0, 1.0, (CARDS + 4,), np.float32)

    def action_space(self, agent: str) -> spaces.Discrete:
        return spaces.Discrete(2)

    def reset(self, seed: int | None = None, options: Any = None) -> None:
        if seed is not None or not hasattr(self, "_generator"):
            self._generator = np.random.default_rng(seed)
        self._cards = self._generator.permutation(CARDS)[:2]
        self._history: tuple[int, ...] = ()
        self.agents = list(self.possible_agents)
        self.agent_selection = "first"
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos: dict[str, dict[str, Any]] = {agent: {} for agent in self.agents}

    def observe(self, agent: str) -> NDArray[np.float32]:
        return kuhn_row(int(self._cards[self.possible_agents.index(agent)]), self._history)

    def step(self, action: Any) -> None:
        self._history += (int(action),)
        payoff = kuhn_payoff(self._history, int(self._cards[0]), int(self._cards[1]))
        self.agent_selection = self.possible_agents[len(self._history) % 2]
        if payoff is not None:
            self.rewards = {"first": payoff, "second": -payoff}
            self.terminations = dict.fromkeys(self.agents, True)
        self._accumulate_rewards()


def kuhn_row(card: int, history: tuple[int, ...]) -> NDArray[np.float32]:
    """What is seen with a card after a history: the card, and what was done first and second, as indicators."""
    row = np.zeros(CARDS + 4, np.float32)
    row[card] = 1
    for turn, action in enumerate(history[:2]):
        row[CARDS + 2 * turn + action] = 1
    return row


def kuhn_payoff(history: tuple[int, ...], first: int, second: int) -> float | None:
    """What the first player wins after a history of passes and bets; None while it goes on."""
    showdown = 1.0 if first > second else -1.0
    return {
        (PASS, PASS): showdown,
        (PASS, BET, PASS): -1.0,
        (PASS, BET, BET): 2 * showdown,
        (BET, PASS): 1.0,
        (BET, BET): 2 * showdown,
    }.get(history)


# A strategy is the probability of a bet, by card and by what was done before; each seat decides at two such histories.
DECISIONS: tuple[tuple[tuple[int, ...], ...], ...] = (((), (PASS, BET)), ((PASS,), (BET,)))
Strategy = Callable[[int, tuple[int, ...]], float]


def kuhn_value(first: Strategy, second: Strategy) -> float:
    """What the first player wins on average."""
    pairs = list(itertools.permutations(range(CARDS), 2))
    return sum(_value((), cards, (first, second)) for cards in pairs) / len(pairs)


def _value(history: tuple[int, ...], cards: tuple[int, int], players: tuple[Strategy, Strategy]) -> float:
    payoff = kuhn_payoff(history, *cards)
    if payoff is not None:
        return payoff
    seat = len(history) % 2
    bet = players[seat](cards[seat], history)
    return bet * _value((*history, BET), cards, players) + (1 - bet) * _value((*history, PASS), cards, players)


def kuhn_exploitability(mixtures: tuple[list[Strategy], list[Strategy]], weights: NDArray) -> float:
    """What best replies win together against a mixture of strategies, one drawn per game; 0 in equilibrium."""
    replies = [_pure(seat) for seat in (0, 1)]
    against_second = [[kuhn_value(reply, own) for own in mixtures[1]] for reply in replies[0]]
    against_first = [[-kuhn_value(own, reply) for own in mixtures[0]] for reply in replies[1]]
    return float((np.array(against_second) @ weights).max() + (np.array(against_first) @ weights).max())


def _pure(seat: int) -> list[Strategy]:
    """All strategies of a seat without chance."""
    places = [(card, history) for card in range(CARDS) for history in DECISIONS[seat]]
    strategies: list[Strategy] = []
    for choice in itertools.product((0.0, 1.0), repeat=len(places)):
        strategies.append(_planned(dict(zip(places, choice, strict=True))))
    return strategies


def _planned(plan: dict[tuple[int, tuple[int, ...]], float]) -> Strategy:
    return lambda card, history: plan[card, history]
