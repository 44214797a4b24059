"""A written out problem in parts: states that can be confused with each other, and plans for them.

Shape suffixes: n states of a kind, n' of the next, A actions, R or B branches: pairs of an action and a group of
observations, V plans.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from embodied.mind.solver.explicit import ExplicitModel
from embodied.mind.solver.values import Values

FIRST, GROWN = 64, 2.0  # plans of a kind from which on, and growth by which, it is asked which of them are needed


class Witness(Protocol):
    """A belief that remembers which plan is best for it."""

    plan: int

    def forget(self) -> None: ...


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

    def place(self, action: int) -> int | None:
        """Where an action is among `actions`, if it leads here."""
        at = int(np.searchsorted(self.actions, action))
        return at if at < len(self.actions) and self.actions[at] == action else None


class Kind:
    """States that can be confused: what can be done in them, and what plans are worth there.

    Attributes:
        states: indices, `(n,)`; ways; action: of each branch, `(B,)`.
        rewards, known, blind, information: of actions in these states, `(n, A)` (see `Values`).
        doing: the action with which each plan begins, V of them.
        beliefs: that have been met, by what they are.
    """

    def __init__(self, model: ExplicitModel, values: Values, states: NDArray[np.intp], place: NDArray[np.intp]) -> None:
        self.states = states
        self.rewards, self.known, self.information = (
            table[states] for table in (model.rewards, values.q_value, values.information_value)
        )
        self.ways = _ways(model, states, place)
        self.action = np.concatenate([way.actions[way.by] for way in self.ways] or [np.empty(0, np.intp)])
        nothing = sparse.csr_array((0, len(states)))
        self._spread = sparse.vstack([nothing, *(each.T for way in self.ways for each in way.follows)]).tocsr()
        self.blind = values.blind[:, states].T.copy()
        self._plans, first = np.unique(self.blind.T, axis=0, return_index=True)
        self._count = self._needed = self._kept = len(self._plans)
        self.doing = first.tolist()
        self.beliefs: dict[bytes, Witness] = {}

    @property
    def plans(self) -> NDArray[np.float64]:
        """What plans are worth in each state, `(V, n)`."""
        return self._plans[: self._count]

    def after(self, belief: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """What is believed after each branch of each way, times the branch's probability, `(R, n')` each."""
        spread, first, beliefs = self._spread @ belief, 0, []
        for way in self.ways:
            a, n = len(way.actions), way.told.shape[1]
            beliefs.append(spread[first : first + a * n].reshape(a, n)[way.by] * way.told)
            first += a * n
        return beliefs

    def add(self, plan: NDArray[np.float64], action: int, kept: bool = False) -> int:
        """Takes in what a plan is worth, `(n,)`, and how it begins; returns its place.

        Args:
            kept: whether it is never forgotten; only before there are plans that may be.
        """
        if kept:
            self._kept += 1
        elif self._count >= max(FIRST, GROWN * self._needed):
            self._forget_plans()
        if self._count == len(self._plans):
            self._plans = np.concatenate([self._plans, np.empty_like(self._plans), plan[None]])
        self._plans[self._count] = plan
        self.doing.append(action)
        self._count += 1
        return self._count - 1

    def best(
        self, beliefs: NDArray[np.float64], at: NDArray[np.intp] | slice = slice(None)
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """The plan that is worth most under each belief `(R, m)` in the states `at`, and how much that is."""
        worth = beliefs @ self.plans[:, at].T
        which = worth.argmax(axis=1)
        return which, worth[np.arange(len(which)), which]

    def forget_beliefs(self) -> None:
        """Forgets that half of the beliefs that has not been met for longest."""
        for key in list(self.beliefs)[: len(self.beliefs) // 2]:
            del self.beliefs[key]
        for belief in self.beliefs.values():
            belief.forget()

    def _forget_plans(self) -> None:
        """Leaves out plans that are best for no belief that is remembered."""
        plans = [belief.plan for belief in self.beliefs.values()]
        needed, place = np.unique([*plans, *range(self._kept)], return_inverse=True)
        self._plans[: len(needed)] = self.plans[needed]
        self.doing = [self.doing[plan] for plan in needed]
        self._count = self._needed = len(needed)
        for belief, plan in zip(self.beliefs.values(), place[: len(plans)].tolist(), strict=True):
            belief.plan = plan


class Kinds:
    """The kinds of a model, each looked at when it is first asked for, and the states in which it can begin.

    Attributes:
        place: of each state in its kind, `(M,)`; start: of all states in which it can begin.
    """

    def __init__(self, model: ExplicitModel, values: Values) -> None:
        self._model, self._values = model, values
        self._members = np.split(np.argsort(model.kind, kind="stable"), np.cumsum(np.bincount(model.kind))[:-1])
        self.place = np.empty(len(model.kind), np.intp)
        for states in self._members:
            self.place[states] = np.arange(len(states))
        self._known: dict[int, Kind] = {}
        self.start = Kind(model, values, np.flatnonzero(model.initial), self.place)

    def __getitem__(self, kind: int) -> Kind:
        if kind not in self._known:
            self._known[kind] = Kind(self._model, self._values, self._members[kind], self.place)
        return self._known[kind]

    def __iter__(self) -> Iterator[Kind]:
        """Yields those that have been looked at."""
        yield self.start
        yield from self._known.values()

    def where(
        self, states: NDArray[np.intp], weights: NDArray[np.float64]
    ) -> tuple[Kind, NDArray[np.intp], NDArray[np.intp]]:
        """The kind of states `(m,)` with weights `(m,)`, or, of several, the likeliest; the places in it, and whose.

        Only at the beginning are several kinds believed in at once.
        """
        kinds = self._model.kind[states]
        if (kinds != kinds[0]).any() and np.isin(states, self.start.states).all():
            return self.start, np.searchsorted(self.start.states, states), np.arange(len(states))
        kind = int(np.bincount(kinds, weights).argmax())
        mine = np.flatnonzero(kinds == kind)
        return self[kind], self.place[states[mine]], mine

    def forget_beliefs(self, most: int) -> None:
        """Forgets beliefs where more than `most` are remembered."""
        if sum(len(kind.beliefs) for kind in self) > most:
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
