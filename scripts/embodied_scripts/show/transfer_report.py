"""A page on a transfer: the robot as it was measured and identified, what was trained on, and how it went there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from embodied.contract import Contract, Range
from embodied.deploy.loop import LoopReport
from embodied.deploy.probe import ProbeReport
from embodied.randomization.spec import Randomization
from embodied.sysid import Fit, Recording
from embodied.world.contract import ranges_of
from embodied_scripts.show.fit_report import AFTER, BAR, BEFORE, MEASURED, POINTS, STYLE, parameter_table, plot


@dataclass(frozen=True)
class Transferred:
    """What a transfer came to.

    Attributes:
        name: of the task; contract: of the policy before.
        before, after: mean absolute error on the motion that was held out, as declared and as found [rad].
        report: of the run on the robot; None where there was none.
    """

    name: str
    contract: Contract
    probed: ProbeReport
    fit: Fit
    before: float
    after: float
    randomization: Randomization
    report: LoopReport | None


def write_transfer_report(folder: Path, found: Transferred) -> Path:
    """Writes `report.html` into the folder of a transfer, and returns where."""
    before, after = (f"<b>{1e3 * error:.2f} mrad</b>" for error in (found.before, found.after))
    parts = [
        f"<!doctype html><meta charset=utf-8><title>Transfer</title><style>{STYLE}</style>",
        f"<h1>{escape(found.name)}: from a robot to a policy for it</h1>",
        f"<h2>Measured</h2>{_probed(found.probed)}",
        f"<h2>Identified</h2><p>Mean absolute error on a motion that was held out: {before} as declared, {after} as "
        "found. <a href=fit.html>All motions</a></p>",
        parameter_table(found.fit),
        f"<h2>Trained under</h2>{_ranges(found.contract.randomized, ranges_of(found.randomization))}",
        _learning(folder / "policy-run" / "metrics.jsonl"),
    ]
    if found.report is not None:
        parts.append(f"<h2>On the robot</h2><p>{escape(str(found.report))}</p>{_run(folder / 'loop.csv')}")
    path = folder / "report.html"
    path.write_text("\n".join(parts), encoding="utf-8")
    return path


def _probed(probed: ProbeReport) -> str:
    rows = ["<table><tr><th>what<th>measured<th><th>promised to the policy</tr>"]
    for f in probed.findings:
        promised = "" if f.promised is None else f"{f.promised[0]:.3g} … {f.promised[1]:.3g}"
        mark = "" if f.fits else " <span class=warn>outside</span>"
        rows.append(
            f"<tr><td>{escape(f.name)}<td class=n>{f.value:.3g} ± {f.spread:.2g}<td>{escape(f.unit)}"
            f"<td>{promised}{mark}</tr>"
        )
    return "".join(rows) + "</table>"


def _ranges(declared: dict[str, Range], fitted: dict[str, Range]) -> str:
    """Ranges of randomization before and after, on one bar each."""
    rows = ["<table><tr><th>parameter<th>as declared<th>as found<th></tr>"]
    for name, new in fitted.items():
        old = declared.get(name)
        ends = [new.low, new.high, *([] if old is None else [old.low, old.high])]
        low, span = min(ends), max(max(ends) - min(ends), 1e-12)
        bars = "".join(
            f"<rect x={BAR * (one.low - low) / span:.1f} y={y} height=6 fill={color} "
            f"width={max(BAR * (one.high - one.low) / span, 1):.1f} />"
            for one, y, color in ((old, 2, BEFORE), (new, 10, AFTER))
            if one is not None
        )
        before = "" if old is None else f"{old.low:.4g} … {old.high:.4g}"
        rows.append(
            f"<tr><td>{escape(name)}<td class=n>{before}<td class=n>{new.low:.4g} … {new.high:.4g}"
            f"<td><svg width={BAR} height=18>{bars}</svg></tr>"
        )
    return "".join(rows) + "</table>"


def _learning(path: Path) -> str:
    """Success while the policy learned."""
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    points = [(row["step"], row["rollout/success_rate"]) for row in rows if "rollout/success_rate" in row]
    if len(points) < 2:
        return ""
    steps, success = np.array(points, float).T
    caption = f"success while it learned (its expert decides), over {steps[-1]:,.0f} steps"
    return f"<figure>{plot(steps, [(AFTER, success)])}<figcaption>{caption}</figcaption></figure>"


def _run(path: Path) -> str:
    """Targets and angles of every joint, as they were logged."""
    log = Recording.load(path)
    time = log.time_s - log.time_s[0]
    some = np.unique(np.linspace(0, len(time) - 1, POINTS).astype(int))
    figures = [f"<p><span style='color:{MEASURED}'>━ read</span> <span style='color:{AFTER}'>━ told</span></p>"]
    for j in range(log.command.shape[1]):
        lines = ((MEASURED, log.signal("angle")[some, j]), (AFTER, log.command[some, j]))
        joint = log.metadata.get("joints", [f"joint {k}" for k in range(log.command.shape[1])])[j]
        figures.append(f"<figure>{plot(time[some], lines)}<figcaption>{escape(str(joint))} [rad]</figcaption></figure>")
    return "".join(figures)
