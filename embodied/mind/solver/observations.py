"""Observations of a listed problem: those from which the same follows are taken together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from embodied.mind.belief import posterior
from embodied.mind.problem import Simulator
from embodied.mind.solver.clusters import clusters, sum_by
from embodied.mind.states import StateSet

DRAWS = 2048  # observations of an action, about, in all
MOST_DISTINCT = 1024  # of observations that are taken for discrete
COMPARISONS = 16_000_000  # of observations with states, at most
CHUNK = 200_000  # comparisons at once
GROUPS = 32  # into which observations are put of which no two are alike
ALIKE = 1024  # observations that are put into them
LANDMARKS = 256  # states by which it is judged whether observations tell the same
LOST = 0.1  # nats, above which groups are too coarse
TINY = 1e-12
RARE = 0.01  # mean probability of what has not been met, if it is to be left out
ROUNDS = 4  # of drawing, before rare observations are left out


@dataclass(frozen=True)
class ObservationGroups:
    """Groups of observations after one action.

    Attributes:
        probabilities: of each group in each state after the action, `(G, M)`; columns of states that cannot follow
            are empty.
        lost: mean information [nats] that groups lose: how far what is believed after an observation is from what is
            believed after its group (Kullback-Leibler), if all states are equally likely before. Where that is too
            much, there is one group of all.
    """

    probabilities: sparse.csr_array
    lost: float

    @property
    def fine(self) -> bool:
        """Whether little is lost."""
        return self.lost <= LOST


def observation_groups(
    simulator: Simulator, listed: StateSet, action: int, follows: sparse.csr_array, rng: np.random.Generator
) -> ObservationGroups:
    """Groups what can be observed after an action: exactly where there is little to observe, else by likeness.

    Args:
        follows: probabilities of states after the action, `(M, M)`.
    """
    m = len(listed.states)
    after = np.unique(follows.indices)
    if not len(after):
        return ObservationGroups(sparse.csr_array((0, m)), 0.0)
    draw = partial(_draw, simulator, listed, action, np.flatnonzero(np.diff(follows.indptr)), rng)
    listing, lost = _Listing(simulator, listed, action, after), 0.0
    told = listing.all_of(draw)
    if told is None:
        told, lost = listing.alike(draw(), rng)
    unmet = told.sum(axis=0) < 1e-9
    if unmet.any():
        told = np.vstack([told, unmet])  # there, only what has not been met yet is observed
    told[told < 1e-9] = 0.0
    told /= told.sum(axis=0)
    group, column = np.nonzero(told)
    shape = (len(told), m)
    return ObservationGroups(sparse.coo_array((told[group, column], (group, after[column])), shape).tocsr(), lost)


def _draw(simulator: Simulator, listed: StateSet, action: int, before: NDArray, rng: np.random.Generator) -> NDArray:
    """Observations after an action, in random order."""
    n = -(-DRAWS // len(before))
    rows = rng.permutation(np.repeat(before, n))
    _, observed, _, done = simulator.step(listed.states[rows], np.full(len(rows), action), rng)
    return observed[~done]


class _Listing:
    """How likely observations are in the states after an action."""

    def __init__(self, simulator: Simulator, listed: StateSet, action: int, after: NDArray) -> None:
        self._simulator, self._states, self._action = simulator, listed.states[after], action

    def all_of(self, draw: Callable[[], NDArray]) -> NDArray[np.float64] | None:
        """Probabilities of all groups in all states `(G, n)`, if the observations that are drawn can be listed."""
        distinct = np.unique(draw(), axis=0)
        for _ in range(ROUNDS):
            if len(distinct) > min(MOST_DISTINCT, COMPARISONS / len(self._states)):
                return None
            with np.errstate(over="ignore"):
                density = np.exp(self.log_likelihood(distinct))
            total = density.sum(axis=0)
            if (total > 1 + 1e-6).any():
                return None
            if (total > 1 - 1e-6).all():
                return _same_posterior(density)
            distinct = np.unique(np.concatenate([distinct, draw()]), axis=0)
        return _same_posterior(density) if total.mean() > 1 - RARE else None

    def alike(self, drawn: NDArray, rng: np.random.Generator) -> tuple[NDArray[np.float64], float]:
        """Probabilities of groups of observations that tell nearly the same, in all states `(G, n)`, and what is lost.

        Observations are put together by what would be believed after them if all states were equally likely before
        (Hellinger's distance). Probabilities come from importance sampling: every draw counts for all states.
        """
        some = drawn[:ALIKE]
        landmarks = rng.permutation(len(self._states))[:LANDMARKS]
        logs = self.log_likelihood(some, landmarks)
        explained = np.isfinite(logs).any(axis=1)
        if not explained.any():
            return np.ones((1, len(self._states))), 0.0  # nothing explains anything: nothing is told
        some, share = some[explained], _if_even(logs[explained])
        group = clusters(np.sqrt(share), GROUPS, rng)
        of_group = sum_by(group, share)
        of_group = (of_group / of_group.sum(axis=1, keepdims=True))[group]
        ratio = np.log(np.maximum(share, TINY)) - np.log(np.maximum(of_group, TINY))
        lost = float((share * ratio).sum(axis=1).mean())
        if lost > LOST:
            return np.ones((1, len(self._states))), lost
        return sum_by(group, _if_even(self.log_likelihood(some))), lost

    def log_likelihood(self, observations: NDArray, which: NDArray | slice = slice(None)) -> NDArray[np.float64]:
        """ln density of each observation in each state, or in some of them, `(N, n)`."""
        states = self._states[which]
        step = max(CHUNK // len(states), 1)
        parts = [observations[i : i + step] for i in range(0, len(observations), step)]
        return np.concatenate(
            [
                self._simulator.log_likelihood(
                    part, np.broadcast_to(states, (len(part), *states.shape)), np.full(len(part), self._action)
                )
                for part in parts
            ]
        )


def _if_even(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is believed after each observation if all states were equally likely before, `(N, n)`."""
    return posterior(np.full(logs.shape, 1 / logs.shape[1]), logs)


def _same_posterior(density: NDArray) -> NDArray[np.float64]:
    """Adds up observations whose densities are multiples of each other, `(G, n)`."""
    shape = np.round(density / density.max(axis=1, keepdims=True), 9)
    _, group = np.unique(shape, axis=0, return_inverse=True)
    return sum_by(group.reshape(-1), density)
