"""Bounds on what a belief is worth, made better by trials from the present one.

The lower bound is a set of alpha vectors, each what a conditional plan is worth in every state (point-based value
iteration; Pineau, Gordon & Thrun 2003). The upper bound comes from knowing the state (QMDP) and from looking ahead.
Trials go where the two are apart (HSVI; Smith & Simmons 2004, SARSOP; Kurniawati, Hsu & Lee 2008), or where simple
policies lead, which find what is far away and looks like nothing from here.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from embodied.mind.best_arm import Budget
from embodied.mind.explicit import ExplicitModel
from embodied.mind.kinds import Kind, Kinds, Node
from embodied.mind.leaders import Leader, simple_leaders
from embodied.mind.values import Values

NODES = 10_000  # beliefs that are remembered at once
DEEPEST = 150  # steps of a trial
CLOSE = 0.3  # share of the gap at the root, above which a gap further down is worth closing
SETTLED = 1e-4  # gap, as a share of the range of rewards, below which nothing is left to think about
BY_GAP = 0.5  # share of the trials that follow the gap
TINY = 1e-9


class PointBased:
    """What beliefs of a written out problem are worth; kept, and bettered from decision to decision.

    Trials follow the action that may be worth most, the one that is worth most for sure, or a simple policy: the more
    often, the more that has bettered the lower bound so far.
    """

    def __init__(self, model: ExplicitModel, values: Values, rng: np.random.Generator) -> None:
        self.model, self.kinds, self._rng = model, Kinds(model, values), rng
        self._leaders: list[Leader] = [self._most_at_most, self._most_at_least, *simple_leaders()]
        self._credit = np.ones(len(self._leaders))
        self._scale = float(np.ptp(model.rewards)) or 1.0
        self._backup_s = 0.0  # what one takes

    def improve(self, root: Node, budget: Budget) -> None:
        """Plays trials from a belief while there is a budget, or until nothing is left to find out."""
        self._open(root)
        self._backup_s /= 2  # perhaps a slow moment had been taken for the rule
        for left in budget.trials():
            if root.upper - root.lower <= SETTLED * self._scale or left < 4 * self._backup_s:
                break
            who, before = self._next_leader(), root.lower
            self._trial(root, self._leaders[who], left)
            self._credit[who] = 0.8 * self._credit[who] + (root.lower - before) / self._scale

    def decide(self, root: Node, budget: Budget) -> int:
        """The action that is worth most for sure, after as much thought as there is a budget for."""
        self.improve(root, budget)
        self.kinds.forget_beliefs(NODES)
        return self._backup(root)

    def lower(self, node: Node) -> NDArray[np.float64]:
        """What each action is worth at least, `(A,)`."""
        return self._total(node, node.low)

    def upper(self, node: Node) -> NDArray[np.float64]:
        """What each action is worth at most, `(A,)`."""
        return self._total(node, node.high)

    def _total(self, node: Node, each: NDArray[np.float64]) -> NDArray[np.float64]:
        assert node.rewards is not None
        return node.rewards + self.model.discount * np.bincount(node.kind.action, each, minlength=len(node.rewards))

    def _next_leader(self) -> int:
        if self._rng.random() < BY_GAP:
            return 0
        credit = self._credit + 0.1 * self._credit.max() + TINY
        return int(self._rng.choice(len(credit), p=credit / credit.sum()))

    def _most_at_most(self, node: Node) -> int:
        return int(self.upper(node).argmax())

    def _most_at_least(self, node: Node) -> int:
        return int(self.lower(node).argmax())

    def _trial(self, root: Node, leader: Leader, seconds: float) -> None:
        """Goes down from a belief as a leader says, to what is least known, and back up again, in time."""
        began, path, node = time.perf_counter(), [], root
        worth_closing = CLOSE * (root.upper - root.lower)
        for _ in range(DEEPEST):
            self._open(node)
            worth_closing /= self.model.discount
            branch = self._branch(node, leader, worth_closing)
            path.append((node, branch))
            on_the_way_back = (len(path) + 3) * self._backup_s
            if branch is None or time.perf_counter() - began + on_the_way_back > seconds:
                break
            node = self._child(node, branch)
        turned = time.perf_counter()
        for node, branch in reversed(path):
            if branch in node.children:
                node.high[branch] = node.chance[branch] * node.children[branch].upper
            self._backup(node)
        took = (time.perf_counter() - turned) / len(path)
        self._backup_s = took if self._backup_s == 0 else self._backup_s + 0.2 * (took - self._backup_s)

    def _branch(self, node: Node, leader: Leader, worth_closing: float) -> int | None:
        """Where a trial goes on after the leader's action, if there is a gap that is worth closing."""
        mine = np.flatnonzero(node.kind.action == leader(node))
        gap = np.maximum(node.high[mine] - node.low[mine] - worth_closing * node.chance[mine], 0.0)
        gap[node.chance[mine] < TINY] = 0.0
        if not gap.any():
            return None
        if leader == self._most_at_most:
            return int(mine[gap.argmax()])
        return int(mine[self._rng.choice(len(gap), p=gap / gap.sum())])

    def _child(self, node: Node, branch: int) -> Node:
        if branch not in node.children:
            at = next(i for i, way in enumerate(node.kind.ways) if branch < way.branches.stop)
            way = node.kind.ways[at]
            belief = node.kind.beliefs(node.belief)[at][branch - way.branches.start]
            node.children[branch] = self.kinds[way.kind].node(belief / belief.sum())
        return node.children[branch]

    def _open(self, node: Node) -> None:
        """Looks at what can follow from a belief, if that has not been done."""
        if node.rewards is not None:
            return
        node.rewards = node.belief @ node.kind.rewards
        node.chance, node.low, node.high = (np.zeros(len(node.kind.action)) for _ in range(3))
        for way, beliefs in zip(node.kind.ways, node.kind.beliefs(node.belief), strict=True):
            there = self.kinds[way.kind]
            node.chance[way.branches] = beliefs.sum(axis=1)
            node.low[way.branches] = there.best(beliefs)[1]
            node.high[way.branches] = (beliefs @ there.known).max(axis=1)
        node.upper = min(node.upper, float(self.upper(node).max()))

    def _backup(self, node: Node) -> int:
        """Betters the bounds of a belief by those of what follows; returns the best action."""
        self._open(node)
        kind = node.kind
        self._refresh(node)
        plans = []
        for way, beliefs in zip(kind.ways, kind.beliefs(node.belief), strict=True):
            there = self.kinds[way.kind]
            which, _ = there.best(beliefs + TINY * way.told)  # what cannot be seen here needs a good plan, too
            plans.append(there.plans[which])
            node.low[way.branches] = (beliefs * plans[-1]).sum(axis=1)
        lower = self.lower(node)
        best = int(lower.argmax())
        if lower[best] > node.lower + TINY * self._scale:
            node.plan = kind.add(self._plan(kind, best, plans))
            node.lower = float(lower[best])
        node.upper = min(node.upper, float(self.upper(node).max()))
        return best

    def _refresh(self, node: Node) -> None:
        """Takes up a better plan that was made for other beliefs, if there is one."""
        worth = node.kind.plans @ node.belief
        if (best := float(worth.max())) > node.lower:
            node.lower, node.plan = best, int(worth.argmax())

    def _plan(self, kind: Kind, action: int, then: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        """What an action is worth in each state, if each branch of each way goes on with a plan, `(n,)`."""
        plan = kind.rewards[:, action].copy()
        for way, worth in zip(kind.ways, then, strict=True):
            if action in way.actions:
                plan += self.model.discount * way.before(action, worth)
        return plan
