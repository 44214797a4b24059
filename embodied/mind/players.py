"""Simple players of a problem: they find out until they are certain enough, and then act on what they know."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embodied.mind.cloud import Cloud
from embodied.mind.problem import Simulator

CERTAINTIES = (np.inf, 2.0, 1.0, 0.5, 0.25, 0.1, 0.02)  # bits of doubt with which players stop finding out
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


class Players:
    """A family of players, told apart by how much doubt [bits] each leaves before it stops finding out.

    In doubt, a player does what leads to the most telling observation; else what would be best if the state were seen
    after it. The one with infinite doubt never goes to find out.
    """

    def __init__(self, simulator: Simulator, cloud: Cloud) -> None:
        self._simulator, self._cloud = simulator, cloud
        discount = simulator.problem.discount
        self.horizon = LONGEST if discount == 1 else min(LONGEST, math.ceil(math.log(CUT) / math.log(discount)))
        self._tail = 0.0 if discount == 1 else discount**self.horizon / (1 - discount)

    def choose(self, beliefs: Beliefs, doubt: NDArray) -> NDArray[np.intp]:
        """What players who leave `doubt (K,)` bits would do, `(K,)`."""
        index = self._index(beliefs)
        worth = np.einsum("km,kma->ka", beliefs.weights, self._cloud.worth[index])
        telling = np.einsum("km,kma->ka", beliefs.weights, self._cloud.telling[index])
        unsure = self._doubt(beliefs, index) > doubt
        return np.where(unsure, telling.argmax(axis=1), worth.argmax(axis=1))

    def known_worth(self, beliefs: Beliefs) -> NDArray[np.float64]:
        """Value of each belief if the state were seen after the next action, `(K,)`."""
        worth = self._cloud.worth[self._index(beliefs)]
        return np.einsum("km,kma->ka", beliefs.weights, worth).max(axis=1)

    def step(
        self, beliefs: Beliefs, choice: NDArray, rng: np.random.Generator
    ) -> tuple[Beliefs, NDArray[np.float64], NDArray[np.bool_]]:
        """Acts, observes and updates in every belief; returns the beliefs after, and rewards and ends `(K,)`."""
        k, m = beliefs.weights.shape
        shape = beliefs.truth.shape[1:]
        everyone = np.concatenate([beliefs.truth[:, None], beliefs.states], axis=1).reshape(k * (m + 1), *shape)
        after, heard, reward, done = self._simulator.step(everyone, np.repeat(choice, m + 1), rng)
        after, done = after.reshape(k, m + 1, *shape), done.reshape(k, m + 1)
        heard, reward = heard.reshape(k, m + 1, *heard.shape[1:])[:, 0], reward.reshape(k, m + 1)[:, 0]
        ended = done[:, 0]
        going = np.flatnonzero(~ended)
        weights = beliefs.weights.copy()
        density = self._simulator.likelihood(heard[going], after[going, 1:], choice[going])
        weights[going] = _posterior(weights[going], density * ~done[going, 1:])
        return Beliefs(after[:, 1:], weights, after[:, 0]), reward, ended

    def returns(self, beliefs: Beliefs, doubt: NDArray, rng: np.random.Generator) -> NDArray[np.float64]:
        """Plays every belief to its end; returns what was earned, discounted, `(K,)`.

        Who has not ended at the horizon is taken to go on earning as in the last quarter before it.
        """
        earned, late, scale = np.zeros(len(doubt)), np.zeros(len(doubt)), 1.0
        left, last = np.arange(len(doubt)), math.ceil(LATE * self.horizon)
        for t in range(self.horizon):
            choice = self.choose(beliefs, doubt[left])
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

    def _index(self, beliefs: Beliefs) -> NDArray[np.intp]:
        k, m = beliefs.weights.shape
        return self._cloud.index(beliefs.states.reshape(k * m, *beliefs.states.shape[2:])).reshape(k, m)

    def _doubt(self, beliefs: Beliefs, index: NDArray) -> NDArray[np.float64]:
        """Entropy of each belief over the members of the cloud, `(K,)` [bits]."""
        k, _ = index.shape
        size = len(self._cloud.states)
        cell = (np.arange(k)[:, None] * size + index).reshape(-1)
        mass = np.bincount(cell, beliefs.weights.reshape(-1), minlength=k * size).reshape(k, size)
        return -(mass * np.log2(mass + (mass == 0))).sum(axis=1)


def _posterior(weights: NDArray, density: NDArray) -> NDArray[np.float64]:
    """Bayes' rule by rows; a row in which nothing explains what was seen stays as it was."""
    posterior = weights * density
    total = posterior.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((total > 0) & np.isfinite(total), posterior / total, weights)
