"""Beliefs in particles that look ahead by simulation, where there is too much to observe for writing it all down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embodied.mind.belief import posterior
from embodied.mind.particles import systematic
from embodied.mind.problem import Simulator
from embodied.mind.solver.clusters import clusters, sum_by
from embodied.mind.solver.explicit import ExplicitModel
from embodied.mind.solver.kinds import Kind, Kinds
from embodied.mind.solver.nodes import Node
from embodied.mind.states import StateSet

PARTICLES = 256  # of a belief, at most
FEW = 64  # below which particles are split where chance moves them
NEGLIGIBLE = 1e-4  # share of the largest weight
OBSERVATIONS = 32  # that are drawn after an action
GROUPS = 8  # of observations, at most


@dataclass
class Search:
    """What all nodes of a problem share."""

    simulator: Simulator
    listed: StateSet
    model: ExplicitModel
    kinds: Kinds
    rng: np.random.Generator
    nodes: int = 0

    def root(self, states: NDArray, weights: NDArray[np.float64]) -> SampledNode:
        """The node of particles `(m, …)` with weights `(m,)`."""
        if len(states) > PARTICLES:
            states = states[systematic(weights, PARTICLES, self.rng)]
            weights = np.full(len(states), 1 / len(states))
        points = self.listed.index(states)
        kind, at, mine = self.kinds.where(points, weights)
        return self.node(kind, at, states[mine], weights[mine])

    def node(self, kind: Kind, at: NDArray[np.intp], states: NDArray, weights: NDArray[np.float64]) -> SampledNode:
        """A node of particles at places in a kind `(m,)`."""
        some = weights > NEGLIGIBLE * weights.max()
        at, states, weights = at[some], states[some], weights[some] / weights[some].sum()
        if self.model.noisy and len(weights) < FEW:
            copies = np.maximum((weights * FEW).astype(np.intp), 1)
            at, states, weights = (np.repeat(each, copies, axis=0) for each in (at, states, weights / copies))
        node = SampledNode(self, kind, at, states, weights)
        self.nodes += 1
        kind.beliefs[self.nodes.to_bytes(8, "big")] = node
        return node


@dataclass
class _Part:
    """What may follow in one kind: G groups of observations.

    Attributes:
        at: places of the states, `(u,)`; beliefs: in them, times the probability of the group, `(G, u)`.
        particles: whose they are, `(c,)`; weights: of these, likewise, `(G, c)`; to: where they are, `(c,)`.
        first: number of its first branch.
    """

    kind: Kind
    at: NDArray[np.intp]
    beliefs: NDArray[np.float64]
    particles: NDArray[np.intp]
    weights: NDArray[np.float64]
    to: NDArray[np.intp]
    first: int


class _Expansion:
    """What an action leads to from some particles."""

    def __init__(self, search: Search, states: NDArray, weights: NDArray[np.float64], action: int) -> None:
        choice = np.full(len(states), action)
        after, observed, reward, done = search.simulator.step(states, choice, search.rng)
        self.reward = float(weights @ reward)
        going = np.flatnonzero(~done)
        self.states, weights = after[going], weights[going]
        self.parts: list[_Part] = []
        self.children: dict[int, SampledNode] = {}
        if len(going):
            groups = _groups(search, observed[going], self.states, weights, action)
            self._cut(search, groups * weights)
        self.chance = np.concatenate([part.beliefs.sum(axis=1) for part in self.parts] or [np.empty(0)])
        self.low = np.zeros(len(self.chance))
        self.high = np.concatenate([(p.beliefs @ p.kind.known[p.at]).max(axis=1) for p in self.parts] or [np.empty(0)])

    def _cut(self, search: Search, joint: NDArray[np.float64]) -> None:
        """Cuts what follows into kinds; `joint` are weights of all particles in all groups, `(G, m)`."""
        points = search.listed.index(self.states)
        kinds = search.model.kind[points]
        first = 0
        for kind in np.unique(kinds):
            mine = np.flatnonzero(kinds == kind)
            to = search.kinds.place[points[mine]]
            at, inverse = np.unique(to, return_inverse=True)
            beliefs = sum_by(inverse, joint[:, mine].T).T.copy()
            self.parts.append(_Part(search.kinds[int(kind)], at, beliefs, mine, joint[:, mine], to, first))
            first += len(joint)

    def plans(self) -> list[NDArray[np.float64]]:
        """What the best plan after each group is worth at the places of each part, `(G, u)`; notes the lower bounds."""
        chosen = []
        for part in self.parts:
            which, _ = part.kind.best(part.beliefs, part.at)
            chosen.append(part.kind.plans[which[:, None], part.at])
            self.low[part.first : part.first + len(which)] = (part.beliefs * chosen[-1]).sum(axis=1)
        return chosen

    def child(self, search: Search, branch: int) -> SampledNode:
        if branch not in self.children:
            part = next(part for part in reversed(self.parts) if branch >= part.first)
            weights = part.weights[branch - part.first]
            self.children[branch] = search.node(part.kind, part.to, self.states[part.particles], weights)
        return self.children[branch]


class SampledNode(Node):
    """A belief in particles; actions are tried when somebody asks for them."""

    def __init__(
        self, search: Search, kind: Kind, at: NDArray[np.intp], states: NDArray, weights: NDArray[np.float64]
    ) -> None:
        places, inverse = np.unique(at, return_inverse=True)
        super().__init__(kind, places, np.bincount(inverse, weights).astype(np.float64))
        self._search, self._states, self._weights = search, states, weights
        self._expanded: dict[int, _Expansion] = {}

    def open(self) -> None:
        if self.low is not None:
            return
        dense = np.zeros(len(self.kind.states))
        dense[self.at] = self.belief
        self.low, self.high = (self.average(self.kind.rewards) for _ in range(2))
        discount = self._search.model.discount
        for way, ahead in zip(self.kind.ways, self.kind.after(dense), strict=True):
            there = self._search.kinds[way.kind]
            actions = way.actions[way.by]
            np.add.at(self.low, actions, discount * (ahead @ there.blind).max(axis=1))
            np.add.at(self.high, actions, discount * (ahead @ there.known.max(axis=1)))
        self.upper = min(self.upper, float(self.high.max()))

    def branches(self, action: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        tried = self._try(action)
        return tried.chance, tried.high - tried.low

    def child(self, action: int, branch: int) -> Node:
        return self._try(action).child(self._search, branch)

    def learn(self, action: int, branch: int) -> None:
        tried = self._try(action)
        tried.high[branch] = tried.chance[branch] * tried.children[branch].upper

    def backup(self, better: float) -> int:
        self.open()
        assert self.low is not None
        self._refresh()
        chosen = {action: self._look(action) for action in self._expanded}
        while (best := int(self.low.argmax())) not in chosen:
            chosen[best] = self._look(best)
        if self.low[best] > self.lower + better:
            self._adopt(self._plan(best, chosen[best]), best, better)
        assert self.high is not None
        self.upper = min(self.upper, float(self.high.max()))
        return self._decided()

    def forget(self) -> None:
        self._expanded.clear()

    def _try(self, action: int) -> _Expansion:
        if action not in self._expanded:
            self._look(action)
        return self._expanded[action]

    def _look(self, action: int) -> list[NDArray[np.float64]]:
        """Notes what an action is worth; returns what the plans after it are worth (see `_Expansion.plans`)."""
        assert self.low is not None
        assert self.high is not None
        if action not in self._expanded:
            self._expanded[action] = _Expansion(self._search, self._states, self._weights, action)
        tried, discount = self._expanded[action], self._search.model.discount
        chosen = tried.plans()
        self.low[action] = tried.reward + discount * tried.low.sum()
        self.high[action] = tried.reward + discount * np.maximum(tried.high, tried.low).sum()
        return chosen

    def _plan(self, action: int, chosen: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        """What an action is worth in each state of the kind, if groups go on with their plans, `(n,)`.

        In states that are not believed to follow, it goes on with the plan that is best whatever is observed.
        """
        tried = self._expanded[action]
        after = {id(part.kind): (part, worth) for part, worth in zip(tried.parts, chosen, strict=True)}
        plan = self.kind.rewards[:, action].copy()
        for way in self.kind.ways:
            at = way.place(action)
            if at is None:
                continue
            there = self._search.kinds[way.kind]
            later = there.plans[0].copy()
            if id(there) in after:
                part, worth = after[id(there)]
                total = part.beliefs.sum(axis=0)
                later = there.plans[there.best(total[None], part.at)[0][0]].copy()
                seen = total > 0
                mixed = (part.beliefs * worth).sum(axis=0)
                later[part.at[seen]] = mixed[seen] / total[seen]
            plan += self._search.model.discount * (way.follows[at] @ later)
        return plan


def _groups(
    search: Search, observed: NDArray, states: NDArray, weights: NDArray[np.float64], action: int
) -> NDArray[np.float64]:
    """Probabilities of groups of observations in particles that go on, `(G, m)`.

    Observations are drawn from the belief, and put together by what would be believed after them. Every draw counts for
    all particles (importance sampling).
    """
    draws, count = np.unique(systematic(weights, OBSERVATIONS, search.rng), return_counts=True)
    k = len(draws)
    choice = np.full(k, action)
    logs = search.simulator.log_likelihood(observed[draws], np.broadcast_to(states, (k, *states.shape)), choice)
    believed = posterior(np.broadcast_to(weights, logs.shape), logs)
    group = clusters(np.sqrt(believed), GROUPS, search.rng)
    told = sum_by(group, count[:, None] * believed)
    some = told.sum(axis=0)
    return np.where(some > 0, told / np.where(some > 0, some, 1.0), 1 / len(told))
