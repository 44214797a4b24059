"""What a network can learn from a plan: the best option and the value of every belief that it has looked into.

Shape suffixes: n beliefs, K values of the hidden variable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embodied.mind.options.lookahead import Lookahead
from embodied.mind.options.outcome_table import History

LIKELY = 1e-2  # probability of a belief, below which too little thought went into it to learn from


@dataclass(frozen=True)
class SearchTargets:
    """What a plan makes of the beliefs of one node.

    Attributes:
        history: options that were taken up before in the episode.
        beliefs: `(n, K)`; reach: how likely each is met, `(n,)`.
        best: number of its best option, `(n,)`; value: what it is worth, `(n,)`.
    """

    history: History
    beliefs: NDArray[np.float64]
    reach: NDArray[np.float64]
    best: NDArray[np.intp]
    value: NDArray[np.float64]


def search_targets(ahead: Lookahead, history: History, actions: Sequence[str]) -> Iterator[SearchTargets]:
    """What a plan says about its own beliefs and those that may follow, where it has tried what it would do."""
    some = ahead.tried[ahead.best] & (ahead.reach >= LIKELY)
    if some.any():
        yield SearchTargets(history, ahead.beliefs[some], ahead.reach[some], ahead.best[some], ahead.value[some])
    for option, (after, _, _) in ahead.after.items():
        yield from search_targets(after, (*history, actions[option]), actions)
