"""A table of pay-offs as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def write_matrix(path: Path, names: Sequence[str], score: NDArray[np.float64]) -> None:
    """Draws the shares of games `score (K, K)` that rows won against columns, with numbers in per cent."""
    k = len(names)
    figure, axes = plt.subplots(figsize=(2.2 + 0.62 * k, 1.2 + 0.55 * k), dpi=130)
    axes.imshow(np.where(np.eye(k, dtype=bool), np.nan, score), cmap="RdYlBu", vmin=0, vmax=1)
    axes.set_xticks(range(k), names, rotation=35, ha="right", fontsize=8)
    axes.set_yticks(range(k), names, fontsize=8)
    axes.tick_params(length=0)
    for i in range(k):
        for j in range(k):
            if i != j:
                bright = abs(score[i, j] - 0.5) < 0.35
                color = "black" if bright else "white"
                axes.text(j, i, f"{100 * score[i, j]:.0f}", ha="center", va="center", fontsize=8, color=color)
    axes.set_title("share of games that the row wins against the column [%]", fontsize=9, loc="left")
    for side in axes.spines.values():
        side.set_visible(False)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
