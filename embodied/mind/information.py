"""Bits, and whether a belief deserves its certainty."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from embodied.errors import ProblemError


@dataclass(frozen=True)
class Estimate:
    """A number, and the standard error with which it is known."""

    value: float
    error: float

    @property
    def interval(self) -> tuple[float, float]:
        """Where it lies with 95 % confidence."""
        return self.value - 1.96 * self.error, self.value + 1.96 * self.error


def entropy_bits(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Shannon entropy along the last axis [bits]; 0 log 0 = 0."""
    p = np.asarray(probabilities, np.float64)
    return -(p * np.log2(np.where(p > 0, p, 1.0))).sum(axis=-1)


def calibration_error(probabilities: ArrayLike, truth: ArrayLike, bins: int = 10) -> float:
    """Expected calibration error of the most likely value (Naeini et al. 2015).

    Predictions are grouped by confidence into `bins` of equal width; the result is the mean gap between
    confidence and hit rate, weighted by how many predictions a bin holds.

    Args:
        probabilities: `(n, k)`.
        truth: index of the true value, `(n,)`.
    """
    p, y = np.asarray(probabilities, np.float64), np.asarray(truth, np.intp)
    confidence, hit = p.max(axis=1), p.argmax(axis=1) == y
    bin_of = np.minimum((confidence * bins).astype(np.intp), bins - 1)
    gap = np.bincount(bin_of, confidence - hit, minlength=bins)
    return float(np.abs(gap).sum() / len(p))


def negative_log_likelihood(probabilities: ArrayLike, truth: ArrayLike) -> float:
    """Mean −ln p(truth) [nats], with p at least 1e-12."""
    p, y = np.asarray(probabilities, np.float64), np.asarray(truth, np.intp)
    return float(-np.log(np.maximum(p[np.arange(len(p)), y], 1e-12)).mean())


def finite_gain(prior: ArrayLike, likelihood: ArrayLike) -> float:
    """Expected information gain [bits] of an observation with finitely many outcomes: mutual information, exactly.

    Args:
        prior: probabilities of the hidden values, `(k,)`.
        likelihood: probability of each outcome under each value, `(k, outcomes)`.

    Raises:
        ProblemError: these are no probabilities.
    """
    p, z = _probabilities(prior, "prior"), _probabilities(likelihood, "likelihood")
    marginal = p @ z
    return float(entropy_bits(marginal) - p @ entropy_bits(z))


def linear_gaussian_gain(covariance: ArrayLike, observation: ArrayLike, noise: ArrayLike) -> float:
    """Expected information gain [bits] of y = H x + v: ½ log₂ |I + R⁻¹ H P Hᵀ|.

    Args:
        covariance: P of x, `(d, d)`; observation: H, `(m, d)`; noise: R, covariance of v, `(m, m)`.
    """
    P, H, R = (np.atleast_2d(np.asarray(a, np.float64)) for a in (covariance, observation, noise))
    return float(0.5 * np.linalg.slogdet(np.eye(len(R)) + np.linalg.solve(R, H @ P @ H.T))[1] / math.log(2))


def sampled_gain(of_truth: ArrayLike, of_others: ArrayLike) -> Estimate:
    """Expected information gain [bits], by nested Monte Carlo (Rainforth et al. 2018), corrected for its bias.

    Observation i was drawn from a state of its own; the others are independent draws from the belief. The logarithm of
    their mean is too low by about the relative variance of that mean over two (delta method), which is added.

    Args:
        of_truth: ln density of each observation in the state that it came from, `(n,)`.
        of_others: ln density of each observation in other states, `(n, m)`.

    Raises:
        ProblemError: an observation that is impossible where it came from.
    """
    own, others = np.asarray(of_truth, np.float64), np.asarray(of_others, np.float64)
    if not np.isfinite(own).all() or np.isnan(others).any():
        raise ProblemError("an observation must be possible in the state that it came from")
    m = others.shape[1]
    largest = np.maximum(others.max(axis=1), own)
    density = np.exp(others - largest[:, None])
    # Where no other state explains an observation, the state it came from is one more draw.
    mean = np.where(density.any(axis=1), density.mean(axis=1), np.exp(own - largest) / (m + 1))
    bias = density.var(axis=1, ddof=1) / (2 * m * mean**2) if m > 1 else 0.0
    gain = (own - largest - np.log(mean) - np.minimum(bias, 0.5)) / math.log(2)
    return Estimate(float(gain.mean()), float(gain.std(ddof=1) / math.sqrt(len(gain))) if len(gain) > 1 else math.inf)


def value_of_information(prior: ArrayLike, likelihood: ArrayLike, worth: ArrayLike) -> float:
    """What an observation is worth to one who decides after it (Howard 1966): bits that change no decision are worth 0.

    Args:
        prior: `(k,)`; likelihood: `(k, outcomes)`; worth: return of each decision under each hidden value, `(k, A)`.
    """
    p, z = _probabilities(prior, "prior"), _probabilities(likelihood, "likelihood")
    returns = np.asarray(worth, np.float64)
    informed = (np.einsum("k,ko,ka->oa", p, z, returns)).max(axis=1).sum()
    return float(informed - (p @ returns).max())


def sample_entropy(labels: ArrayLike, weights: ArrayLike | None = None) -> Estimate:
    """Entropy [bits] of what weighted particles say about a discrete variable.

    The plug-in estimate with the correction of Miller and Madow for the effective number of particles.

    Args:
        labels: `(n,)`, whole numbers; weights: `(n,)`, equal if not given.
    """
    y = np.asarray(labels)
    w = np.full(len(y), 1 / len(y)) if weights is None else np.asarray(weights, np.float64) / np.sum(weights)
    _, kind = np.unique(y, return_inverse=True)
    p = np.bincount(kind, w)
    p = p[p > 0]
    n = 1 / (w**2).sum()
    self_information = -np.log2(p)
    entropy = float(p @ self_information)
    spread = math.sqrt(max(float(p @ self_information**2) - entropy**2, 0.0) / n)
    return Estimate(entropy + (len(p) - 1) / (2 * n * math.log(2)), spread)


def _probabilities(given: ArrayLike, name: str) -> NDArray[np.float64]:
    p = np.asarray(given, np.float64)
    if not np.isfinite(p).all() or (p < 0).any() or not np.allclose(p.sum(axis=-1), 1):
        raise ProblemError(f"the {name} must be probabilities that add up to 1 along the last axis")
    return p
