"""Who leads the trials of a solver: optimists, pessimists, and simple policies that find out before they commit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from embodied.mind.base_policies import ENTROPY_THRESHOLDS
from embodied.mind.kinds import Node

Leader = Callable[[Node], int]


def simple_leaders() -> list[Leader]:
    """Those of `BasePolicies`, for beliefs over listed states."""
    return [partial(_simple, limit, commits) for limit in ENTROPY_THRESHOLDS for commits in (False, True)]


def _simple(limit: float, commits: bool, node: Node) -> int:
    """Finds out while the entropy is above a limit [bits]; then goes by the average, or by the likeliest state."""
    belief, kind = node.belief, node.kind
    if -(belief * np.log2(belief + (belief == 0))).sum() > limit:
        return int((belief @ kind.information).argmax())
    return int((kind.known[belief.argmax()] if commits else belief @ kind.known).argmax())
