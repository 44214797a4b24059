"""A page that lets a person judge a fit in a minute: estimates with intervals, and what was measured and simulated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embodied.sysid import Fit, Plant, Recording

WIDTH, HEIGHT, POINTS = 420, 150, 400
BAR = 260
INK, MEASURED, BEFORE, AFTER = "#1f2933", "#1f2933", "#c9a227", "#2a7fba"
STYLE = f"""
body {{ font: 15px/1.45 system-ui, sans-serif; color: {INK}; max-width: 1340px; margin: 2em auto; padding: 0 1em }}
table {{ border-collapse: collapse }}
td, th {{ padding: .25em .9em; text-align: left; border-bottom: 1px solid #e4e7eb }}
td.n {{ text-align: right; font-variant-numeric: tabular-nums }} .warn {{ color: #b44d12 }}
figure {{ display: inline-block; margin: .4em }} figcaption {{ font-size: 13px; color: #52606d }}
"""


def write_report(path: Path, plant: Plant, found: Fit, recordings: Sequence[Recording], fitted: int) -> None:
    """Writes the page.

    Args:
        recordings: first those that were fitted to, as many as `fitted`, then those that were held out.
    """
    start = dict(zip(found.names, found.start, strict=True))
    before = {name: start[group] for group, some in zip(found.names, found.targets, strict=True) for name in some}
    both = {name: np.array([before[name], value]) for name, value in found.values.items()}
    simulated = plant.simulate(both, recordings)
    parts = [
        f"<!doctype html><meta charset=utf-8><title>Fit</title><style>{STYLE}</style><h1>Fit</h1>",
        _summary(found),
    ]
    parts += ["<h2>Parameters</h2>", parameter_table(found), _doubts(found)]
    for title, rows in (("Fitted to", range(fitted)), ("Held out", range(fitted, len(recordings)))):
        if rows:
            parts.append(f"<h2>{title}</h2>{_legend()}")
            parts += [_recording(plant, recordings[r], simulated[r], r) for r in rows]
    path.write_text("\n".join(parts), encoding="utf-8")


def _summary(found: Fit) -> str:
    before, after = found.errors.mean(axis=(0, 2))
    starts = ", ".join(f"{cost:.4g}" for cost in found.starts)
    return (
        f"<p>Mean absolute error <b>{before:.4g}</b> before and <b>{after:.4g}</b> after, over {len(found.errors)} "
        f"recordings. Searches from {len(found.starts)} places ended at root mean square errors of {starts}.</p>"
    )


def parameter_table(found: Fit) -> str:
    rows = ["<table><tr><th>parameter<th>estimate<th>95 % interval<th>within what was allowed<th></tr>"]
    each = zip(found.names, found.estimate, found.interval, found.start, found.low, found.high, strict=True)
    for name, value, (low, high), start, bottom, top in each:
        at = [BAR * (x - bottom) / (top - bottom) for x in (low, high, value, start)]
        bar = (
            f"<svg width={BAR + 8} height=18><rect x=0 y=8 width={BAR} height=2 fill=#e4e7eb />"
            f"<rect x={at[0]:.1f} y=5 width={max(at[1] - at[0], 1):.1f} height=8 fill={AFTER} opacity=.35 />"
            f"<circle cx={at[2]:.1f} cy=9 r=4 fill={AFTER} />"
            f"<rect x={at[3] - 1:.1f} y=2 width=2 height=14 fill={BEFORE} />"
            "</svg>"
        )
        notes = ["at its bound"] * (name in found.at_bound) + ["hardly determined"] * (name in found.vague)
        rows.append(
            f"<tr><td>{escape(name)}<td class=n>{value:.5g}<td class=n>{low:.4g} … {high:.4g}<td>{bar}"
            f"<td class=warn>{', '.join(notes)}</tr>"
        )
    return "".join(rows) + "</table>"


def _doubts(found: Fit) -> str:
    pairs = [f"{escape(one)} and {escape(other)} ({r:+.3f})" for one, other, r in found.alike]
    return f"<p class=warn>Not told apart by these recordings: {'; '.join(pairs)}.</p>" if pairs else ""


def _legend() -> str:
    marks = ((MEASURED, "measured"), (BEFORE, "before"), (AFTER, "after"))
    return "<p>" + " ".join(f"<span style='color:{color}'>━ {name}</span>" for color, name in marks) + "</p>"


def _recording(plant: Plant, recording: Recording, simulated: NDArray, number: int) -> str:
    measured = plant.measured(recording)
    time = recording.time_s - recording.time_s[0]
    some = np.unique(np.linspace(0, len(time) - 1, POINTS).astype(int))
    title = str(recording.metadata.get("name", recording.metadata.get("trajectory", f"recording {number + 1}")))
    figures = []
    for j, column in enumerate(plant.columns):
        lines = ((MEASURED, measured[some, j]), (BEFORE, simulated[0][some, j]), (AFTER, simulated[1][some, j]))
        error = np.nanmean(np.abs(simulated[1][:, j] - measured[:, j]))
        caption = f"{escape(title)} · {escape(column)} · {time[-1]:.3g} s · error {error:.4f}"
        figures.append(f"<figure>{plot(time[some], lines)}<figcaption>{caption}</figcaption></figure>")
    return "".join(figures)


def plot(time: NDArray, lines: Iterable[tuple[str, NDArray]]) -> str:
    lines = list(lines)
    values = np.concatenate([line for _, line in lines])
    low, high = np.nanmin(values), np.nanmax(values)
    span = max(float(high - low), 1e-9)
    x = WIDTH * (time - time[0]) / max(float(time[-1] - time[0]), 1e-9)
    polylines = []
    for color, line in lines:
        known = np.isfinite(line)
        y = HEIGHT - (HEIGHT - 6) * (line - low) / span - 3
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x[known], y[known], strict=True))
        polylines.append(f"<polyline points='{points}' fill=none stroke={color} stroke-width=1.3 />")
    scale = f"<text x=3 y=12 font-size=11>{high:.3g}</text><text x=3 y={HEIGHT - 4} font-size=11>{low:.3g}</text>"
    return f"<svg width={WIDTH} height={HEIGHT} style='background:#f8f9fb'>{''.join(polylines)}{scale}</svg>"
