"""Beliefs as weighted particles: Bayes' rule by simulation, kept alive by resampling."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from embodied.errors import BeliefLostError, ObservationError, ProblemError
from embodied.mind.problem import Problem, log_density

ENOUGH = 0.5  # effective share of the particles below which they are resampled


class Belief(Protocol):
    """What is believed about the state of a problem."""

    @property
    def weights(self) -> NDArray[np.float64]: ...

    @property
    def states(self) -> NDArray: ...

    def predict(self, action: Any) -> Any: ...

    def update(self, observation: Any, action: Any) -> None: ...

    def sample(self, n: int) -> NDArray: ...


class ParticleBelief:
    """What is believed about the state of a problem (sequential importance resampling; Gordon, Salmond & Smith 1993).

    Weights are kept as logarithms. Particles that are exactly alike are merged, so that with few possible states and
    certain transitions the belief is exact.

    Args:
        jitter: spread of the noise that is added to particles when they are resampled, in units of the bandwidth that
            suits a Gaussian (Silverman 1986; regularized filter of Musso, Oudjane & Le Gland 2001). 0 for none, which
            suits problems whose steps bring noise enough, or whose states are not continuous.

    Attributes:
        states: `(m, …)`; log_weights: `(m,)`, normalized.
    """

    def __init__(self, problem: Problem, particles: int, rng: np.random.Generator, jitter: float = 0.0) -> None:
        if particles < 1:
            raise ProblemError(f"a belief needs at least 1 particle, not {particles}")
        self._problem, self._rng = problem, rng
        self.particles, self.jitter = particles, jitter
        self.begin()

    def begin(self) -> None:
        """Forgets everything but the prior."""
        self.states = np.asarray(self._problem.initial(self.particles, self._rng))
        self.log_weights = np.full(len(self.states), -math.log(len(self.states)))
        self._merge()

    @property
    def weights(self) -> NDArray[np.float64]:
        """Probabilities of the particles, `(m,)`."""
        return np.exp(self.log_weights)

    @property
    def effective(self) -> float:
        """The effective number of particles, 1 / Σ w² (Kong 1992)."""
        return float(np.exp(-np.logaddexp.reduce(2 * self.log_weights)))

    def predict(self, action: Any) -> NDArray[np.float64]:
        """Moves every particle as `action` would; returns its rewards `(m,)`. States that ended are not believed in."""
        if len(self.states) < self.particles:
            self._spread_out()
        self.states, _, rewards, done = self._problem.step(self.states, action, self._rng)
        goes_on = ~np.asarray(done, bool)
        if np.isfinite(self.log_weights[goes_on]).any():
            self.log_weights = _normalized(np.where(goes_on, self.log_weights, -np.inf))
        return rewards

    def update(self, observation: Any, action: Any) -> None:
        """Weighs the particles by how well they explain `observation`.

        Raises:
            BeliefLostError: none of them can; the belief stays as it was before.
            ObservationError: it is not a number.
            ProblemError: the problem's likelihood is no density.
        """
        self.log_weights = weighed(self._problem, self.states, self.log_weights, observation, action)
        self._merge()
        if self.effective < ENOUGH * min(self.particles, len(self.states)):
            self._renew()

    def sample(self, n: int) -> NDArray:
        """Draws `n` states, `(n, …)`, in random order."""
        return self.states[self._rng.permutation(systematic(self.weights, n, self._rng))]

    def _merge(self) -> None:
        """Puts together particles that are alike, and drops those that have become impossible."""
        flat = self.states.reshape(len(self.states), -1)
        _, first, kind = np.unique(flat, axis=0, return_index=True, return_inverse=True)
        weights = np.bincount(kind.reshape(-1), self.weights, minlength=len(first))
        possible = weights > 0
        self.states = self.states[first[possible]]
        self.log_weights = _normalized(np.log(weights[possible]))

    def _spread_out(self) -> None:
        """Splits particles into several of the same weight, so that chance in the next step is sampled well."""
        copies = np.maximum(np.floor(self.weights * self.particles).astype(np.intp), 1)
        self.states = np.repeat(self.states, copies, axis=0)
        self.log_weights = np.repeat(self.log_weights - np.log(copies), copies)

    def _renew(self) -> None:
        """Draws particles anew by their weights, where there are too many to keep all."""
        if len(self.states) * 4 <= self.particles and not self.jitter:
            return  # few are left because few are possible: their weights say it all
        states = self.sample(self.particles)
        if self.jitter:
            states = states + self.jitter * _bandwidth(states) * self._rng.standard_normal(states.shape)
        self.states = states
        self.log_weights = np.full(len(states), -math.log(len(states)))


def systematic(weights: NDArray, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draws `n` indices for each row of `weights (…, m)`, `(…, n)`, each as often as its weight says, up to one.

    One random number a row (Kitagawa 1996).
    """
    rows, m = weights.reshape(-1, weights.shape[-1]), weights.shape[-1]
    row = np.arange(len(rows))[:, None]
    edges = np.cumsum(rows, axis=1)
    marks = (rng.random((len(rows), 1)) + np.arange(n)) / n + row
    chosen = np.searchsorted((edges / edges[:, -1:] + row).reshape(-1), marks.reshape(-1), side="right")
    return (chosen.reshape(len(rows), n) - row * m).clip(0, m - 1).reshape(*weights.shape[:-1], n)


def weighed(
    problem: Problem, states: NDArray, log_weights: NDArray[np.float64], observation: Any, action: Any
) -> NDArray[np.float64]:
    """Logarithms of the weights of states `(m, …)` after an observation, normalized, `(m,)`.

    Raises:
        BeliefLostError: none of the states that are believed in explains it.
        ObservationError: it is not a number.
        ProblemError: the problem's likelihood is no density.
    """
    if _is_no_number(observation):
        raise ObservationError(f"the observation is not a number: {observation}")
    after = log_weights + log_density(problem, observation, states, action)
    if not np.isfinite(after).any():
        raise BeliefLostError(f"nothing that is believed in explains the observation {observation}")
    return _normalized(after)


def _is_no_number(observation: Any) -> bool:
    values = np.asarray(observation)
    return values.dtype.kind == "f" and not np.isfinite(values).all()


def _normalized(log_weights: NDArray) -> NDArray[np.float64]:
    return log_weights - np.logaddexp.reduce(log_weights)


def _bandwidth(states: NDArray) -> NDArray[np.float64]:
    """Silverman's rule for each dimension."""
    d = max(int(np.prod(states.shape[1:])), 1)
    return states.std(axis=0) * (4 / ((d + 2) * len(states))) ** (1 / (d + 4))
