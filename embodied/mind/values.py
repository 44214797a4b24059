"""What actions of a written out problem are worth to one who knows the state, or knows nothing, and what they tell."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embodied.mind.explicit import ExplicitModel

SWEEPS = 400
CLOSE = 1e-4  # change of a value, as a share of the largest possible, at which iteration ends


@dataclass(frozen=True)
class Values:
    """Of M states and A actions.

    Attributes:
        known: an upper bound: worth of an action if the state is seen after it (QMDP; Littman, Cassandra & Kaelbling
            1995), `(M, A)`.
        blind: a lower bound: worth of doing one thing for ever, for each of them, `(A, M)`.
        information: discounted information [nats] of the best observation that an action leads to, `(M, A)`.
    """

    known: NDArray[np.float64]
    blind: NDArray[np.float64]
    information: NDArray[np.float64]

    @classmethod
    def of(cls, model: ExplicitModel) -> Values:
        """Works them out."""
        return cls(_known(model), _blind(model), _best_ahead(model, _information(model)))


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


def _information(model: ExplicitModel) -> NDArray[np.float64]:
    """Mean information [nats] of the observation that each action brings from each state, `(M, A)`.

    It is told apart from all states of its kind that the action can lead to, as if they were equally likely: what is
    known beyond doubt, such as where one is, tells nothing anew.
    """
    gains = np.zeros(model.rewards.shape)
    kinds = model.kind.max() + 1
    for action, (follows, groups) in enumerate(zip(model.transitions, model.groups, strict=True)):
        told = groups.probabilities.tocoo()
        reachable = np.unique(told.col)
        number = np.maximum(np.bincount(model.kind[reachable], minlength=kinds), 1)
        kind = model.kind[told.col]
        _, inverse = np.unique(told.row * kinds + kind, return_inverse=True)
        mean = np.bincount(inverse, told.data)[inverse] / number[kind]
        of_state = np.bincount(told.col, told.data * np.log(told.data / mean), minlength=len(gains))
        gains[:, action] = follows @ of_state
    return np.maximum(gains, 0.0)


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
