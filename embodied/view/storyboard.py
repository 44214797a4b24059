"""An episode as one picture: a few moments side by side, with what was believed at each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embodied.errors import MissingExtraError

try:
    from PIL import Image, ImageDraw, ImageFont
except ImportError as error:  # pragma: no cover - depends on the installation
    raise MissingExtraError("pillow", "view") from error

from embodied.view.palette import colour_of

BAR_HEIGHT, MARGIN = 92, 14
INK, PAPER = (44, 50, 60), (250, 251, 252)


@dataclass(frozen=True)
class Moment:
    """A picture `(height, width, 3)`, when it was taken [s], and the belief then, `(k,)`."""

    picture: NDArray[np.uint8]
    time_s: float
    belief: NDArray
    caption: str


def write_storyboard(path: Path, moments: Sequence[Moment], labels: Sequence[str]) -> None:
    """Writes the moments side by side as a PNG; below each, a bar per value of the hidden variable."""
    height, width = moments[0].picture.shape[:2]
    sheet = Image.new("RGB", (len(moments) * (width + MARGIN) + MARGIN, height + BAR_HEIGHT + 2 * MARGIN), PAPER)
    for i, moment in enumerate(moments):
        left = MARGIN + i * (width + MARGIN)
        sheet.paste(Image.fromarray(moment.picture), (left, MARGIN))
        _draw_belief(ImageDraw.Draw(sheet), left, MARGIN + height, width, moment, labels)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True)


def _draw_belief(draw, left: int, top: int, width: int, moment: Moment, labels: Sequence[str]) -> None:
    font = ImageFont.load_default(19)
    draw.text((left, top + 10), f"{moment.time_s:.1f} s   {moment.caption}", fill=INK, font=font)
    start = 70
    for k, (name, p) in enumerate(zip(labels, moment.belief, strict=True)):
        y = top + 42 + 26 * k
        draw.text((left, y - 3), name, fill=INK, font=font)
        draw.rectangle((left + start, y, left + width - 60, y + 16), fill=(232, 235, 240))
        end = left + start + round((width - 60 - start) * float(p))
        draw.rectangle((left + start, y, end, y + 16), fill=colour_of(name, k))
        draw.text((left + width - 52, y - 3), f"{100 * p:3.0f} %", fill=INK, font=font)
