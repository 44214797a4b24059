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
from embodied.mind.problem import Simulator
from embodied.mind.solver.explicit import ExplicitModel
from embodied.mind.solver.kinds import Kinds
from embodied.mind.solver.known_plans import add_known_plans
from embodied.mind.solver.leaders import Leader, simple_leaders
from embodied.mind.solver.nodes import TINY, ExactNode, Node
from embodied.mind.solver.sampled_nodes import Search
from embodied.mind.solver.values import Values

NODES = 10_000  # beliefs that are remembered at once
DEEPEST = 150  # steps of a trial
CLOSE = 0.3  # share of the gap at the root, above which a gap further down is worth closing
SETTLED = 1e-4  # gap, as a share of the range of rewards, below which nothing is left to think about
BY_GAP = 0.5  # share of the trials that follow the gap


class PointBased:
    """What beliefs of a written out problem are worth; kept, and bettered from decision to decision.

    Trials follow the action that may be worth most, the one that is worth most for sure, or a simple policy: the more
    often, the more that has bettered the lower bound so far.
    """

    def __init__(self, simulator: Simulator, model: ExplicitModel, values: Values, rng: np.random.Generator) -> None:
        self.model, self._listed, self._rng = model, values.listed, rng
        self._kinds = Kinds(model, values)
        if not (model.fine and values.listed.complete):
            for number in np.unique(model.kind):
                add_known_plans(self._kinds[int(number)], int(number), model.discount, rng)
        self._search = Search(simulator, values.listed, model, self._kinds, rng)
        self._leaders: list[Leader] = [_most_at_most, _most_at_least, *simple_leaders()]
        self._credit = np.ones(len(self._leaders))
        self._scale = float(np.ptp(model.rewards)) or 1.0
        self._step_s, self._tried = 0.0, False  # what a step of a trial takes; whether there was time for a trial

    def root(self, states: NDArray, weights: NDArray[np.float64]) -> Node:
        """What is known of a belief in states `(m, …)` with weights `(m,)`."""
        if not (self.model.fine and self._listed.complete):
            return self._search.root(states, weights)
        kind, at, mine = self._kinds.where(self._listed.index(states), weights)
        belief = np.bincount(at, weights[mine], minlength=len(kind.states))
        return ExactNode.of(self._kinds, self.model.discount, kind, belief / belief.sum())

    def improve(self, root: Node, budget: Budget) -> None:
        """Plays trials from a belief while there is a budget, or until nothing is left to find out."""
        root.open()
        if not self._tried:
            self._step_s /= 2  # nothing fitted in last time: perhaps a slow moment had been taken for the rule
        self._tried = False
        for left in budget.trials():
            if root.upper - root.lower <= SETTLED * self._scale or left < 4 * self._step_s:
                break
            self._tried = True
            who, before = self._next_leader(), root.lower
            self._trial(root, self._leaders[who], left)
            self._credit[who] = 0.8 * self._credit[who] + (root.lower - before) / self._scale

    def decide(self, root: Node, budget: Budget) -> int:
        """The action that is worth most for sure, after as much thought as there is a budget for."""
        self.improve(root, budget)
        self._kinds.forget_beliefs(NODES)
        return root.backup(TINY * self._scale)

    def _next_leader(self) -> int:
        if self._rng.random() < BY_GAP:
            return 0
        credit = self._credit + 0.1 * self._credit.max() + TINY
        return int(self._rng.choice(len(credit), p=credit / credit.sum()))

    def _trial(self, root: Node, leader: Leader, seconds: float) -> None:
        """Goes down from a belief as a leader says, to what is least known, and back up again, in time."""
        began, path, node = time.perf_counter(), [], root
        worth_closing = CLOSE * (root.upper - root.lower)
        for _ in range(DEEPEST):
            node.open()
            action = leader(node)
            worth_closing /= self.model.discount
            branch = self._branch(node, action, worth_closing, leader is _most_at_most)
            path.append((node, action, branch))
            took = time.perf_counter() - began
            to_come = (len(path) + 3) * (self._step_s or took / len(path))
            if branch is None or took + to_come > seconds:
                break
            node = node.child(action, branch)
        for i, (node, action, branch) in enumerate(reversed(path)):
            if i and branch is not None:
                node.learn(action, branch)
            node.backup(TINY * self._scale)
        took = (time.perf_counter() - began) / len(path)
        self._step_s = took if self._step_s == 0 else self._step_s + 0.2 * (took - self._step_s)

    def _branch(self, node: Node, action: int, worth_closing: float, greedy: bool) -> int | None:
        """Where a trial goes on after an action, if there is a gap that is worth closing."""
        chance, gap = node.branches(action)
        gap = np.where(chance > TINY, np.maximum(gap - worth_closing * chance, 0.0), 0.0)
        if not gap.any():
            return None
        return int(gap.argmax()) if greedy else int(self._rng.choice(len(gap), p=gap / gap.sum()))


def _most_at_most(node: Node) -> int:
    assert node.high is not None
    return int(node.high.argmax())


def _most_at_least(node: Node) -> int:
    assert node.low is not None
    return int(node.low.argmax())
