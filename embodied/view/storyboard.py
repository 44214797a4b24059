"""An episode as a film, or as one picture: moments, with what was believed at each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from embodied.errors import RenderingError
from embodied.extras import advice

with advice():
    from PIL import Image, ImageDraw, ImageFont

from embodied.view.palette import color_of

HEAD, BAR, MARGIN = 44, 26, 14  # pixels
INK, PAPER = (44, 50, 60), (250, 251, 252)


@dataclass(frozen=True)
class Frame:
    """A picture `(height, width, 3)`, when it was taken [s], and the belief then, `(k,)`, if there was one."""

    picture: NDArray[np.uint8]
    time_s: float
    belief: NDArray | None
    caption: str
    last: bool = False


def write_storyboard(path: Path, moments: Sequence[Frame], labels: Sequence[str]) -> None:
    """Writes the moments side by side as a PNG; below each, a bar per value of the hidden variable."""
    frames = [frame(moment, labels) for moment in moments]
    width, height = frames[0].size
    sheet = Image.new("RGB", (len(frames) * (width + MARGIN) + MARGIN, height + 2 * MARGIN), PAPER)
    for i, one in enumerate(frames):
        sheet.paste(one, (MARGIN + i * (width + MARGIN), MARGIN))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True)


def write_film(path: Path, moments: Iterable[Frame], labels: Sequence[str], hertz: float) -> None:
    """Writes the moments one after the other, so many in a second, as MP4 or, where the name ends so, as GIF.

    Raises:
        RenderingError: this machine's OpenCV writes no MP4.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = (frame(moment, labels) for moment in moments)
    unfinished = path.with_name(f".unfinished.{path.name}")
    try:
        (_write_gif if path.suffix.lower() == ".gif" else _write_mp4)(unfinished, frames, hertz)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _write_gif(path: Path, frames: Iterator[Image.Image], hertz: float) -> None:
    first = next(frames)
    first.save(path, save_all=True, append_images=frames, duration=round(1000 / hertz), loop=0)


def _write_mp4(path: Path, frames: Iterator[Image.Image], hertz: float) -> None:
    first = next(frames)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), hertz, first.size)
    if not writer.isOpened():
        raise RenderingError("OpenCV writes no MP4 on this machine; name a .gif")
    try:
        for one in chain([first], frames):
            writer.write(cv2.cvtColor(np.asarray(one), cv2.COLOR_RGB2BGR))
    finally:
        writer.release()


def frame(moment: Frame, labels: Sequence[str]) -> Image.Image:
    """A moment's picture and, below it, when it was, what is said of it, and a bar per value of the hidden variable."""
    height, width = moment.picture.shape[:2]
    bars = 0 if moment.belief is None else len(labels)
    tall = height + HEAD + BAR * bars
    sheet = Image.new("RGB", (width + width % 2, tall + tall % 2), PAPER)  # video wants even sizes
    sheet.paste(Image.fromarray(moment.picture), (0, 0))
    _draw_belief(ImageDraw.Draw(sheet), height, width, moment, labels)
    return sheet


def _draw_belief(draw: ImageDraw.ImageDraw, top: int, width: int, moment: Frame, labels: Sequence[str]) -> None:
    font = ImageFont.load_default(max(9, min(BAR - 4, width // 25)))
    draw.text((8, top + HEAD // 2), f"{moment.time_s:.1f} s   {moment.caption}", fill=INK, font=font, anchor="lm")
    if moment.belief is None:
        return
    start = 18 + max(font.getlength(name) for name in labels)
    end = width - font.getlength("100 %") - 18
    for k, (name, p) in enumerate(zip(labels, moment.belief, strict=True)):
        y = top + HEAD + BAR * k
        middle = y + 8
        draw.text((8, middle), name, fill=INK, font=font, anchor="lm")
        draw.rectangle((start, y, end, y + 16), fill=(232, 235, 240))
        draw.rectangle((start, y, start + (end - start) * float(p), y + 16), fill=color_of(name, k))
        draw.text((width - 8, middle), f"{100 * p:.0f} %", fill=INK, font=font, anchor="rm")
