"""What planning with options is asked: which of K values a hidden variable has, and what options lead to.

Shape suffixes: K values of the hidden variable, M samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from embodied.mind.options.likeness import likeness

OVER = -1  # the node of an episode that has ended
ROOT = 0  # the node in which planning begins


@dataclass(frozen=True)
class OptionOutcome:
    """What an option leads to from one node.

    Attributes:
        reward: what is earned meanwhile, `(K, M)`; seen: what is seen meanwhile, D numbers, `(K, M, D)`; over: whether
            the episode ends with it, `(K, M)`; seconds: how long it takes, `(K, M)`.
        after: the node that it leads to.
        exact: whether what is seen is its own log-likelihood, D = K; else it is compared with what was seen under each
            value (see `likeness`).
    """

    reward: NDArray[np.float64]
    seen: NDArray[np.float64]
    over: NDArray[np.bool_]
    seconds: NDArray[np.float64]
    after: int
    exact: bool = True

    @cached_property
    def evidence(self) -> NDArray[np.float64]:
        """Log-likelihood of what was seen under every value, `(K, M, K)`."""
        k, m, d = self.seen.shape
        return self.explain(self.seen.reshape(k * m, d)).reshape(k, m, k)

    def explain(self, seen: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log-likelihood of what may be seen `(n, D)` under every value, up to a constant, `(n, K)`."""
        return seen if self.exact else likeness(seen, self.seen)

    @cached_property
    def log_survival(self) -> NDArray[np.float64]:
        """ln of the probability that the episode goes on, for each value, `(K,)`; with M samples, never quite 0."""
        m = self.over.shape[1]
        return np.log((m - self.over.sum(axis=1) + 0.01) / (m + 0.01))


class OptionProblem(Protocol):
    """A hidden variable that does not change, and options whose outcomes are worked out when they are asked for.

    Nodes are numbered in the order in which they are reached, from `ROOT` on.
    """

    @property
    def actions(self) -> Sequence[str]:
        """Names of the options."""
        ...

    @property
    def prior(self) -> NDArray[np.float64]:
        """Probabilities of the K values, `(K,)`."""
        ...

    @property
    def exact(self) -> bool:
        """Whether what is seen is its own log-likelihood (see `OptionOutcome`)."""
        ...

    def known(self, node: int, action: str) -> OptionOutcome | None:
        """What an option leads to, if that has been worked out."""
        ...

    def ask(self, node: int, action: str) -> bool:
        """Has an option tried from a node; False if that has been asked for before."""
        ...

    @property
    def vacant(self) -> bool:
        """Whether there is room to try more than what has been asked for."""
        ...

    def advance(self) -> bool:
        """Works on what has been asked for, a moment at a time; False if there is nothing."""
        ...

    def stop(self) -> None:
        """Gives up what has been asked for and is not yet known."""
        ...

    def left_s(self, node: int) -> float:
        """Time until the episode ends, from a node on [s]."""
        ...
