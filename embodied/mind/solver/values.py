"""What actions of a written out problem are worth to one who knows the state, or knows nothing, and what they tell."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from embodied.mind.problem import Simulator
from embodied.mind.solver.explicit import ExplicitModel
from embodied.mind.states import StateSet

SWEEPS = 400
COMPARISONS = 4_000_000  # of observations with states, about
CROWD = (8, 32)  # states that an observation is to be told apart from: at least, at most
REPEATS = 16  # observations of each state, at most
CLOSE = 1e-4  # change of a value, as a share of the largest possible, at which iteration ends


@dataclass(frozen=True)
class Values:
    """Of M states and A actions.

    Attributes:
        q_value: an upper bound: worth of an action if the state is seen after it (QMDP; Littman, Cassandra & Kaelbling
            1995), `(M, A)`.
        blind: a lower bound: worth of doing one thing for ever, for each of them, `(A, M)`.
        information_value: discounted information [nats] of the best observation that an action leads to, `(M, A)`.
    """

    q_value: NDArray[np.float64]
    blind: NDArray[np.float64]
    information_value: NDArray[np.float64]
    listed: StateSet

    @classmethod
    def of(cls, simulator: Simulator, listed: StateSet, model: ExplicitModel, rng: np.random.Generator) -> Values:
        """Works them out."""
        information = np.stack(
            [
                _information(model, a) if groups.fine else _sampled_information(simulator, listed, model, a, rng)
                for a, groups in enumerate(model.groups)
            ],
            axis=1,
        )
        return cls(_known(model), _blind(model), _best_ahead(model, information), listed)

    def index(self, states: NDArray) -> NDArray[np.intp]:
        """Which of the M states is nearest to each state, `(n,)`."""
        return self.listed.index(states)


def _iterated(model: ExplicitModel, start: float, better: Callable[[NDArray], NDArray]) -> NDArray[np.float64]:
    largest = max(float(np.abs(model.rewards).max()), 1e-12) / (1 - model.discount)
    worth = np.full(model.rewards.shape, start)
    for _ in range(SWEEPS):
        following = better(worth)
        change = np.abs(following - worth).max()
        worth = following
        if change < CLOSE * largest:
            break
    return worth


def _known(model: ExplicitModel) -> NDArray[np.float64]:
    """From above, so that it bounds wherever it ends."""

    def better(worth: NDArray) -> NDArray:
        best = worth.max(axis=1)
        following = np.stack([follows @ best for follows in model.transitions], axis=1)
        return model.rewards + model.discount * following

    return _iterated(model, max(float(model.rewards.max()), 0.0) / (1 - model.discount), better)


def _blind(model: ExplicitModel) -> NDArray[np.float64]:
    """From below."""

    def better(worth: NDArray) -> NDArray:
        following = np.stack([follows @ worth[:, a] for a, follows in enumerate(model.transitions)], axis=1)
        return model.rewards + model.discount * following

    return _iterated(model, min(float(model.rewards.min()), 0.0) / (1 - model.discount), better).T.copy()


def _information(model: ExplicitModel, action: int) -> NDArray[np.float64]:
    """Mean information [nats] of the observation that an action brings from each state, `(M,)`.

    It is told apart from all states of its kind that the action can lead to, as if they were equally likely: what is
    known beyond doubt, such as where one is, tells nothing anew.
    """
    kinds = model.kind.max() + 1
    told = model.groups[action].probabilities.tocoo()
    number = np.maximum(np.bincount(model.kind[np.unique(told.col)], minlength=kinds), 1)
    kind = model.kind[told.col]
    _, inverse = np.unique(told.row * kinds + kind, return_inverse=True)
    mean = np.bincount(inverse, told.data)[inverse] / number[kind]
    of_state = np.bincount(told.col, told.data * np.log(told.data / mean), minlength=len(model.kind))
    return np.maximum(model.transitions[action] @ of_state, 0.0)


def _sampled_information(
    simulator: Simulator, listed: StateSet, model: ExplicitModel, action: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """The same where observations cannot be listed: told apart from a crowd of states of the same kind."""
    m, actions = model.rewards.shape
    crowd = int(np.clip(COMPARISONS / (m * actions), *CROWD))
    repeats = int(np.clip(COMPARISONS / (m * actions * crowd), 1, REPEATS))
    order, count = np.argsort(model.kind, kind="stable"), np.bincount(model.kind)
    first = np.cumsum(count) - count
    gain = np.zeros(m)
    for _ in range(repeats):
        after, observed, _, done = simulator.step(listed.states, np.full(m, action), rng)
        kind = model.kind[listed.index(after)]
        others = order[first[kind, None] + (rng.random((m, crowd)) * count[kind, None]).astype(np.intp)]
        beside = np.concatenate([after[:, None], listed.states[others]], axis=1)
        logs = simulator.log_likelihood(observed, beside, np.full(m, action))
        possible = np.isfinite(logs[:, 0]) & ~done
        logs = np.where(possible[:, None], logs, 0.0)
        gain += (logs[:, 0] - logsumexp(logs, axis=1) + np.log(1 + crowd)) / repeats
    return np.maximum(gain, 0.0)


def _best_ahead(model: ExplicitModel, information: NDArray[np.float64]) -> NDArray[np.float64]:
    """The discounted information of the best observation ahead: at once, or where the action leads, `(M, A)`."""
    best = information.copy()
    for _ in range(min(SWEEPS, math.ceil(math.log(1e-3) / math.log(model.discount)))):
        most = best.max(axis=1)
        later = np.stack([follows @ most for follows in model.transitions], axis=1)
        following = np.maximum(information, model.discount * later)
        if np.allclose(following, best, atol=1e-6):
            break
        best = following
    return best
