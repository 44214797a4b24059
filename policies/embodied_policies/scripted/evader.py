"""A hider that keeps out of sight: it knows the room, and of the other robot what it is told or what its camera shows.

Where the other may be is a belief on a grid of places and headings, a Bayes filter: it moves on as a robot that
roams does, is taken away where the camera would show it, and is certain where the camera does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from embodied.layout import Layout
from embodied_policies.scripted.driving import DECISION_S, wrapped
from embodied_policies.scripted.ways import GRID, Plans, Ways

Sight = Literal["everything", "all round", "camera"]
OWN_SPEED, OTHER_SPEED = 0.8, 0.7  # m/s
REACH = 0.5  # m, from which it is caught
SAFE = 2.0  # s, that a screen in between is worth
DEFEAT = 3.0  # s, that being met on the way costs
HASTE = 0.2  # of a second on the way
LIKELY = 12  # places of the other that are considered
HEADINGS = 8
TURNS = 0.03  # probability per decision of another of the neighbouring headings, each
OVERLOOKED = 0.3  # probability per decision that the camera does not tell what it should
FAR = 2.9  # m, that the camera sees
STEP = 0.45  # m, that it looks ahead on its way


@dataclass(frozen=True)
class Scene:
    """Where everything is in n rooms.

    Attributes:
        own, other: poses of the robots, `(n, 3)`: x, y [m], heading [rad].
        screens: `(n, S, 3)`: x, y [m], direction of the face [rad].
        waiting: whether the other does not move yet, `(n,)`.
    """

    own: NDArray
    other: NDArray
    screens: NDArray
    waiting: NDArray[np.bool_]


@dataclass
class Watch:
    """What an evader remembers: the arrangement of its room, `(n,)`, and where the other may be, `(n, HEADINGS, P)`."""

    room: NDArray[np.intp]
    belief: NDArray[np.float64]


class Evader:
    """Goes where the other, wherever it may be, takes long to come and does not look, and turns its head to it.

    Args:
        layout: of its observations; needs `camera/class` and `pan_angle`.
        half: from the middle of the room to its walls [m].
        tell: the scene now. Its own pose and the screens are always used.
        classes: of its camera; the last one is the other robot.
        sees: of the other "everything", or where it is while no screen is between them ("all round"), or while the
            camera shows it ("camera").
    """

    def __init__(
        self,
        layout: Layout,
        half: tuple[float, float],
        tell: Callable[[], Scene],
        classes: int = 3,
        sees: Sight = "everything",
    ) -> None:
        self._view, self._pan = layout.slice("camera/class"), layout.slice("pan_angle")
        self._plans, self._tell, self._classes, self._sees = Plans(half), tell, classes, sees
        self._turns = 2 * math.pi / HEADINGS * np.arange(HEADINGS)
        self._next = _neighbours(self._plans.shape, self._turns)

    def initial(self, n: int, seed: int) -> Watch:
        """Returns what is remembered before a game: nothing."""
        return Watch(np.full(n, -1), np.zeros((n, HEADINGS, len(self._plans.cells))))

    def act(self, carry: Watch, obs: NDArray, first: NDArray) -> tuple[Watch, NDArray]:
        """Returns actions `(n, 3)`: wheels, and head."""
        scene = self._tell()
        fresh = first | (carry.room < 0)
        room = carry.room.copy()
        if fresh.any():
            room[fresh] = self._plans.number(scene.screens[fresh])
        ways = self._plans.ways
        own, other = (ways.entry[room, self._plans.cell(pose[:, :2])] for pose in (scene.own, scene.other))
        screened = ways.screened[room, own]
        seen = fresh | self._seen(obs, screened[np.arange(len(obs)), other])
        belief = self._moved(carry.belief, scene.waiting)
        belief = np.where(seen[:, None, None], self._sure(other, scene.other[:, 2]), belief)
        belief = self._looked(belief, ~seen, screened, scene.own, obs)
        belief /= np.maximum(belief.sum(axis=(1, 2), keepdims=True), 1e-12)
        place = belief.sum(axis=1)
        goal = self._best(ways, room, own, place)
        ahead = np.where(ways.distance[room, own] <= STEP, ways.distance[room, goal], np.inf).argmin(axis=1)
        wheels = _drive(scene.own, self._plans.cells[ahead])
        head = _bearing(scene.own, self._plans.cells[place.argmax(axis=1)]) / (math.pi / 2)
        return Watch(room, belief), np.column_stack([wheels, np.clip(head, -1, 1)]).astype(np.float32)

    def _seen(self, obs: NDArray, screened: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether it knows where the other is now, `(n,)`."""
        if self._sees == "camera":
            return obs[:, self._view].reshape(len(obs), -1, self._classes)[..., -1].any(axis=1)
        return ~screened if self._sees == "all round" else np.ones(len(obs), bool)

    def _moved(self, belief: NDArray, waiting: NDArray) -> NDArray:
        """The belief a decision later: the other drives on, turns now and then, and at walls anywhere."""
        flow = belief * (OTHER_SPEED * DECISION_S / GRID)
        out = self._next < 0
        moved = belief - flow + (flow * out).sum(axis=1, keepdims=True) / HEADINGS
        for k in range(HEADINGS):
            moved[:, k, self._next[k, ~out[k]]] += flow[:, k, ~out[k]]
        moved = (1 - 2 * TURNS) * moved + TURNS * (np.roll(moved, 1, axis=1) + np.roll(moved, -1, axis=1))
        return np.where(waiting[:, None, None], belief, moved)

    def _sure(self, cell: NDArray, heading: NDArray) -> NDArray:
        """The belief of one who knows where the other is."""
        sure = np.zeros((len(cell), HEADINGS, len(self._plans.cells)))
        sure[np.arange(len(sure)), np.rint(heading / self._turns[1]).astype(np.intp) % HEADINGS, cell] = 1
        return sure

    def _looked(self, belief: NDArray, unseen: NDArray, screened: NDArray, own: NDArray, obs: NDArray) -> NDArray:
        """The belief of one who does not see the other: it is hardly where it would be seen."""
        way = self._plans.cells - own[:, None, :2]
        off = wrapped(np.arctan2(way[..., 1], way[..., 0]) - own[:, 2:] - obs[:, self._pan])
        in_view = (np.abs(off) < math.pi / 3) & (np.linalg.norm(way, axis=2) < FAR)
        shown = ~screened & (in_view | (self._sees == "all round"))
        return belief * np.where(unseen[:, None] & shown, OVERLOOKED, 1.0)[:, None]

    def _best(self, ways: Ways, room: NDArray, own: NDArray, place: NDArray) -> NDArray[np.intp]:
        """The cell to go to: out of sight of where the other may be, far from it, and not by a way that it cuts off."""
        likely = np.argpartition(-place, LIKELY, axis=1)[:, :LIKELY]
        weight = np.take_along_axis(place, likely, axis=1)
        needs = ways.distance[room, own]
        comes = np.maximum(ways.distance[room[:, None], likely] - REACH, 0) / OTHER_SPEED
        comes = np.where(np.isfinite(comes), comes, 0.0)
        worth = comes + SAFE * ways.screened[room[:, None], likely] - DEFEAT * (needs[:, None] / OWN_SPEED >= comes)
        worth = np.einsum("nk,nkp->np", weight / weight.sum(axis=1, keepdims=True), worth)
        return (worth - HASTE * needs / OWN_SPEED).argmax(axis=1)


