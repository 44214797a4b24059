"""What a person sees first: the world, what is sensed, what is believed, what is done, how it is learned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from embodied.extras import advice
from embodied.view.frames import Player
from embodied.view.palette import PAPER
from embodied.view.plots import PLOTS, origin_of

with advice():
    import rerun.blueprint as rrb

Shared = tuple[rrb.View | rrb.Container, float]  # a view or tabs, and their share of the height

RECENT_S = 60.0  # how far back traces go while a policy learns
UNIT, SIGNED = (0.0, 1.0), (-1.1, 1.1)


def overview(
    title: str, players: Sequence[Player], scene: bool, beliefs: bool, attention: bool, curves: bool
) -> rrb.Blueprint:
    """One world: its scene in the middle, the learner's mind beside it, the other player and the curves if there are.

    Args:
        scene, beliefs, attention, curves: whether these will be logged.
    """
    recent = RECENT_S if curves else None
    world = rrb.Vertical(
        *[_space("world", title, (0.0, -2.0, 2.5), (0.0, 0.05, 0.0))] * scene,
        rrb.TextLogView(origin="events", name="Events"),
        row_shares=[4, 1] if scene else [1],
    )
    mind = [
        (_trace("belief", "Belief", UNIT, recent), 2.0),
        (_trace("entropy", "Entropy of the beliefs [bits]", None, recent), 1.4),
    ]
    looks_back = [(rrb.Spatial2DView(origin="attention", name="Attention: heads × decisions so far"), 1.5)]
    earned = [(_trace("reward", "Return", None, recent), 1.3)]
    own = [*_seen_and_done(players[0], recent), *mind * beliefs, *looks_back * attention, *earned]
    columns = [_stacked(_seen_and_done(player, recent)) for player in players[1:]]
    columns += [world, _stacked(own)]
    shares = [1.6] * len(players[1:]) + [3.0, 2.0]
    if curves:
        columns.append(rrb.Vertical(*(_trace(origin_of(plot), plot.capitalize()) for plot in PLOTS)))
        shares.append(1.6)
    return rrb.Blueprint(rrb.Horizontal(*columns, column_shares=shares), collapse_panels=True)


def many_worlds(title: str, width: float) -> rrb.Blueprint:
    """Worlds side by side on a square of `width` [m], events below, and how often each outcome was met beside."""
    space = _space("worlds", title, (0.0, -0.75 * width, 0.85 * width), (0.0, -0.05 * width, 0.0))
    return rrb.Blueprint(
        rrb.Horizontal(
            space,
            rrb.Vertical(
                _trace("outcomes", "Episodes, by how they ended"),
                _trace("returns", "Mean return of the episodes that ended"),
                rrb.TextLogView(origin="events", name="Events"),
            ),
            column_shares=[3, 1],
        ),
        collapse_panels=True,
    )


def bare_model(title: str, center: NDArray, extent: float, traces: Sequence[str]) -> rrb.Blueprint:
    """Any model on the left, seen from where all of it fits; its traces on the right.

    Args:
        center: `(3,)` [m], of what is looked at.
        extent: its size [m].
        traces: which of joints, commands and sensors there are.
    """
    space = _space("world", title, tuple(center + extent * np.array([0.9, -1.3, 0.8])), tuple(center))
    views = [_trace(kind, kind.capitalize()) for kind in traces]
    if not views:
        return rrb.Blueprint(space, collapse_panels=True)
    return rrb.Blueprint(rrb.Horizontal(space, rrb.Vertical(*views), column_shares=[3, 2]), collapse_panels=True)


def real_robot(
    title: str, center: NDArray, extent: float, readings: Sequence[str], cameras: Sequence[str], believes: bool
) -> rrb.Blueprint:
    """A robot on the left, with what it sees; beside it what is believed, angles and targets, and its other readings.

    Args:
        center: `(3,)` [m], of what is looked at; extent: its size [m].
    """
    space = _space("world", title, tuple(center + extent * np.array([0.9, -1.3, 0.8])), tuple(center))
    left: list[Shared] = [(space, 4.0)]
    left += [(rrb.Spatial2DView(origin=f"pictures/{name}", name=name), 2.0) for name in cameras]
    left.append((rrb.TextLogView(origin="events", name="Events"), 1.0))
    traces = [_trace(f"readings/{name}", name.capitalize(), None, RECENT_S) for name in readings]
    right: list[Shared] = [(_trace("angles", "Angles: read and told [rad]", None, RECENT_S), 2.0)]
    if believes:
        right.insert(0, (_trace("belief", "Belief", UNIT, RECENT_S), 1.5))
    if traces:
        right.append((rrb.Tabs(*traces), 1.5))
    columns = rrb.Horizontal(_stacked(left), _stacked(right), column_shares=[3, 2])
    return rrb.Blueprint(columns, collapse_panels=True)


def _seen_and_done(player: Player, recent_s: float | None) -> list[Shared]:
    """The cameras of a player, and its actions and the traces of its sensors, one behind the other."""
    who = f"{player.name}: " if player.name else ""
    camera = rrb.Spatial2DView(origin=player.path("camera"), name=f"{who}class and nearness".capitalize())
    pictures = [
        (rrb.Spatial2DView(origin=player.path(f"pictures/{picture.name}"), name=f"{who}{picture.name}"), 2.0)
        for picture in player.pictures
    ]
    actions = _trace(player.path("actions"), f"{who}actions".capitalize(), SIGNED, recent_s)
    sensors = _trace(player.path("sensors"), f"{who}sensors".capitalize(), None, recent_s)
    traces = [*[actions] * bool(player.actions), *[sensors] * bool(player.traces)]
    return [*[(camera, 1.0)] * bool(player.classes), *pictures, *[(rrb.Tabs(*traces), 1.7)] * bool(traces)]


def _stacked(views: Sequence[Shared]) -> rrb.Vertical:
    return rrb.Vertical(*(view for view, _ in views), row_shares=[share for _, share in views])


def _space(origin: str, title: str, eye: tuple, target: tuple) -> rrb.Spatial3DView:
    return rrb.Spatial3DView(
        origin=origin,
        name=title,
        background=list(PAPER),
        line_grid=rrb.LineGrid3D(visible=False),
        eye_controls=rrb.EyeControls3D(position=eye, look_target=target, eye_up=(0.0, 0.0, 1.0)),
    )


def _trace(
    origin: str, name: str, bounds: tuple[float, float] | None = None, recent_s: float | None = None
) -> rrb.TimeSeriesView:
    axis = None if bounds is None else rrb.ScalarAxis(range=bounds, zoom_lock=True)
    shown = None if recent_s is None else [_last(recent_s)]
    return rrb.TimeSeriesView(origin=origin, name=name, axis_y=axis, time_ranges=shown)


def _last(seconds: float) -> rrb.VisibleTimeRange:
    return rrb.VisibleTimeRange(
        "time",
        start=rrb.TimeRangeBoundary.cursor_relative(seconds=-seconds),
        end=rrb.TimeRangeBoundary.cursor_relative(),
    )
