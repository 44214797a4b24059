"""Colours of what can be seen and believed, the same in every view."""

from __future__ import annotations

RGB = tuple[int, int, int]

PALETTE: dict[str, RGB] = {
    "nothing": (226, 229, 234),
    "wall": (142, 152, 168),
    "red": (219, 51, 46),
    "blue": (31, 107, 219),
    "sign": (240, 196, 64),
    "hearsay": (150, 120, 190),
}
OTHERS: tuple[RGB, ...] = ((90, 90, 90), (200, 130, 40), (60, 140, 140))


def colour_of(name: str, fallback: int = 0) -> RGB:
    """The colour of a class: that of its last word that has one ("sign says red" is red)."""
    for word in reversed(name.replace("_", " ").split()):
        if word in PALETTE:
            return PALETTE[word]
    return OTHERS[fallback % len(OTHERS)]
