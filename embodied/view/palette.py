"""Colors of what can be seen and believed, the same in every view."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RGB = tuple[int, int, int]

PALETTE: dict[str, RGB] = {
    "nothing": (226, 229, 234),
    "wall": (142, 152, 168),
    "red": (219, 51, 46),
    "blue": (31, 107, 219),
    "sign": (240, 196, 64),
    "beam": (60, 140, 140),
    "hearsay": (150, 120, 190),
}
PAPER: RGB = (236, 240, 245)  # behind a scene
FAINT, CLEAR = 0.18, 0.8  # opacity of beams that meet nothing of interest, and of those that do
OTHERS: tuple[RGB, ...] = ((90, 90, 90), (200, 130, 40), (60, 140, 140))


def beam_colors(classes: Sequence[str], seen: NDArray) -> NDArray[np.float32]:
    """RGBA in [0, 1] of beams that met the classes of index `seen (n,)`, `(n, 4)`; walls and nothing are faint."""
    table = [(*(c / 255 for c in color_of(k)), FAINT if k in ("nothing", "wall") else CLEAR) for k in classes]
    return np.asarray(table, np.float32)[seen]


def on_paper(colors: NDArray) -> NDArray[np.float32]:
    """RGBA in [0, 1] as opaque colors, `(n, 3)`, for viewers whose lines cannot be seen through."""
    alpha = colors[:, 3:]
    return np.asarray(colors[:, :3] * alpha + np.array(PAPER) / 255 * (1 - alpha), np.float32)


def color_of(name: str, fallback: int = 0) -> RGB:
    """The color of a class: that of its last word that has one ("sign says red" is red)."""
    for word in reversed(name.replace("_", " ").split()):
        if word in PALETTE:
            return PALETTE[word]
    return OTHERS[fallback % len(OTHERS)]
