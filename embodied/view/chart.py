"""How trainings went, as a picture: returns over steps, a panel for each environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter

COLORS = ("#1f6bdb", "#c8821e", "#7a7f87", "#3ca05a", "#785aaa")
ABREAST = 3  # panels in a row

Curve = Sequence[tuple[float, float]]  # steps, return


def write_curves(
    path: Path,
    panels: Mapping[str, Mapping[str, Sequence[Curve]]],
    kinds: Sequence[str],
    goals: Mapping[str, float] | None = None,
) -> None:
    """Draws for each panel, and each kind of training in it, one curve per seed.

    Args:
        kinds: all kinds there can be, so that each has the same color in every picture.
        goals: for some panels, a return that is marked by a dotted line.
    """
    colors = {kind: COLORS[i % len(COLORS)] for i, kind in enumerate(kinds)}
    columns = min(ABREAST, len(panels))
    rows = -(-len(panels) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(3.6 * columns, 2.6 * rows + 0.4), dpi=130, squeeze=False)
    for axes, (title, curves) in zip(grid.flat, panels.items(), strict=False):
        _draw(axes, title, curves, colors, (goals or {}).get(title))
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel("return", fontsize=8)
    shown = [kind for kind in kinds if any(kind in curves for curves in panels.values())]
    lines = [Line2D([], [], color=colors[kind], linewidth=2, label=kind) for kind in shown]
    figure.legend(handles=lines, loc="upper center", ncols=len(shown), frameon=False, fontsize=9)
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.35 / (2.6 * rows + 0.4)))
    figure.savefig(path)
    plt.close(figure)


def _draw(
    axes: Axes, title: str, curves: Mapping[str, Sequence[Curve]], colors: Mapping[str, str], goal: float | None
) -> None:
    for kind in reversed(list(curves)):  # the first on top
        for curve in curves[kind]:
            axes.plot(*zip(*curve, strict=True), color=colors[kind], linewidth=1.4, alpha=0.85)
    if goal is not None:
        axes.axhline(goal, color="black", linewidth=0.8, linestyle=":")
    axes.set_title(title, fontsize=9, loc="left")
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    axes.tick_params(labelsize=7, length=2)
    axes.grid(alpha=0.25, linewidth=0.5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
