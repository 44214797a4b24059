"""Who leads the trials of a solver: simple policies that find out before they commit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from embodied.mind.base_policies import ENTROPY_THRESHOLDS
from embodied.mind.solver.nodes import Node

Leader = Callable[[Node], int]


def simple_leaders() -> list[Leader]:
    """Those of `BasePolicies`, for beliefs over listed states."""
    return [partial(_simple, limit, commits) for limit in ENTROPY_THRESHOLDS for commits in (False, True)]


def _simple(limit: float, commits: bool, node: Node) -> int:
    """Finds out while the entropy is above a limit [bits]; then goes by the average, or by the likeliest state."""
    if node.entropy > limit:
        return int(node.average(node.kind.information).argmax())
    known = node.kind.known
    return int((node.likeliest(known) if commits else node.average(known)).argmax())