def _neighbours(shape: tuple[int, int], turns: NDArray) -> NDArray[np.intp]:
    """Of each cell the next one in each direction, `(K, P)`; −1 out of the room."""
    x, y = np.divmod(np.arange(shape[0] * shape[1]), shape[1])
    x, y = x + np.rint(np.cos(turns))[:, None].astype(np.intp), y + np.rint(np.sin(turns))[:, None].astype(np.intp)
    inside = (x >= 0) & (x < shape[0]) & (y >= 0) & (y < shape[1])
    return np.where(inside, x * shape[1] + y, -1)


def _bearing(pose: NDArray, goal: NDArray) -> NDArray:
    """From the headings of poses `(n, 3)` to points `(n, 2)` [rad]."""
    way = goal - pose[:, :2]
    return wrapped(np.arctan2(way[:, 1], way[:, 0]) - pose[:, 2])


def _drive(pose: NDArray, goal: NDArray) -> NDArray:
    """Wheel commands `(n, 2)` that drive to points `(n, 2)` as fast as can be, backwards if they are behind."""
    bearing = _bearing(pose, goal)
    behind = np.abs(bearing) > math.pi / 2
    off = np.where(behind, wrapped(bearing + math.pi), bearing)
    speed = np.where(behind, -1, 1) * np.clip(1.6 * np.cos(off) - 0.6, 0, 1)
    turn = np.clip(off, -0.6, 0.6)
    there = np.linalg.norm(goal - pose[:, :2], axis=1) < GRID / 2
    wheels = np.stack([speed - turn, speed + turn], axis=1) * ~there[:, None]
    return wheels / np.maximum(1, np.abs(wheels).max(axis=1, keepdims=True))
