"""What is seen of a hidden variable: evidence, where a task knows any, or else all that is observed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embodied.world.env import BatchEnv


@dataclass(frozen=True)
class Evidence:
    """What is seen in all worlds of an environment.

    Attributes:
        of: of what they have just observed, `(N, dim)`: `(N, D)`. Summed over time, it tells of the hidden variable.
        size: D.
        exact: whether it is the log-likelihood of every value of a discrete hidden variable.
        declared: whether the task says what is evidence; else it is all that is observed.
    """

    of: Callable[[NDArray], NDArray[np.float64]]
    size: int
    exact: bool
    declared: bool

    @classmethod
    def through(cls, env: BatchEnv) -> Evidence:
        """Evidence, if the task knows any; else observations, each number in shares of its range."""
        if not env.started:
            env.reset(seed=0)
        told = env.task.evidence(env.last_obs)
        if told is not None:
            return cls(env.evidence, told.shape[1], env.task.exact_evidence, True)
        low, high = env.layout.low.astype(np.float64), env.layout.high.astype(np.float64)
        width = np.where(np.isfinite(high - low) & (high > low), high - low, 1.0)
        return cls(lambda obs: np.asarray(env.form.rows(obs), np.float64) / width, len(width), False, False)
