"""The line of an artifact as a picture: on a page, and over time in Rerun."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from html import escape
from pathlib import Path

from rich.console import Console

from embodied.extras import advice
from embodied.lineage.content import name_of
from embodied.lineage.line import Line
from embodied.lineage.record import Record
from embodied_scripts.cli.lineage import Graph
from embodied_scripts.lineage.artifacts import line_at

PAGE = Path("lineage.html")
WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 250, 96, 46, 64, 16
COLORS = {"policy": "#dbeafe", "folder": "#dcfce7", "file": "#fef3c7"}
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1f2933; max-width: 1300px; margin: 2em auto; padding: 0 1em }
svg { max-width: 100%; height: auto } .role { font-size: 11px; fill: #52606d } .name { font-weight: 600 }
svg text { font: 12px system-ui, sans-serif; fill: #1f2933 } svg text.dim { fill: #52606d; font-size: 11px }
svg text.name { font-size: 14px; font-weight: 600 } details { margin: .4em 0 }
pre { background: #f5f7fa; padding: .6em }
table { border-collapse: collapse } td, th { padding: .25em .9em; text-align: left; border-bottom: 1px solid #e4e7eb }
"""


@dataclass
class Node:
    """An artifact in the picture.

    Attributes:
        lines: what is written in its box; depth: how many steps it is away from the artifact that is asked for.
    """

    key: str
    name: str
    kind: str
    lines: list[str]
    record: Record | None = None
    depth: int = 0
    below: list[tuple[str, str]] = field(default_factory=list)  # role and key of what it was made from


def draw(asked: Graph) -> None:
    """Writes the page, or opens the view."""
    path, line = line_at(asked.artifact)
    console = Console(soft_wrap=True)
    if asked.html is not None or asked.view is None:
        page = asked.html or PAGE
        page.write_text(page_of(name_of(path), line), encoding="utf-8")
        console.print(f"Wrote {page}", markup=False, highlight=False)
    if asked.view is not None:
        with advice():
            from embodied.view.lineage_stream import show_lineage
        nodes = nodes_of(name_of(path), line)
        rows = [(n.key, n.name, n.kind, _finished(n), "\n".join(n.lines), n.below) for n in nodes.values()]
        url = show_lineage(asked.view, name_of(path), rows)
        if url:
            console.print(f"Open {url}", markup=False, highlight=False)


def page_of(title: str, line: Line) -> str:
    """A page without scripts, that needs nothing else."""
    nodes = nodes_of(title, line)
    parts = [f"<!doctype html><meta charset=utf-8><title>Lineage of {escape(title)}</title><style>{STYLE}</style>"]
    parts += [f"<h1>Lineage of {escape(title)}</h1>", _picture(nodes), _measured(line), "<h2>Records</h2>"]
    for node in nodes.values():
        if node.record is not None:
            parts.append(_details(node, node.record))
    return "\n".join(parts)


def nodes_of(title: str, line: Line) -> dict[str, Node]:
    """The artifacts of a line, the one that is asked for first, each as far from it as its longest way."""
    nodes = {line.record.id: _node(line.record, title)}
    _add_parents(nodes, line, line.record)
    for node in _children_first(nodes):
        for _, key in node.below:
            nodes[key].depth = max(nodes[key].depth, node.depth + 1)
    return nodes


def _add_parents(nodes: dict[str, Node], line: Line, record: Record) -> None:
    """Adds what something was made from, each once."""
    for parent, its_record in line.parents_of(record):
        key = its_record.id if its_record is not None else parent.digest.sha256
        nodes[record.id].below.append((parent.role, key))
        if key in nodes:
            continue
        if its_record is None:
            words = ["nothing is recorded of its origin", parent.digest.sha256[:12]]
            nodes[key] = Node(key, parent.name, parent.kind, words)
        else:
            nodes[key] = _node(its_record, parent.name)
            _add_parents(nodes, line, its_record)


def _children_first(nodes: dict[str, Node]) -> list[Node]:
    used = {key: {below for _, below in node.below} for key, node in nodes.items()}
    return [nodes[key] for key in reversed([*TopologicalSorter(used).static_order()])]


def _node(record: Record, name: str) -> Node:
    did = record.origin.activity
    seeds = f", seed {', '.join(map(str, did.seeds))}" if did.seeds else ""
    where = str(did.environment.get("id", "")).removeprefix("embodied/")
    code = ""
    if did.code is not None:
        code = "code " + (did.code.revision or did.code.sources)[:12] + (" with changes" if did.code.dirty else "")
    when = (did.finished or "").replace("T", " ").removesuffix("Z")
    told = [f"{did.kind} {where}".strip() + seeds, f"{did.agent}, {when}", code or record.sha256[:12]]
    return Node(record.id, name, record.origin.kind, told, record)


