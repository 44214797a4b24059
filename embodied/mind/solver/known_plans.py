"""Plans for those who know the state at first and see nothing after that: what to do when all has been found out.

An observation that tells much is worth only what there are plans for afterwards. Where beliefs cannot all be met in
trials, these plans are there from the beginning, for states all over a kind (alpha vectors of open-loop plans).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embodied.mind.solver.kinds import Kind, Way

STATES = 128  # for which there are plans
LONGEST = 80  # actions of a plan
SETTLED = 1e-3  # change, as a share of the largest value, at which plans are not made longer


def add_known_plans(kind: Kind, number: int, discount: float, rng: np.random.Generator) -> None:
    """Adds plans to a kind that can be followed by itself; `number` is what `Way.kind` calls it."""
    way = next((way for way in kind.ways if way.kind == number), None)
    if way is None or not len(kind.states):
        return
    plans, doing = _plans(kind, way, discount, rng.permutation(len(kind.states))[:STATES])
    for plan, action in zip(plans, doing, strict=True):
        kind.add(plan, int(action), kept=True)


def _plans(
    kind: Kind, way: Way, discount: float, states: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """The best plan for each of some states, made longer action by action, `(S, n)`, and how it begins, `(S,)`."""
    action = kind.known[states].argmax(axis=1)
    blind, doing = kind.plans.copy(), np.array(kind.doing)
    best = blind[:, states].argmax(axis=0)
    plans, begins = blind[best], doing[best]
    scale = max(float(np.abs(kind.known).max()), 1e-12)
    for _ in range(LONGEST):
        longer = _longer(kind, way, discount, states, action, np.concatenate([plans, blind]))
        gain = longer[np.arange(len(states)), states] - plans[np.arange(len(states)), states]
        better = gain > 0
        plans[better], begins[better] = longer[better], action[better]
        if gain.max() < SETTLED * scale:
            break
    return plans, begins


def _longer(
    kind: Kind,
    way: Way,
    discount: float,
    states: NDArray[np.intp],
    action: NDArray[np.intp],
    plans: NDArray[np.float64],
) -> NDArray[np.float64]:
    """What it is worth to begin with an action and to go on with the plan that is best for what follows, `(S, n)`."""
    longer = np.array(kind.rewards[:, action].T)
    for a in np.unique(action):
        at = way.place(int(a))
        if at is None:
            continue
        mine = np.flatnonzero(action == a)
        follows = way.follows[at]
        which = (follows[states[mine]] @ plans.T).argmax(axis=1)
        longer[mine] += discount * (follows @ plans[which].T).T
    return longer
