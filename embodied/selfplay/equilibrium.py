"""What a table of pay-offs between strategies says: equilibrium, exploitability, and how much of it is a circle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from embodied.errors import ProblemError


def nash_mixture(payoff: NDArray) -> NDArray[np.float64]:
    """How often to play each row of a zero-sum game `payoff (K, L)` so as to lose least at worst, `(K,)`.

    By linear programming (von Neumann 1928, Dantzig 1951).

    Raises:
        ProblemError: the table holds something else than numbers.
    """
    payoff = np.asarray(payoff, np.float64)
    if payoff.ndim != 2 or not payoff.size or not np.isfinite(payoff).all():
        raise ProblemError("a table of pay-offs must hold finite numbers, one row per strategy")
    rows, columns = payoff.shape
    worst = np.column_stack([-payoff.T, np.ones(columns)])  # v − Σ pᵢ Aᵢⱼ ≤ 0 for every reply j
    whole = np.append(np.ones(rows), 0.0)[None]
    goal = np.append(np.zeros(rows), -1.0)
    bounds = [(0, None)] * rows + [(None, None)]
    solved = linprog(goal, A_ub=worst, b_ub=np.zeros(columns), A_eq=whole, b_eq=[1.0], bounds=bounds)
    mixture = np.maximum(solved.x[:rows], 0)
    return mixture / mixture.sum()


def exploitability(payoff: NDArray, row: NDArray, column: NDArray) -> float:
    """What two best replies would gain together over the mixtures `row` and `column`; 0 in equilibrium ("NashConv")."""
    payoff = np.asarray(payoff, np.float64)
    return float((payoff @ column).max() - (row @ payoff).min())


def cyclic_share(payoff: NDArray) -> float:
    """The share of an antisymmetric table `(K, K)` that no rating explains, 0 to 1.

    A table is a difference of ratings plus a cyclic part (Balduzzi et al. 2018); returned is that part's share.
    """
    payoff = np.asarray(payoff, np.float64)
    rating = payoff.mean(axis=1)
    cyclic = payoff - (rating[:, None] - rating[None])
    return float((cyclic**2).sum() / max((payoff**2).sum(), 1e-12))


def cycles(surely_better: NDArray[np.bool_]) -> list[tuple[int, int, int]]:
    """Triples of which each surely beats the next, and the last the first; `surely_better (K, K)`."""
    found = []
    for i, j in np.argwhere(surely_better):
        for k in np.flatnonzero(surely_better[j] & surely_better[:, i]):
            if i < min(j, k):
                found.append((int(i), int(j), int(k)))
    return found
