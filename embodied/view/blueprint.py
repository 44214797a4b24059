"""What a person sees first: the world, what is sensed, what is believed, what is done."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from embodied.errors import MissingExtraError

try:
    import rerun.blueprint as rrb
except ImportError as error:  # pragma: no cover - depends on the installation
    raise MissingExtraError("rerun", "view") from error


def overview(title: str, attention: bool = False) -> rrb.Blueprint:
    """One world on the left, events below it; line camera, beliefs, attention, actions and return on the right."""
    looked_at = [rrb.Spatial2DView(origin="attention", name="Attention: heads × decisions so far")] * attention
    eye = rrb.EyeControls3D(position=(0.0, -2.0, 2.5), look_target=(0.0, 0.05, 0.0), eye_up=(0.0, 0.0, 1.0))
    return rrb.Blueprint(
        rrb.Horizontal(
            rrb.Vertical(
                rrb.Spatial3DView(
                    origin="world",
                    name=title,
                    background=[236, 240, 245],
                    line_grid=rrb.LineGrid3D(visible=False),
                    eye_controls=eye,
                ),
                rrb.TextLogView(origin="events", name="Events"),
                row_shares=[4, 1],
            ),
            rrb.Vertical(
                rrb.Spatial2DView(origin="camera", name="Line camera: class above, nearness below"),
                rrb.TimeSeriesView(
                    origin="belief", name="Belief", axis_y=rrb.ScalarAxis(range=(0.0, 1.0), zoom_lock=True)
                ),
                rrb.TimeSeriesView(origin="entropy", name="Entropy of the beliefs [bits]"),
                *looked_at,
                rrb.TimeSeriesView(
                    origin="actions", name="Actions", axis_y=rrb.ScalarAxis(range=(-1.1, 1.1), zoom_lock=True)
                ),
                rrb.TimeSeriesView(origin="reward", name="Return"),
                row_shares=[1.2, 2, 1.4, *[1.5] * attention, 1.7, 1.3],
            ),
            column_shares=[3, 2],
        ),
        collapse_panels=True,
    )


def bare_model(title: str, centre: NDArray, extent: float, traces: Sequence[str]) -> rrb.Blueprint:
    """Any model on the left, seen from where all of it fits; its traces on the right.

    Args:
        centre: `(3,)` [m], of what is looked at.
        extent: its size [m].
        traces: which of joints, commands and sensors there are.
    """
    eye = rrb.EyeControls3D(
        position=tuple(centre + extent * np.array([0.9, -1.3, 0.8])),
        look_target=tuple(centre),
        eye_up=(0.0, 0.0, 1.0),
    )
    space = rrb.Spatial3DView(
        origin="world",
        name=title,
        background=[236, 240, 245],
        line_grid=rrb.LineGrid3D(visible=False),
        eye_controls=eye,
    )
    views = [rrb.TimeSeriesView(origin=kind, name=kind.capitalize()) for kind in traces]
    if not views:
        return rrb.Blueprint(space, collapse_panels=True)
    return rrb.Blueprint(rrb.Horizontal(space, rrb.Vertical(*views), column_shares=[3, 2]), collapse_panels=True)
