"""How large a model would become, told from its file before MuJoCo builds it."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from pathlib import Path

from embodied.errors import ModelError

MOST_PARTS = 100_000  # elements, with all their replicates
MOST_NODES = 1_000_000  # of a flex or a composite
MOST_CELLS = 1 << 26  # of a height field or a texture
DEEPEST = 20  # of files that include files
COUNTS = {"flexcomp": MOST_NODES, "composite": MOST_PARTS}
GRIDS = {"hfield": ("nrow", "ncol"), "texture": ("width", "height")}


def check_extent(path: Path, text: str) -> None:
    """Refuses an MJCF that asks for more than could be simulated.

    Raises:
        ModelError: it names the element.
    """
    parts = _parts(path, text, path, 0)
    if parts > MOST_PARTS:
        raise ModelError(f"{path} has {parts} elements with its replicates, more than {MOST_PARTS}")


def _parts(path: Path, text: str, source: Path, depth: int) -> int:
    """Elements of a file, and of what it includes, with their replicates."""
    try:
        root = ET.fromstring(text)
    except (ET.ParseError, ValueError):  # MuJoCo says what is wrong with it
        return 0
    try:
        return _within(root, path, source, depth)
    except RecursionError:
        raise ModelError(f"{source} is nested too deeply") from None


def _within(element: ET.Element, path: Path, source: Path, depth: int) -> int:
    if element.tag in COUNTS:
        _check(source, element, math.prod(_numbers(element.get("count", "1"))), COUNTS[element.tag])
    if element.tag in GRIDS:
        _check(
            source,
            element,
            math.prod(n for name in GRIDS[element.tag] for n in _numbers(element.get(name, "1"))),
            MOST_CELLS,
        )
    inner = sum(_within(child, path, source, depth) for child in element)
    if element.tag == "include" and depth < DEEPEST:
        file = path.parent / element.get("file", "")
        if file.is_file() and file.stat().st_size < 1 << 26:
            inner += _parts(path, file.read_text(encoding="utf-8-sig", errors="replace"), file, depth + 1)
    times = next(iter(_numbers(element.get("count", "1"))), 1) if element.tag == "replicate" else 1
    return 1 + inner * max(times, 1)


def _check(path: Path, element: ET.Element, size: int, most: int) -> None:
    if size > most:
        name = element.get("name", "")
        raise ModelError(f"{path}: <{element.tag}> {name!r} is of {size} parts, more than {most}")


def _numbers(words: str) -> list[int]:
    """Whole numbers of an attribute, as far as they are such."""
    found = []
    for word in words.split():
        try:
            found.append(abs(int(float(word))))
        except (ValueError, OverflowError):
            continue
    return found
