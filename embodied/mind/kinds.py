"""A written out problem in parts: states that can be confused with each other, and plans for them.

Shape suffixes: n states of a kind, n' of the next, G groups of observations, A actions, B branches: pairs of an action
and a group, V plans.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from embodied.mind.explicit import ExplicitModel
from embodied.mind.values import Values

FIRST, GROWN = 64, 2.0  # plans of a kind from which on, and growth by which, it is asked which of them are needed


@dataclass(frozen=True)
class Way:
    """From states of one kind to states of one kind, by several actions.

    Attributes:
        kind: that it leads to.
        actions: indices, `(a,)`; follows: of each of them, probabilities of the states that follow, `(n, n')`.
        told: of each branch, probabilities of its observations in these states, `(R, n')`.
        by: of each branch, the place of its action among `actions`, `(R,)`.
        branches: their places among all branches of the states before.
    """

    kind: int
    actions: NDArray[np.intp]
    follows: list[sparse.csr_array]
    told: NDArray[np.float64]
    by: NDArray[np.intp]
    branches: slice

    def before(self, action: int, worth: NDArray[np.float64]) -> NDArray[np.float64]:
        """What is to come after an action, `(n,)`, where each branch's plan is worth `(R, n')`."""
        at = int(np.searchsorted(self.actions, action))
        mine = self.by == at
        return self.follows[at] @ (self.told[mine] * worth[mine]).sum(axis=0)


@dataclass(slots=True)
class Node:
    """A belief in states of one kind, and what it is worth at least and at most.

    Attributes:
        rewards: expected ones of each action, `(A,)`; None before it is known what can follow.
        plan: place of the plan that is worth most.
        chance, low, high: of each branch: its probability, and bounds on the worth of what follows, times that, `(B,)`.
    """

    kind: Kind
    belief: NDArray[np.float64]
    plan: int
    lower: float
    upper: float
    rewards: NDArray[np.float64] | None = None
    chance: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    low: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    high: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    children: dict[int, Node] = field(default_factory=dict)


class Kind:
    """States that can be confused: what can be done in them, and what plans are worth there.

    Attributes:
        states: indices, `(n,)`; ways; action: of each branch, `(B,)`.
        rewards, known, information: of actions in these states, `(n, A)` (see `Values`).
        nodes: beliefs that have been met, by what they are.
    """

    def __init__(self, model: ExplicitModel, values: Values, states: NDArray[np.intp], place: NDArray[np.intp]) -> None:
        self.states = states
        self.rewards, self.known, self.information = (
            table[states] for table in (model.rewards, values.known, values.information)
        )
        self.ways = _ways(model, states, place)
        self.action = np.concatenate([way.actions[way.by] for way in self.ways] or [np.empty(0, np.intp)])
        nothing = sparse.csr_array((0, len(states)))
        self._spread = sparse.vstack([nothing, *(each.T for way in self.ways for each in way.follows)]).tocsr()
        self._vectors = np.unique(values.blind[:, states], axis=0)
        self._count = self._needed = len(self._vectors)
        self.nodes: dict[bytes, Node] = {}

    @property
    def plans(self) -> NDArray[np.float64]:
        """What plans are worth in each state, `(V, n)`."""
        return self._vectors[: self._count]

    def beliefs(self, belief: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """What is believed after each branch of each way, times the branch's probability, `(R, n')` each."""
        spread, first, beliefs = self._spread @ belief, 0, []
        for way in self.ways:
            a, n = len(way.actions), way.told.shape[1]
            beliefs.append(spread[first : first + a * n].reshape(a, n)[way.by] * way.told)
            first += a * n
        return beliefs

    def add(self, plan: NDArray[np.float64]) -> int:
        """Takes in what a plan is worth, `(n,)`; returns its place."""
        if self._count >= max(FIRST, GROWN * self._needed):
            self._forget_plans()
        if self._count == len(self._vectors):
            self._vectors = np.concatenate([self._vectors, np.empty_like(self._vectors), plan[None]])
        self._vectors[self._count] = plan
        self._count += 1
        return self._count - 1

    def best(self, beliefs: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """The plan that is worth most under each belief `(G, n)`, and how much that is."""
        worth = beliefs @ self.plans.T
        which = worth.argmax(axis=1)
        return which, worth[np.arange(len(which)), which]

    def node(self, belief: NDArray[np.float64]) -> Node:
        """What is known of a belief `(n,)`."""
        key = np.round(belief, 7).tobytes()
        node = self.nodes.pop(key, None)
        if node is None:
            plan, lower = self.best(belief[None])
            node = Node(self, belief, int(plan[0]), float(lower[0]), float((belief @ self.known).max()))
        self.nodes[key] = node
        return node

    def forget_beliefs(self) -> None:
        """Forgets that half of the beliefs that has not been met for longest."""
        for key in list(self.nodes)[: len(self.nodes) // 2]:
            del self.nodes[key]
        for node in self.nodes.values():
            node.children.clear()

    def _forget_plans(self) -> None:
        """Leaves out plans that are best for no belief that is remembered."""
        needed, place = np.unique([node.plan for node in self.nodes.values()], return_inverse=True)
        self._vectors[: len(needed)] = self.plans[needed]
        self._count = self._needed = len(needed)
        for node, plan in zip(self.nodes.values(), place.tolist(), strict=True):
            node.plan = plan


class Kinds:
    """The kinds of a model, each looked at when it is first asked for, and the states in which it can begin."""

    def __init__(self, model: ExplicitModel, values: Values) -> None:
        self._model, self._values = model, values
        self._members = np.split(np.argsort(model.kind, kind="stable"), np.cumsum(np.bincount(model.kind))[:-1])
        self._place = np.empty(len(model.kind), np.intp)
        for states in self._members:
            self._place[states] = np.arange(len(states))
        self._known: dict[int, Kind] = {}
        self._start = Kind(model, values, np.flatnonzero(model.initial), self._place)

    def __getitem__(self, kind: int) -> Kind:
        if kind not in self._known:
            self._known[kind] = Kind(self._model, self._values, self._members[kind], self._place)
        return self._known[kind]

    def __iter__(self) -> Iterator[Kind]:
        """Yields those that have been looked at."""
        yield self._start
        yield from self._known.values()

    def node(self, states: NDArray[np.intp], weights: NDArray[np.float64]) -> Node:
        """The belief in states `(m,)` with weights `(m,)`: in one kind, or, of several, in the likeliest.

        Only at the beginning are several kinds believed in at once.
        """
        kinds = self._model.kind[states]
        if (kinds != kinds[0]).any() and np.isin(states, self._start.states).all():
            here, place, mine = self._start, np.searchsorted(self._start.states, states), slice(None)
        else:
            kind = int(np.bincount(kinds, weights).argmax())
            here, place, mine = self[kind], self._place[states], kinds == kind
        belief = np.bincount(place[mine], weights[mine], minlength=len(here.states))
        return here.node(belief / belief.sum())

    def forget_beliefs(self, most: int) -> None:
        """Forgets beliefs where more than `most` are remembered."""
        if sum(len(kind.nodes) for kind in self) > most:
            for kind in self:
                kind.forget_beliefs()


def _ways(model: ExplicitModel, states: NDArray[np.intp], place: NDArray[np.intp]) -> list[Way]:
    """What can be done in some states, by the kind of states that follow."""
    steps = [follows[states].tocoo() for follows in model.transitions]
    kinds = np.unique(np.concatenate([model.kind[step.col] for step in steps]))
    ways, first = [], 0
    for kind in kinds:
        there = np.flatnonzero(model.kind == kind)
        actions, follows, told = [], [], []
        for action, (step, groups) in enumerate(zip(steps, model.groups, strict=True)):
            some = model.kind[step.col] == kind
            if some.any():
                seen = groups.probabilities[:, there]
                actions.append(action)
                told.append(seen[np.flatnonzero(np.diff(seen.indptr))].toarray())
                entries = step.data[some], (step.row[some], place[step.col[some]])
                follows.append(sparse.csr_array(entries, (len(states), len(there))))
        by = np.repeat(np.arange(len(actions)), [len(rows) for rows in told])
        branches = slice(first, first + len(by))
        ways.append(Way(int(kind), np.array(actions), follows, np.concatenate(told), by, branches))
        first += len(by)
    return ways
