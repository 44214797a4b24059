"""Beliefs that look ahead: what may follow, what that is worth at least and at most, and plans for it."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from embodied.mind.information import entropy_bits
from embodied.mind.solver.kinds import Kind, Kinds

TINY = 1e-9


class Node(ABC):
    """A belief in states of one kind.

    Attributes:
        kind; at: places of its states in it; belief: their probabilities, `(m,)`.
        plan: place of the plan that is worth most, as long as the kind remembers this belief; doing: how it begins.
        lower, upper: what the belief is worth at least and at most.
        low, high: what each action is worth at least and at most, `(A,)`; None before the node has been opened.
    """

    def __init__(self, kind: Kind, at: NDArray[np.intp] | slice, belief: NDArray[np.float64]) -> None:
        self.kind, self.at, self.belief = kind, at, belief
        which, worth = kind.best(belief[None], at)
        self.plan, self.doing, self.lower = int(which[0]), kind.doing[which[0]], float(worth[0])
        self.upper = float(self.average(kind.known).max())
        self.low: NDArray[np.float64] | None = None
        self.high: NDArray[np.float64] | None = None

    def average(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean of rows `(n, …)` of the kind's states."""
        return self.belief @ table[self.at]

    def likeliest(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """The row of the likeliest state."""
        return table[self.at][self.belief.argmax()]

    @property
    def entropy(self) -> float:
        """Of the belief [bits]."""
        return float(entropy_bits(self.belief))

    @abstractmethod
    def open(self) -> None:
        """Looks at what actions are worth, if that has not been done."""

    @abstractmethod
    def branches(self, action: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of all that may be observed after an action: its probability, and the gap between its bounds, times that."""

    @abstractmethod
    def child(self, action: int, branch: int) -> Node:
        """The belief that follows."""

    @abstractmethod
    def learn(self, action: int, branch: int) -> None:
        """Takes over what the belief that follows has found out about its upper bound."""

    @abstractmethod
    def backup(self, better: float) -> int:
        """Betters the bounds by those of what follows; returns the best action.

        Args:
            better: by how much a plan must be better than those that there are.
        """

    @abstractmethod
    def forget(self) -> None:
        """Lets go of the beliefs that follow."""

    def _refresh(self) -> None:
        """Takes up a better plan that was made for other beliefs, if there is one."""
        which, worth = self.kind.best(self.belief[None], self.at)
        if worth[0] > self.lower:
            self.plan, self.doing, self.lower = int(which[0]), self.kind.doing[which[0]], float(worth[0])

    def _adopt(self, plan: NDArray[np.float64], action: int, better: float) -> None:
        """Takes in a plan `(n,)`, if it is better."""
        worth = float(self.average(plan))
        if worth > self.lower + better:
            self.plan, self.doing, self.lower = self.kind.add(plan, action), action, worth

    def _decided(self) -> int:
        """The best action: that of the plan, where what it goes on with has been forgotten since."""
        assert self.low is not None
        best = int(self.low.argmax())
        return best if self.low[best] >= self.lower - TINY * abs(self.lower) else self.doing


class ExactNode(Node):
    """A belief in a problem that is written out to the last observation."""

    def __init__(self, kinds: Kinds, discount: float, kind: Kind, belief: NDArray[np.float64]) -> None:
        super().__init__(kind, slice(None), belief)
        self._kinds, self._discount = kinds, discount
        self._children: dict[int, ExactNode] = {}

    @classmethod
    def of(cls, kinds: Kinds, discount: float, kind: Kind, belief: NDArray[np.float64]) -> ExactNode:
        """The node of a belief `(n,)`: one that is known, or a new one."""
        key = np.round(belief, 7).tobytes()
        node = kind.beliefs.pop(key, None)
        if not isinstance(node, cls):
            node = cls(kinds, discount, kind, belief)
        kind.beliefs[key] = node
        return node

    def open(self) -> None:
        if self.low is not None:
            return
        self._rewards = self.average(self.kind.rewards)
        self._chance, self._low, self._high = (np.zeros(len(self.kind.action)) for _ in range(3))
        for way, beliefs in zip(self.kind.ways, self.kind.after(self.belief), strict=True):
            there = self._kinds[way.kind]
            self._chance[way.branches] = beliefs.sum(axis=1)
            self._low[way.branches] = there.best(beliefs)[1]
            self._high[way.branches] = (beliefs @ there.known).max(axis=1)
        self.low, self.high = self._total(self._low), self._total(self._high)
        self.upper = min(self.upper, float(self.high.max()))

    def branches(self, action: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        mine = self._of(action)
        return self._chance[mine], self._high[mine] - self._low[mine]

    def child(self, action: int, branch: int) -> ExactNode:
        place = int(self._of(action)[branch])
        if place not in self._children:
            at = next(i for i, way in enumerate(self.kind.ways) if place < way.branches.stop)
            way = self.kind.ways[at]
            belief = self.kind.after(self.belief)[at][place - way.branches.start]
            self._children[place] = self.of(self._kinds, self._discount, self._kinds[way.kind], belief / belief.sum())
        return self._children[place]

    def learn(self, action: int, branch: int) -> None:
        place = int(self._of(action)[branch])
        self._high[place] = self._chance[place] * self._children[place].upper

    def backup(self, better: float) -> int:
        self.open()
        self._refresh()
        chosen = []
        for way, beliefs in zip(self.kind.ways, self.kind.after(self.belief), strict=True):
            there = self._kinds[way.kind]
            which, _ = there.best(beliefs + TINY * way.told)  # what cannot be seen here needs a good plan, too
            chosen.append(there.plans[which])
            self._low[way.branches] = (beliefs * chosen[-1]).sum(axis=1)
        self.low, self.high = self._total(self._low), self._total(self._high)
        best = int(self.low.argmax())
        if self.low[best] > self.lower + better:
            self._adopt(self._plan(best, chosen), best, better)
        self.upper = min(self.upper, float(self.high.max()))
        return self._decided()

    def forget(self) -> None:
        self._children.clear()

    def _of(self, action: int) -> NDArray[np.intp]:
        return np.flatnonzero(self.kind.action == action)

    def _total(self, each: NDArray[np.float64]) -> NDArray[np.float64]:
        ahead = np.bincount(self.kind.action, each, minlength=len(self._rewards))
        return self._rewards + self._discount * ahead

    def _plan(self, action: int, chosen: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        """What an action is worth in each state, if each branch of each way goes on with a plan, `(n,)`."""
        plan = self.kind.rewards[:, action].copy()
        for way, worth in zip(self.kind.ways, chosen, strict=True):
            at = way.place(action)
            if at is not None:
                mine = way.by == at
                plan += self._discount * (way.follows[at] @ (way.told[mine] * worth[mine]).sum(axis=0))
        return plan
