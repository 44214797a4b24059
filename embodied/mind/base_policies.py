"""Simple policies of a problem: they find out until they are certain enough, and then act on what they know."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from embodied.mind.belief import posterior
from embodied.mind.information import entropy_bits
from embodied.mind.problem import Simulator

ENTROPY_THRESHOLDS = (
    np.inf,
    6.0,
    4.5,
    3.0,
    2.0,
    1.0,
    0.5,
    0.25,
    0.1,
    0.02,
)  # bits with which policies stop finding out
CUT = 0.2  # discount from which on the future is taken to be like the steps before
LONGEST = 100  # steps
LATE = 0.25  # share of the steps that stands for what would follow


@dataclass
class Beliefs:
    """K beliefs of m particles each, and what is true in each of them.

    Attributes:
        states: `(K, m, …)`; weights: `(K, m)`; truth: `(K, …)`.
    """

    states: NDArray
    weights: NDArray[np.float64]
    truth: NDArray

    def rows(self, index: NDArray) -> Beliefs:
        """Some of the beliefs."""
        return Beliefs(self.states[index], self.weights[index], self.truth[index])


class Points(Protocol):
    """Values of actions in states that stand for all (see `embodied.mind.solver.values.Values`)."""

    @property
    def q_value(self) -> NDArray[np.float64]: ...

    @property
    def information_value(self) -> NDArray[np.float64]: ...

    def index(self, states: NDArray) -> NDArray[np.intp]: ...


class BasePolicies:
    """A family of policies, which differ in the entropy that they tolerate, and in what they then take for true.

    Above its entropy threshold, a policy does what leads to the most informative observation; the one with an infinite
    threshold never does. Then it does what would be best on average if the state were seen after it (QMDP), or
    what is best in the likeliest state: the first never commits what it could find out later, and may wait for that for
    ever; the second does dare.

    Attributes:
        entropy_threshold: `(P,)` [bits]; commits: whether it acts on the likeliest state, `(P,)`.
    """

    def __init__(self, simulator: Simulator, points: Points) -> None:
        self._simulator, self._points = simulator, points
        self.entropy_threshold, self.commits = (
            np.tile(ENTROPY_THRESHOLDS, 2),
            np.repeat([False, True], len(ENTROPY_THRESHOLDS)),
        )
        discount = simulator.problem.discount
        self.horizon = LONGEST if discount == 1 else min(LONGEST, math.ceil(math.log(CUT) / math.log(discount)))
        self._tail = 0.0 if discount == 1 else discount**self.horizon / (1 - discount)

    def choose(self, beliefs: Beliefs, policy: NDArray[np.intp]) -> NDArray[np.intp]:
        """What each policy `(K,)` would do with its belief, `(K,)`."""
        members, mass = self._mass(beliefs)
        q, information = mass @ self._points.q_value[members], mass @ self._points.information_value[members]
        unsure = entropy_bits(mass) > self.entropy_threshold[policy]
        likely = self._points.q_value[members[mass.argmax(axis=1)]]
        known = np.where(self.commits[policy], likely.argmax(axis=1), q.argmax(axis=1))
        return np.where(unsure, information.argmax(axis=1), known)

    def step(
        self, beliefs: Beliefs, choice: NDArray, rng: np.random.Generator
    ) -> tuple[Beliefs, NDArray[np.float64], NDArray[np.bool_]]:
        """Acts, observes and updates in every belief; returns the beliefs after, and rewards and ends `(K,)`.

        The reward is what the belief expects: right on average, and less a matter of chance than that of the truth.
        """
        k, m = beliefs.weights.shape
        shape = beliefs.truth.shape[1:]
        everyone = np.concatenate([beliefs.truth[:, None], beliefs.states], axis=1).reshape(k * (m + 1), *shape)
        after, observed, reward, done = self._simulator.step(everyone, np.repeat(choice, m + 1), rng)
        after, done = after.reshape(k, m + 1, *shape), done.reshape(k, m + 1)
        observed = observed.reshape(k, m + 1, *observed.shape[1:])[:, 0]
        reward = np.einsum("km,km->k", beliefs.weights, reward.reshape(k, m + 1)[:, 1:])
        ended = done[:, 0]
        going = np.flatnonzero(~ended)
        weights = beliefs.weights.copy()
        logs = self._simulator.log_likelihood(observed[going], after[going, 1:], choice[going])
        weights[going] = posterior(weights[going], np.where(done[going, 1:], -np.inf, logs))
        return Beliefs(after[:, 1:], weights, after[:, 0]), reward, ended

    def returns(self, beliefs: Beliefs, policy: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.float64]:
        """Plays every belief to its end; returns what was earned, discounted, `(K,)`.

        Who has not ended at the horizon is taken to go on earning as in the last quarter before it.
        """
        earned, late, scale = np.zeros(len(policy)), np.zeros(len(policy)), 1.0
        left, last = np.arange(len(policy)), math.ceil(LATE * self.horizon)
        for t in range(self.horizon):
            choice = self.choose(beliefs, policy[left])
            beliefs, reward, ended = self.step(beliefs, choice, rng)
            earned[left] += scale * reward
            late[left] += reward * (t >= self.horizon - last)
            scale *= self._simulator.problem.discount
            if ended.any():
                beliefs, left = beliefs.rows(~ended), left[~ended]
            if not len(left):
                return earned
        earned[left] += self._tail * late[left] / last
        return earned

    def _mass(self, beliefs: Beliefs) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """The members of the points that are believed in somewhere, `(L,)`, and their probabilities `(K, L)`."""
        k, m = beliefs.weights.shape
        index = self._points.index(beliefs.states.reshape(k * m, *beliefs.states.shape[2:]))
        members, place = np.unique(index, return_inverse=True)
        cell = np.repeat(np.arange(k) * len(members), m) + place
        mass = np.bincount(cell, beliefs.weights.reshape(-1), minlength=k * len(members))
        return members, np.asarray(mass, np.float64).reshape(k, len(members))
