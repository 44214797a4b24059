"""A problem with few states, written out: which states follow, what they earn, and what can be told from observations.

A problem can only be simulated, and tells how likely its observations are. Where its states can be listed, that is
enough to write it out: transitions are counted, and observations from which the same follows are taken together.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from embodied.mind.problem import Simulator
from embodied.mind.solver.observations import ObservationGroups, observation_groups
from embodied.mind.states import StateSet

FEW, MANY = 8, 256  # draws of a successor: to see whether chance plays a part, and where it does
DRAWS = 2_000_000  # about, of all successors together


@dataclass(frozen=True)
class ExplicitModel:
    """A problem's M states and A actions as matrices; G groups of observations, another number for each action.

    Attributes:
        initial: probabilities of the states before anything was done, `(M,)`.
        transitions: of each action, `(M, M)`: probabilities of states that follow and in which it goes on; what is
            missing to 1 is the probability that it ends.
        rewards: expected ones, `(M, A)`.
        groups: of each action, probabilities of groups of observations in the states after it, `(G, M)`.
        discount: of rewards, below 1.
        fine: whether little is lost in any groups; noisy: whether chance decides which states follow.
        kind: of states that can be confused, `(M,)`: whatever is seen and done, two states of different kinds are
            never believed in at once.
    """

    initial: NDArray[np.float64]
    transitions: tuple[sparse.csr_array, ...]
    rewards: NDArray[np.float64]
    groups: tuple[ObservationGroups, ...]
    discount: float
    kind: NDArray[np.intp]

    @property
    def fine(self) -> bool:
        return all(one.fine for one in self.groups)

    @cached_property
    def noisy(self) -> bool:
        return any(follows.nnz and follows.data.min() < 0.99 for follows in self.transitions)

    @classmethod
    def of(cls, simulator: Simulator, listed: StateSet, rng: np.random.Generator, draws: int = 20_000) -> ExplicitModel:
        """Writes out a problem in the states that are listed; others are taken for the nearest of them."""
        m, a = len(listed.states), len(simulator.actions)
        initial = np.bincount(listed.index(simulator.problem.initial(draws, rng)), minlength=m) / draws
        transitions, rewards, groups = [], np.empty((m, a)), []
        for action in range(a):
            follows, rewards[:, action] = _follow(simulator, listed, action, rng)
            transitions.append(follows)
            groups.append(observation_groups(simulator, listed, action, follows, rng))
        kind = _confused(initial, transitions, groups)
        return cls(initial, tuple(transitions), rewards, tuple(groups), min(simulator.problem.discount, 1 - 1e-3), kind)


def _follow(
    simulator: Simulator, listed: StateSet, action: int, rng: np.random.Generator
) -> tuple[sparse.csr_array, NDArray[np.float64]]:
    """Probabilities of going on in each state `(M, M)`, and mean rewards `(M,)`."""
    m, n = len(listed.states), FEW
    columns, rewards, going = _drawn(simulator, listed, action, n, rng)
    if not (_alike(columns) and _alike(rewards) and _alike(going)):  # chance plays a part, perhaps in every state
        n = int(np.clip(DRAWS / (m * len(simulator.actions)), FEW, MANY))
        columns, rewards, going = _drawn(simulator, listed, action, n, rng)
    rows = np.broadcast_to(np.arange(m)[:, None], (m, n))
    entries = np.full(np.count_nonzero(going), 1 / n), (rows[going], columns[going])
    return sparse.coo_array(entries, (m, m)).tocsr(), rewards.mean(axis=1)


def _drawn(
    simulator: Simulator, listed: StateSet, action: int, n: int, rng: np.random.Generator
) -> tuple[NDArray, NDArray, NDArray]:
    """`n` draws from each state: where to, what they earned, and whether they went on, `(M, n)` each."""
    m = len(listed.states)
    before = np.repeat(listed.states, n, axis=0)
    after, _, rewards, done = simulator.step(before, np.full(len(before), action), rng)
    return listed.index(after).reshape(m, n), rewards.reshape(m, n), ~done.reshape(m, n)


def _alike(drawn: NDArray) -> bool:
    """Whether all draws of each state agree."""
    return bool((drawn == drawn[:, :1]).all())


def _confused(
    initial: NDArray, transitions: list[sparse.csr_array], groups: list[ObservationGroups]
) -> NDArray[np.intp]:
    """Kinds of states, the finest with which a belief in one kind is followed by a belief in one kind, `(M,)`.

    States that can follow from one kind, or from the beginning, after an action and an observation, are of one kind.
    Kinds are put together until nothing is left to put together.
    """
    m = len(initial)
    before, told, after = _all_ways(transitions, groups)
    at_start = initial[before] > 0
    told, after = (np.concatenate([each, each[at_start]]) for each in (told, after))
    kind, count = np.arange(m), m
    while count > 1:
        cause = np.concatenate([kind[before], np.full(at_start.sum(), m)]) * (told.max(initial=0) + 1) + told
        _, hub = np.unique(cause, return_inverse=True)
        hub = np.concatenate([hub, hub.max(initial=-1) + 1 + kind])
        member = np.concatenate([after, np.arange(m)])
        links = sparse.coo_array((np.ones(len(hub), np.int8), (member, m + hub)), (m + hub.max() + 1,) * 2)
        _, kind = np.unique(connected_components(links, directed=False)[1][:m], return_inverse=True)
        if kind.max() + 1 == count:
            break
        count = kind.max() + 1
    return kind


def _all_ways(
    transitions: list[sparse.csr_array], groups: list[ObservationGroups]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """All that can happen: states before, groups of observations, numbered over all actions, and states after."""
    parts, first = [], 0
    for follows, seen in zip(transitions, groups, strict=True):
        before, group, after = _ways(follows, seen)
        parts.append((before, first + group, after))
        first += seen.probabilities.shape[0]
    before, told, after = (np.concatenate(each).astype(np.intp) for each in zip(*parts, strict=True))
    return before, told, after


def _ways(follows: sparse.csr_array, groups: ObservationGroups) -> tuple[NDArray, NDArray, NDArray]:
    """All that can happen after an action: states before, groups of observations, and states after."""
    before, after = follows.nonzero()
    told = groups.probabilities.tocsc()
    start, end = told.indptr[after], told.indptr[after + 1]
    each = end - start
    way = np.repeat(np.arange(len(after)), each)
    entry = np.arange(each.sum()) - np.repeat(np.cumsum(each) - each, each) + np.repeat(start, each)
    return before[way], told.indices[entry], after[way]
