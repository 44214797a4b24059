"""Ways and lines of sight in a room with screens, on a grid; worked out once for every arrangement of the screens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GRID = 0.15  # m
CLEARANCE = 0.13  # m, between the middle of a robot and what it must not touch
HALF_SCREEN = 0.2  # m
THICKNESS = 0.02  # m, half that of a screen
DIAGONAL = 1.5  # grid steps, which are longer than a diagonal one
BEHIND = 10 * GRID  # m, more than any way to the nearest free cell on one's own side of a screen


@dataclass
class Ways:
    """What is known of a room of P cells, or of several: then with one more axis before the others.

    Attributes:
        distance: of the shortest way between cells, `(P, P)` [m]; infinite where there is none.
        screened: whether a screen stands between them, `(P, P)`.
        entry: of each cell the nearest one in which a robot can stand, `(P,)`.
    """

    distance: NDArray[np.float32]
    screened: NDArray[np.bool_]
    entry: NDArray[np.intp]


class Plans:
    """The ways of all arrangements seen so far, in a room that reaches `half (2,)` [m] from its middle.

    Only screens are known; boxes, which can be pushed, are not.

    Attributes:
        cells: where cells are, `(P, 2)` [m].
        shape: how many there are along x and y.
    """

    def __init__(self, half: tuple[float, float]) -> None:
        axes = [GRID * np.arange(-(n := int((reach - CLEARANCE) / GRID + 1e-6)), n + 1) for reach in half]
        self.cells = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)
        self.shape = (len(axes[0]), len(axes[1]))
        self._known: dict[bytes, int] = {}
        self._plans: list[Ways] = []
        self._all: Ways | None = None

    def number(self, screens: NDArray) -> NDArray[np.intp]:
        """Returns which arrangement each of `screens (n, S, 3)` is: x, y [m] and direction of the face [rad].

        In what order they are told does not matter.
        """
        return np.array([self._number(room) for room in screens], np.intp)

    def _number(self, room: NDArray) -> int:
        rounded = np.round(room, 3) + 0.0  # no negative zeros
        key = rounded[np.lexsort(rounded.T)].tobytes()
        if key not in self._known:
            self._known[key] = len(self._plans)
            self._plans.append(self._survey(room))
            self._all = None
        return self._known[key]

    @property
    def ways(self) -> Ways:
        """The ways of all arrangements, by number."""
        if self._all is None:
            columns = ((p.distance, p.screened, p.entry) for p in self._plans)
            self._all = Ways(*(np.stack(column) for column in zip(*columns, strict=True)))
        return self._all

    def cell(self, xy: NDArray) -> NDArray[np.intp]:
        """Returns the cells that points `(n, 2)` lie in, or the nearest ones."""
        x, y = np.clip(np.rint((xy - self.cells[0]) / GRID), 0, np.array(self.shape) - 1).astype(np.intp).T
        return x * self.shape[1] + y

    def _survey(self, room: NDArray) -> Ways:
        """All shortest ways (Floyd 1962) and lines of sight between cells of a room."""
        cells = self.cells
        apart = np.linalg.norm(cells[:, None] - cells, axis=2)
        screened = np.zeros(apart.shape, bool)
        free = np.ones(len(cells), bool)
        for x, y, turn in room:
            half = HALF_SCREEN * np.array([-np.sin(turn), np.cos(turn)])
            middle = np.array([x, y])
            free &= _distance_to(cells, middle, half) > CLEARANCE
            thick = THICKNESS * np.array([np.cos(turn), np.sin(turn)])
            for corner in (half + thick, half - thick):
                screened |= _crosses(cells, middle - corner, middle + corner)
        near = (apart < DIAGONAL * GRID) & free & free[:, None] & ~screened
        distance = np.where(near, apart, np.inf).astype(np.float32)
        for via in np.flatnonzero(free):
            np.minimum(distance, distance[:, via, None] + distance[via], out=distance)
        return Ways(distance, screened, np.where(free, apart + BEHIND * screened, np.inf).argmin(1))


def _distance_to(points: NDArray, middle: NDArray, half: NDArray) -> NDArray:
    """From points `(P, 2)` to a segment that reaches `half` to both sides of its middle, `(P,)`."""
    along = np.clip((points - middle) @ half / (half @ half), -1, 1)
    return np.linalg.norm(points - middle - along[:, None] * half, axis=1)


def _crosses(points: NDArray, start: NDArray, end: NDArray) -> NDArray[np.bool_]:
    """Whether lines between points `(P, 2)` cross a segment, `(P, P)`."""
    side = _side(start, end, points)
    p, q = points[:, None], points[None]
    return (side[:, None] * side[None] < 0) & (_side(p, q, start) * _side(p, q, end) < 0)


def _side(start: NDArray, end: NDArray, point: NDArray) -> NDArray:
    """Positive where a point is to the left of a line."""
    way, to = end - start, point - start
    return way[..., 0] * to[..., 1] - way[..., 1] * to[..., 0]