def _finished(node: Node) -> str | None:
    return None if node.record is None else node.record.origin.activity.finished


def _placed(nodes: dict[str, Node]) -> Iterator[tuple[Node, float, float]]:
    """Nodes with the upper left corners of their boxes: what was made from others stands below them."""
    layers: dict[int, list[Node]] = {}
    for node in nodes.values():
        layers.setdefault(node.depth, []).append(node)
    widest = max(map(len, layers.values()))
    deepest = max(layers)
    for depth, layer in layers.items():
        left = MARGIN + (widest - len(layer)) * (WIDTH + GAP_X) / 2
        for i, node in enumerate(layer):
            yield node, left + i * (WIDTH + GAP_X), MARGIN + (deepest - depth) * (HEIGHT + GAP_Y)


def _picture(nodes: dict[str, Node]) -> str:
    placed = {node.key: (x, y) for node, x, y in _placed(nodes)}
    wide = max(x for x, _ in placed.values()) + WIDTH + MARGIN
    high = max(y for _, y in placed.values()) + HEIGHT + MARGIN
    parts = [f'<svg viewBox="0 0 {wide:g} {high:g}" width="{wide:g}" role="img">']
    for node in nodes.values():
        for i, (role, key) in enumerate(node.below):
            parts.append(_arrow(placed[key], placed[node.key], role, (i + 1) / (len(node.below) + 1)))
    for node in nodes.values():
        parts.append(_box(node, *placed[node.key]))
    return "".join([*parts, "</svg>"])


def _arrow(above: tuple[float, float], below: tuple[float, float], role: str, share: float) -> str:
    x0, y0, x1, y1 = above[0] + WIDTH / 2, above[1] + HEIGHT, below[0] + WIDTH * share, below[1]
    bend = (y0 + y1) / 2
    curve = f"M{x0:g},{y0:g} C{x0:g},{bend:g} {x1:g},{bend:g} {x1:g},{y1 - 5:g}"
    head = f"M{x1 - 4:g},{y1 - 7:g} L{x1:g},{y1:g} L{x1 + 4:g},{y1 - 7:g} Z"
    label = f'<text class="dim" x="{(x0 + x1) / 2 + 6:g}" y="{bend + 4:g}">{escape(role)}</text>'
    return f'<path d="{curve}" fill="none" stroke="#829ab1"/><path d="{head}" fill="#829ab1"/>{label}'


def _box(node: Node, x: float, y: float) -> str:
    dash = "" if node.record is not None else ' stroke-dasharray="4 3"'
    shape = f'<rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="8" fill="{COLORS.get(node.kind, "#fff")}"'
    texts = [f'<text class="name" x="{x + 12:g}" y="{y + 24:g}">{escape(_cut(node.name, 30))}</text>']
    for i, text in enumerate(node.lines):
        texts.append(f'<text class="dim" x="{x + 12:g}" y="{y + 44 + 17 * i:g}">{escape(_cut(text, 40))}</text>')
    return f'{shape} stroke="#829ab1"{dash}/>{"".join(texts)}'


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _measured(line: Line) -> str:
    rows = [
        f"<tr><td>{escape(one.result.activity.kind)}<td>{escape(name)}<td>{value:.4g}"
        + (f" ± {one.result.errors[name]:.2g}" if name in one.result.errors else "")
        + f"<td>{escape(str(one.result.activity.settings))}, seeds {list(one.result.activity.seeds)}</tr>"
        for one in line.measurements
        for name, value in one.result.values.items()
    ]
    if not rows:
        return ""
    head = "<tr><th>activity<th>measured<th>value<th>conditions</tr>"
    return f"<h2>Measurements</h2><table>{head}{''.join(rows)}</table>"


def _details(node: Node, record: Record) -> str:
    did = record.origin.activity
    told = [
        ("content (SHA-256)", record.sha256), ("record (SHA-256)", record.id), ("activity", did.kind),
        ("by", did.agent), ("from", did.started or "–"), ("until", did.finished or "–"),
        ("seeds", ", ".join(map(str, did.seeds)) or "–"),
        ("machine", "–" if did.hardware is None else f"{did.hardware.processor}, {did.hardware.cores} cores"),
        ("versions", ", ".join(f"{k} {v}" for k, v in did.versions.items()) or "–"),
        ("environment", str(did.environment or "–")), ("note", record.origin.note or "–"),
    ]  # fmt: skip
    rows = "".join(f"<tr><td>{escape(name)}<td>{escape(text)}</tr>" for name, text in told)
    settings = "\n".join(f"{name} = {value!r}" for name, value in did.settings.items())
    more = f"<pre>{escape(settings)}</pre>" if settings else ""
    return f"<details><summary>{escape(node.name)}</summary><table>{rows}</table>{more}</details>"
