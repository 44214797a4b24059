"""What each action would be worth to one who saw everything, in a sample of states that stands for all.

Two questions are answered once, before the first decision: what an action is worth if the state were known from then
on (QMDP; Littman, Cassandra & Kaelbling 1995), and how much is to be found out on the way that it leads.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from embodied.mind.problem import Simulator
from embodied.mind.states import StateSet

OUTCOMES = 8  # successors per state and action
SWEEPS = 400  # of value iteration, at most
SETTLED = 1e-6  # change of a value, as a share of the largest, at which iteration ends
OBSERVATIONS = 128  # observations per state and action, at most, to see how informative they are
POPULATION = (128, 24)  # states that an observation is to be told apart from: at most, at least
COMPARISONS = 8_000_000  # of observations with states, about


class PointSet:
    """Values of actions in some of the states of a problem, looked up by the nearest one.

    Attributes:
        q_value: `(M, A)`, discounted return of an action if the state is seen after it.
        information_value: `(M, A)`, discounted information [nats] of the best observation that the action leads to.
    """

    def __init__(self, simulator: Simulator, listed: StateSet, rng: np.random.Generator) -> None:
        self._simulator, self._listed = simulator, listed
        successors, rewards, done = self._outcomes(rng)
        discount = min(simulator.problem.discount, 1 - 1e-3)
        self.q_value = _known_worth(successors, rewards, done, discount)
        self.information_value = _best_ahead(self._information(successors, rng), successors, done, discount)

    def index(self, states: NDArray) -> NDArray[np.intp]:
        """The member that is nearest to each state, `(n,)`."""
        return self._listed.index(states)

    def _outcomes(self, rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray, NDArray]:
        """Samples what actions do: successors `(M, A, S)`, mean rewards `(M, A)` and done `(M, A, S)`."""
        m, a = len(self._listed.states), len(self._simulator.actions)
        shape = (m, a, OUTCOMES)
        choice = np.broadcast_to(np.arange(a)[:, None], shape).reshape(-1)
        after, _, rewards, done = self._simulator.step(
            np.repeat(self._listed.states, a * OUTCOMES, axis=0), choice, rng
        )
        successors, done = self.index(after).reshape(shape), done.reshape(shape)
        if (successors == successors[..., :1]).all() and (done == done[..., :1]).all():
            successors, done = successors[..., :1], done[..., :1]  # nothing is left to chance
        return successors, rewards.reshape(shape).mean(axis=2), done

    def _information(self, successors: NDArray, rng: np.random.Generator) -> NDArray[np.float64]:
        """Mean information [nats] of the observation that each action brings from each state, `(M, A)`.

        That is log Z(o | s') − log mean Z(o | s'') over other states that can explain what was seen on the way into s:
        what is known by then beyond doubt, such as where one is, tells nothing anew.
        """
        m, a = len(self._listed.states), len(self._simulator.actions)
        crowd_size = int(np.clip(COMPARISONS / (m * a), POPULATION[1], POPULATION[0]))
        repeats = int(np.clip(COMPARISONS / (m * a * crowd_size), 1, OBSERVATIONS))
        evidence = np.zeros((m, a))
        for _ in range(repeats):
            crowd = self._listed.states[rng.integers(0, m, crowd_size)]
            alike = self._alike(crowd, successors, rng)
            for action in range(a):
                evidence[:, action] += self._gains(action, crowd, alike, rng) / repeats
        return np.maximum(evidence, 0.0)

    def _alike(self, crowd: NDArray, successors: NDArray, rng: np.random.Generator) -> NDArray[np.float64]:
        """ln weights of each state and of a crowd, equal for all that explain what is seen on the way, `(M, 1 + C)`."""
        m, a = successors.shape[:2]
        ways = rng.permutation(m * a)
        into = np.full(m, -1)
        into[successors[..., 0].reshape(-1)[ways]] = ways  # one way into each state, if there is any
        known = np.flatnonzero(into >= 0)
        before, choice = np.divmod(into[known], a)
        _, observed, _, _ = self._simulator.step(self._listed.states[before], choice, rng)
        logs = np.zeros((m, 1 + len(crowd)))
        logs[known] = self._simulator.log_likelihood(observed, _beside(self._listed.states[known], crowd), choice)
        logs[known[~np.isfinite(logs[known, 0])]] = 0.0  # it was another state that was come to
        possible = np.isfinite(logs)
        return np.where(possible, -np.log(possible.sum(axis=1, keepdims=True)), -np.inf)

    def _gains(self, action: int, crowd: NDArray, alike: NDArray, rng: np.random.Generator) -> NDArray[np.float64]:
        """What one observation of each state tells that sets it apart from a crowd, `(M,)`."""
        choice = np.full(len(self._listed.states), action)
        after, observed, _, _ = self._simulator.step(self._listed.states, choice, rng)
        others = self._simulator.step(crowd, np.full(len(crowd), action), rng)[0]
        logs = self._simulator.log_likelihood(observed, _beside(after, others), choice)
        possible = np.isfinite(logs[:, 0])
        return np.where(possible, np.where(possible, logs[:, 0], 0.0) - logsumexp(logs + alike, axis=1), 0.0)


def _beside(states: NDArray, crowd: NDArray) -> NDArray:
    """Each state with a crowd beside it, `(M, 1 + C, …)`."""
    return np.concatenate([states[:, None], np.broadcast_to(crowd, (len(states), *crowd.shape))], axis=1)


def _known_worth(successors: NDArray, rewards: NDArray, done: NDArray, discount: float) -> NDArray[np.float64]:
    """Value iteration; returns action values `(M, A)`."""
    worth = rewards.astype(np.float64)
    largest = max(float(np.abs(rewards).max()), 1e-12) / (1 - discount)
    for _ in range(SWEEPS):
        following = np.where(done, 0.0, worth.max(axis=1)[successors]).mean(axis=2)
        better = rewards + discount * following
        change = np.abs(better - worth).max()
        worth = better
        if change < SETTLED * largest:
            break
    return worth


def _best_ahead(evidence: NDArray, successors: NDArray, done: NDArray, discount: float) -> NDArray[np.float64]:
    """The discounted information of the best observation ahead: at once, or where the action leads, `(M, A)`."""
    best = evidence.copy()
    for _ in range(min(SWEEPS, math.ceil(math.log(1e-3) / math.log(discount)))):
        later = np.where(done, 0.0, best.max(axis=1)[successors]).mean(axis=2)
        best = np.maximum(evidence, discount * later)
    return best
