"""Many worlds side by side in one scene, with the tally of how their episodes end."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import mujoco
import numpy as np
import rerun as rr

from embodied.view.blueprint import many_worlds
from embodied.view.palette import PAPER
from embodied.view.scene import Scene
from embodied.view.sink import close_recording, open_recording

COLORS = {"success": (60, 160, 90), "failure": (219, 51, 46), "a draw": (142, 152, 168)}
SPACING = 1.1  # of worlds, in their own size
NEAR, DROP = 5.0, 0.1  # m: what is deeper down waits out of sight; how far below the worlds the table is


class Grid:
    """Worlds of one task, live in a viewer, in the browser, or into a file.

    Args:
        where: as for `open_recording`.
        models: one per world; what looks different from world to world does so here.
        size: of a world [m].

    Raises:
        OptionError: `where` is unknown.
    """

    def __init__(self, where: str, models: Sequence[mujoco.MjModel], size: float, title: str) -> None:
        columns = math.ceil(math.sqrt(len(models)))
        step = SPACING * size
        self._recording, self.url = open_recording(where, many_worlds(title, columns * step))
        self._scenes, self._size = [], size
        self._tallies = [Counter[str]() for _ in models]
        self._ended: list[float] = []
        for i, model in enumerate(models):
            row, column = divmod(i, columns)
            middle = (columns - 1) / 2
            place = step * np.array([column - middle, middle - row, 0.0])
            self._recording.log(f"worlds/{i}", rr.Transform3D(translation=place), static=True)
            self._scenes.append(Scene(model, self._recording, f"worlds/{i}/world", cameras=False))
        self._lay_table(columns * step)
        for name, color in COLORS.items():
            line = rr.SeriesLines(names=name, colors=[color], widths=2.0)
            self._recording.log(_path(name), line, static=True)

    def _lay_table(self, width: float) -> None:
        """What worlds stand on: it hides the things that wait below them."""
        table = rr.Boxes3D(
            centers=[(0.0, 0.0, -DROP)], half_sizes=[(width, width, DROP / 4)], colors=[PAPER], fill_mode="solid"
        )
        self._recording.log("worlds/table", table, static=True)

    def step(self, time_s: float, worlds: Sequence[mujoco.MjData]) -> None:
        """Logs where everything is; `worlds` are current."""
        self._recording.set_time("time", duration=time_s)
        for scene, data in zip(self._scenes, worlds, strict=True):
            scene.log(data)

    def ended(self, world: int, outcome: str, total: float) -> None:
        """Logs that an episode ended in a world, at the time of the last step."""
        self._tallies[world][outcome] += 1
        self._ended.append(total)
        color = COLORS.get(outcome, COLORS["a draw"])
        text = ", ".join(f"{count} {name}" for name, count in self._tallies[world].items())
        above = rr.Points3D([(0.0, 0.0, 0.35 * self._size)], colors=[color], radii=0.02 * self._size, labels=[text])
        self._recording.log(f"worlds/{world}/outcome", above)
        self._recording.log("events", rr.TextLog(f"world {world}: {outcome}, return {total:+.2f}"))
        for name in COLORS:
            self._recording.log(_path(name), rr.Scalars(float(sum(tally[name] for tally in self._tallies))))
        self._recording.log("returns/mean", rr.Scalars(float(np.mean(self._ended))))

    def close(self) -> None:
        """Writes out what is still buffered; gives up on a viewer that has gone."""
        close_recording(self._recording)


def width_of(model: mujoco.MjModel, data: mujoco.MjData) -> float:
    """How wide what stands in a world is, beyond its planes and what waits out of sight [m]."""
    shown = (model.geom_type != mujoco.mjtGeom.mjGEOM_PLANE) & (np.abs(data.geom_xpos[:, 2]) < NEAR)
    if not shown.any():
        return 2 * float(model.stat.extent)
    R = data.geom_xmat[shown].reshape(-1, 3, 3)
    center, half = model.geom_aabb[shown, :3], model.geom_aabb[shown, 3:]
    middle = data.geom_xpos[shown] + np.einsum("nij,nj->ni", R, center)
    reach = np.abs(middle) + np.einsum("nij,nj->ni", np.abs(R), half)
    return float(2 * reach[:, :2].max())


def _path(outcome: str) -> str:
    return f"outcomes/{outcome.replace(' ', '_')}"
