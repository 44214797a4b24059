"""The architecture in one picture, drawn from the imports of the source: packages in layers, arrows downward."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from embodied.errors import OptionError
from embodied_scripts.cli.architecture import Architecture

ROOTS = ("embodied", "embodied_assets", "embodied_envs", "embodied_policies", "embodied_scripts")
NESTED = ("embodied", "embodied_scripts")  # roots whose folders are drawn each on its own
WORDS = "embodied"
BOX, GAP, MARGIN = (196, 58), (26, 62), 28  # pixels: width and height, between boxes, around everything
FILL = {"embodied": "#e8f0fb", "embodied_assets": "#eef5ea", "embodied_envs": "#eef5ea"}
FILL |= {"embodied_policies": "#eef5ea", "embodied_scripts": "#fdf3e3"}


@dataclass
class Package:
    """A package: its lines, the folders that they lie in, and the packages that it imports."""

    name: str
    lines: int
    folders: set[Path]
    imports: set[str]


def draw_architecture(asked: Architecture) -> None:
    """Writes the picture, and says what it shows.

    Raises:
        OptionError: packages import each other in a circle, or a file of another kind was asked for.
    """
    if asked.picture.suffix != ".svg":
        raise OptionError(f"the picture is an .svg, not {asked.picture.suffix or 'a file without a suffix'}")
    found = packages()
    layers = layers_of(found)
    asked.picture.write_text(svg(found, layers), encoding="utf-8")
    arrows = sum(len(one.imports) for one in found.values())
    folders = folder_lines()
    largest = max(folders, key=lambda name: folders[name])
    Console(soft_wrap=True).print(
        f"Wrote {asked.picture}: {len(found)} packages in {len(layers)} layers; {arrows} imports between them, all of "
        f"them downward, no circle. The largest folder is {largest} with {folders[largest]:,} lines.",
        highlight=False,
    )


def packages() -> dict[str, Package]:
    """The folders of source by name, with what they import at run time."""
    found: dict[str, Package] = {}
    for root in ROOTS:
        home = _home_of(root)
        for path in sorted(home.rglob("*.py")):
            name = _package_of(f"{root}.{'.'.join(path.relative_to(home).with_suffix('').parts)}")
            one = found.setdefault(name, Package(name, 0, set(), set()))
            source = path.read_text(encoding="utf-8")
            one.lines += source.count("\n")
            one.folders |= {path.parent} if "\n" in source else set()
            one.imports |= {_package_of(module) for module in _imported(ast.parse(source))} - {name}
    for one in found.values():
        one.imports &= found.keys()
    return found


def folder_lines() -> dict[str, int]:
    """Lines of source in every folder, by its dotted name."""
    lines: dict[str, int] = {}
    for root in ROOTS:
        home = _home_of(root)
        for path in home.rglob("*.py"):
            name = ".".join([root, *path.parent.relative_to(home).parts])
            lines[name] = lines.get(name, 0) + path.read_text(encoding="utf-8").count("\n")
    return lines


@cache
def _home_of(root: str) -> Path:
    spec = find_spec(root)
    if spec is None or spec.origin is None:
        raise OptionError(f"{root} is not installed")
    return Path(spec.origin).parent


def _package_of(module: str) -> str:
    """The folder that a module is drawn as: one right below a root, else the root."""
    root, *rest = module.split(".")
    nested = root in NESTED and rest and (_home_of(root) / rest[0] / "__init__.py").exists()
    return f"{root}.{rest[0]}" if nested else root


def _imported(tree: ast.AST) -> Iterator[str]:
    """Modules that are imported, wherever in the source."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from _imported(node)


def layers_of(found: dict[str, Package]) -> list[list[str]]:
    """Packages in layers, the lowest first: each imports only what lies below.

    Raises:
        OptionError: some import each other in a circle; the message names them.
    """
    layers: list[list[str]] = []
    placed: set[str] = set()
    while len(placed) < len(found):
        layer = sorted(name for name, one in found.items() if name not in placed and one.imports <= placed)
        if not layer:
            raise OptionError(f"packages import each other in a circle: {', '.join(sorted(found.keys() - placed))}")
        layers.append(layer)
        placed |= set(layer)
    return layers


def _needed(found: dict[str, Package]) -> list[tuple[str, str]]:
    """The imports that do not follow from others (the transitive reduction), without those of the words."""
    below: dict[str, set[str]] = {}

    def reached(name: str) -> set[str]:
        if name not in below:
            direct = found[name].imports
            below[name] = direct.union(*(reached(other) for other in direct)) if direct else set()
        return below[name]

    arrows = []
    for name, one in found.items():
        through = set[str]().union(*(reached(other) for other in one.imports)) if one.imports else set()
        arrows += [(name, other) for other in sorted(one.imports - through) if other != WORDS]
    return arrows


def svg(found: dict[str, Package], layers: list[list[str]]) -> str:
    """The picture: what uses lies above what is used; every package may also use the words at the bottom."""
    (width, height), (gap_x, gap_y) = BOX, GAP
    widest = max(map(len, layers))
    total = widest * (width + gap_x) - gap_x + 2 * MARGIN
    tall = len(layers) * (height + gap_y) - gap_y + 2 * MARGIN
    at: dict[str, tuple[float, float]] = {}
    for level, layer in enumerate(layers):
        indent = (total - len(layer) * (width + gap_x) + gap_x) / 2
        for i, name in enumerate(layer):
            at[name] = indent + i * (width + gap_x), tall - MARGIN - height - level * (height + gap_y)
    parts = [_arrow(at[user], at[used]) for user, used in _needed(found)]
    parts += [_box(found[name], *place) for name, place in at.items()]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {tall}" font-family="system-ui, sans-serif">'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#7b8794"/></marker></defs>'
        f'<rect width="{total}" height="{tall}" fill="white"/>{"".join(parts)}</svg>\n'
    )


def _arrow(user: tuple[float, float], used: tuple[float, float]) -> str:
    (width, height), (x0, y0), (x1, y1) = BOX, user, used
    start, end = (x0 + width / 2, y0 + height), (x1 + width / 2, y1)
    bend = max((end[1] - start[1]) / 2, 20)
    path = f"M{start[0]} {start[1]} C{start[0]} {start[1] + bend} {end[0]} {end[1] - bend} {end[0]} {end[1]}"
    return f'<path d="{path}" fill="none" stroke="#7b8794" stroke-width="1.3" marker-end="url(#tip)"/>'


def _box(one: Package, x: float, y: float) -> str:
    (width, height), middle = BOX, x + BOX[0] / 2
    label = escape(one.name.removeprefix("embodied.") if one.name != WORDS else "words (embodied/*.py)")
    size = f"{one.lines:,} lines" + (f" in {len(one.folders)} folders" if len(one.folders) > 1 else "")
    text = f'<text x="{middle}" text-anchor="middle" '
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="7" fill="{FILL[one.name.split(".")[0]]}" '
        f'stroke="#52606d"/>{text}y="{y + 25}" font-size="13" font-weight="600">{label}</text>'
        f'{text}y="{y + 44}" font-size="11" fill="#52606d">{size}</text>'
    )
