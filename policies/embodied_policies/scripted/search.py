"""BasePolicies of Search: they drive behind the screens and look along the row."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from embodied.layout import Layout
from embodied_policies.scripted.driving import Odometry, commands, towards

BACK = 0.55  # m, how far behind the row it drives
ARRIVED = 0.06  # m
UNDECIDED = -1  # for a place: look along the row
SURE = 4.0  # sum of votes, pixels for minus pixels against, at which the thing in view is known
CENTERED = 0.15  # of half the view
PAN_STEP = 0.25  # of a quarter turn per half view, when it follows what it sees


@dataclass
class _Search:
    pose: NDArray[np.float64]
    point: NDArray[np.intp]  # which waypoint is next
    votes: NDArray[np.float64]  # for the thing in view being what is wanted
    pan: NDArray[np.float64]  # share of a quarter turn
    place: NDArray[np.intp]  # the one to declare, for those who do not look
    generator: np.random.Generator


class RowSeeker:
    """Looks behind screens and declares.

    Args:
        row: where the screens stand, `(K, 2)` [m].
        start: where it stands at first, x and y.
        heuristic: look until what is wanted is seen; else go to one place and declare what is there.
        truth: returns the place of what is wanted, `(n,)`; None to pick one at random.
        directed: looks on until it is told to declare what is at a place (`set_option`).
    """

    def __init__(
        self,
        layout: Layout,
        classes: Sequence[str],
        row: NDArray,
        start: tuple[float, float],
        heuristic: bool = False,
        truth: Callable[[], NDArray] | None = None,
        directed: bool = False,
    ) -> None:
        self._directed = directed
        self._odometry = Odometry(layout)
        self._view, self._classes = layout.slice("camera/class"), len(classes)
        self._wanted, self._other = classes.index("target"), classes.index("decoy")
        self._thing = classes.index("thing")
        self._start = np.array([*start, math.pi / 2])
        self._heuristic, self._truth = heuristic, truth
        y = row[0, 1] + BACK
        gap = (row[0, 0] + row[1, 0]) / 2
        self._x, self._y = row[:, 0], y
        self._entry = np.array([[gap, row[0, 1] - 0.35], [gap, y]])

    def initial(self, n: int, seed: int) -> _Search:
        """Returns the carry before an episode."""
        zero = np.zeros(n)
        none = np.zeros(n, np.intp)
        place = np.full(n, UNDECIDED) if self._directed else none
        return _Search(np.tile(self._start, (n, 1)), none, zero, zero, place, np.random.default_rng(seed))

    @property
    def options(self) -> dict[str, float]:
        """To look behind screens for two seconds, or to declare what is at a place."""
        return {"look": 2.0} | {f"declare {place}": math.inf for place in range(len(self._x))}

    def set_option(self, carry: _Search, which: NDArray[np.intp]) -> _Search:
        """Sets out to look, or for a place, `(n,)`."""
        return replace(carry, place=np.asarray(which) - 1)

    def act(self, carry: _Search, obs: NDArray, first: NDArray) -> tuple[_Search, NDArray]:
        """Returns actions `(n, 4)`: wheels, head, and whether this is it."""
        n = len(obs)
        pose = np.where(first[:, None], self._start, self._odometry.advance(carry.pose, obs))
        point, votes, pan = (np.where(first, 0, a) for a in (carry.point, carry.votes, carry.pan))
        place = np.where(first, self._choose(carry, n), carry.place)
        along = place == UNDECIDED
        goal = self._waypoint(point, place)
        wheels, distance = towards(pose, goal, cruise=0.5)
        point = np.where(distance < ARRIVED, np.minimum(point + 1, len(self._entry) + along), point)
        pixels = obs[:, self._view].reshape(n, -1, self._classes)
        wanted, other = pixels[..., self._wanted], pixels[..., self._other]
        things = wanted + other + pixels[..., self._thing]
        votes = np.maximum(0.7 * votes, 0) + (wanted.sum(axis=1) - other.sum(axis=1))
        looking = point >= len(self._entry)
        found = (votes > SURE) & self._heuristic
        holds = looking & np.where(along, found, distance < ARRIVED)
        center = np.linspace(1, -1, pixels.shape[1])
        shown = wanted if self._heuristic or self._truth is not None else things
        bearing = (shown * center).sum(axis=1) / np.maximum(shown.sum(axis=1), 1)
        side = np.where(np.cos(pose[:, 2]) > 0, -1.0, 1.0)  # the row is on its right when it drives east
        pan = np.where(holds, np.clip(pan + PAN_STEP * bearing, -1, 1), np.where(looking, side, 0.0))
        stuck = np.abs(pan) >= 1  # the head turns no further: the body has to
        spin = np.where(stuck & (np.abs(bearing) > CENTERED), 0.2 * np.sign(bearing), 0.0)
        wheels[holds] = (spin[:, None] * [-1, 1])[holds]
        this = holds & (np.abs(bearing) < CENTERED) & (shown.sum(axis=1) > 0)
        carry = _Search(pose, point, votes, pan, place, carry.generator)
        return carry, commands(wheels, pan, np.where(this, 1.0, -1.0))

    def _waypoint(self, point: NDArray, place: NDArray) -> NDArray:
        """Through the first gap; then along the row from its left end to its right, or to the place that was chosen."""
        goal = self._entry[np.minimum(point, len(self._entry) - 1)].copy()
        beyond = point - len(self._entry)
        ends = np.array([self._x[0] - 0.05, self._x[-1] + 0.05])
        x = np.where(place == UNDECIDED, ends[np.clip(beyond, 0, 1)], self._x[place])
        there = beyond >= 0
        goal[there] = np.column_stack([x, np.full(len(x), self._y)])[there]
        return goal

    def _choose(self, carry: _Search, n: int) -> NDArray:
        if self._truth is not None:
            return np.asarray(self._truth(), np.intp)
        if self._heuristic or self._directed:
            return np.full(n, UNDECIDED)
        return carry.generator.integers(0, len(self._x), n)
