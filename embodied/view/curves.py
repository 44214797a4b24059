"""How a policy learns, logged to Rerun as curves."""

from __future__ import annotations

from collections.abc import Mapping

import rerun as rr

from embodied.view.plots import PLOTS, path_of


class Curves:
    """Logs figures of a training; those that no plot shows are left out."""

    def __init__(self, recording: rr.RecordingStream) -> None:
        self._recording = recording
        self._paths: dict[str, str] = {}
        for plot, curves in PLOTS.items():
            for name, color in curves.items():
                self._paths[name] = path_of(plot, name)
                recording.log(self._paths[name], rr.SeriesLines(names=name, colors=[color], widths=2.0), static=True)

    def log(self, time_s: float, steps: int, figures: Mapping[str, float]) -> None:
        """Logs figures after so many steps of the environment."""
        self._recording.set_time("time", duration=time_s)
        self._recording.set_time("steps", sequence=steps)
        for name, path in self._paths.items():
            if name in figures:
                self._recording.log(path, rr.Scalars(float(figures[name])))
