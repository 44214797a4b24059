"""Bayes' rule by rows, and the exact filter for a hidden variable with finitely many values that does not change."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embodied.hidden import Discrete


class DiscreteFilter:
    """Bayes' rule in `n` worlds at once, in log space.

    `probabilities (n, k)` is the posterior given the prior and every likelihood so far.
    """

    def __init__(self, variable: Discrete, n: int) -> None:
        with np.errstate(divide="ignore"):
            self._prior = np.log(np.asarray(variable.prior))
        self._log_weights = np.tile(self._prior, (n, 1))

    def begin(self, worlds: NDArray) -> None:
        """Forgets everything in `worlds` (a mask or indices)."""
        self._log_weights[worlds] = self._prior

    def update(self, log_likelihood: NDArray) -> None:
        """Takes in one observation per world: `log_likelihood (n, k)`, up to a constant per world; −∞ is impossible.

        What no value that is still possible explains is left out.
        """
        after = self._log_weights + log_likelihood
        largest = after.max(axis=1, keepdims=True)
        explained = np.isfinite(largest)
        self._log_weights = np.where(explained, after - np.where(explained, largest, 0.0), self._log_weights)

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """The posterior, `(n, k)`."""
        weights = np.exp(self._log_weights - self._log_weights.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True)


def posterior(weights: NDArray, log_likelihood: NDArray) -> NDArray[np.float64]:
    """Bayes' rule by rows; a row in which nothing explains what was seen stays as it was."""
    possible = np.where(weights > 0, log_likelihood, -np.inf)
    largest = possible.max(axis=1, keepdims=True, initial=-np.inf)
    explained = np.isfinite(largest)
    joint = weights * np.exp(possible - np.where(explained, largest, 0.0))
    total = joint.sum(axis=1, keepdims=True)
    return np.where(explained, joint / np.where(explained, total, 1.0), weights)
