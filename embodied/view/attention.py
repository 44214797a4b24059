"""A picture of a network's attention."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embodied.extras import advice

with advice():
    from matplotlib.figure import Figure


def draw_attention(attention: NDArray, informative: NDArray, hertz: float, path: Path) -> None:
    """Writes where a network looks back to, a row per layer and head; informative observations are marked below.

    Args:
        attention: `(layers, heads, decisions)`; informative: `(decisions,)`.
        hertz: decisions per second.
    """
    layers, heads, decisions = attention.shape
    figure = Figure(figsize=(9, 0.3 * layers * heads + 1.4), layout="constrained")
    ax = figure.subplots()
    rows = attention.reshape(layers * heads, decisions)
    image = ax.imshow(
        rows / rows.max(axis=1, keepdims=True), aspect="auto", cmap="Blues", interpolation="nearest",
        extent=(-0.5 / hertz, (decisions - 0.5) / hertz, layers * heads - 0.5, -0.5),
    )  # fmt: skip
    when = np.flatnonzero(informative) / hertz
    ax.plot(when, np.full(len(when), layers * heads - 0.3), "^", color="#d98e04", clip_on=False, label="informative")
    ax.set_yticks(
        range(layers * heads), [f"layer {k // heads + 1}, head {k % heads + 1}" for k in range(layers * heads)]
    )
    ax.set(xlabel="decision that is attended to [s]", title="Attention at the last decision of an episode")
    ax.legend(loc="upper left", bbox_to_anchor=(0.0, -0.12), frameon=False)
    figure.colorbar(image, label="share of the row's largest")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
