"""The line of an artifact in Rerun: a graph that grows along the timeline, and what each step was."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import rerun as rr
import rerun.blueprint as rrb

from embodied.view.sink import open_recording

COLORS = {"policy": (59, 130, 246), "folder": (34, 197, 94), "file": (234, 179, 8)}
TIMELINE = "made"
Row = tuple[str, str, str, str | None, str, Sequence[tuple[str, str]]]


def show_lineage(where: str, title: str, rows: Sequence[Row]) -> str | None:
    """Logs each artifact at the time at which it was made.

    Args:
        where: see `open_recording`.
        rows: key, name, kind, time (ISO 8601; None if it is not known), words, and roles and keys of what it was made
            from.

    Returns:
        The page's address, for "web".
    """
    parts = [rrb.GraphView(origin="line", name=title), rrb.TextLogView(origin="log", name="what was made")]
    recording, url = open_recording(where, rrb.Blueprint(rrb.Vertical(*parts, row_shares=[3, 2]), collapse_panels=True))
    known = sorted(((row[3], row) for row in rows if row[3] is not None), key=lambda one: one[0])
    begun = _time(known[0][0]) if known else dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    there = [row for row in rows if row[3] is None]
    _log(recording, begun, there)
    for row in there:
        recording.log("log", rr.TextLog(f"{row[1]}: {row[4]}"))
    for when, row in known:
        there.append(row)
        _log(recording, _time(when), there)
        recording.log("log", rr.TextLog(f"{row[1]}: {row[4]}"))
    recording.flush()
    return url


def _log(recording: rr.RecordingStream, when: dt.datetime, rows: Sequence[Row]) -> None:
    """The graph as it was at a time."""
    recording.set_time(TIMELINE, timestamp=when)
    if not rows:
        return
    nodes = rr.GraphNodes(
        [row[0] for row in rows],
        labels=[row[1] for row in rows],
        colors=[COLORS.get(row[2], (130, 130, 130)) for row in rows],
    )
    edges = [(key, row[0]) for row in rows for _, key in row[5]]
    recording.log("line", nodes)
    if edges:
        recording.log("line", rr.GraphEdges(edges, graph_type="directed"))


def _time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)
