"""What a network tells plans from experience: a policy and a value, by belief (Silver et al. 2018)."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from embodied.mind.options.outcome_table import History


class PolicyValue(Protocol):
    """Knows what is done in a belief, and what that earns."""

    def evaluate(
        self, history: History, beliefs: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Probabilities of the A options `(n, A)` and values `(n,)` of beliefs `(n, K)`.

        The same options, `history`, were taken up before in each.
        """
        ...
