"""A hider that keeps out of sight: it knows the screens, and of the other robot what it is given or its camera shows.

Where the other may be is a belief on a grid of places and headings, a Bayes filter: it moves on as a robot that
roams does, is taken away where the camera would show it, and is certain where the camera does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from embodied.layout import Layout
from embodied_policies.scripted.driving import DECISION_S, bearing, commands, wrapped
from embodied_policies.scripted.ways import DIAGONAL, GRID, Plans, Ways

Sight = Literal["everything", "all round", "camera"]
OWN_SPEED, OTHER_SPEED = 0.8, 0.7  # m/s
REACH = 0.5  # m, from which it is caught
SAFE = 2.0  # s, that a screen in between is worth
DEFEAT = 3.0  # s, that coming too late is worth less
HASTE = 0.2  # s, that a second on the way costs: of two good places the nearer one
NEVER = 10.0  # s, in place of a way that does not end
LIKELY = 12  # places of the other that are considered
HEADINGS = 8
TURNS = 0.03  # probability per decision of another of the neighboring headings, each
OVERLOOKED = 0.3  # probability per decision that the camera does not tell what it should
MARGIN = 0.1  # rad and m, within the bounds of what the camera shows
STEP = 3.2 * GRID  # m, that it looks ahead on its way


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
        plans: of its room; evaders in the same kind of room may share them.
        truth: the scene now. Its own pose and the screens are always used.
        sees: when it knows the other's pose: always ("everything"), while no screen is between them ("all round"), or
            while the camera shows it ("camera"); and always at first.
        classes: of its camera.
        fov: of its camera [rad].
        view: how far it sees [m].
    """

    def __init__(
        self,
        layout: Layout,
        plans: Plans,
        truth: Callable[[], Scene],
        sees: Sight = "everything",
        classes: Sequence[str] = ("nothing", "wall", "robot"),
        fov: float = 2 * math.pi / 3,
        view: float = 3.0,
    ) -> None:
        self._view, self._pan = layout.slice("camera/class"), layout.slice("pan_angle")
        self._plans, self._truth, self._sees = plans, truth, sees
        self._classes, self._robot = len(classes), classes.index("robot")
        self._half_fov, self._far = fov / 2 - MARGIN, view - MARGIN
        self._turns = 2 * math.pi / HEADINGS * np.arange(HEADINGS)
        self._next = _neighbors(plans.shape, self._turns)
        length = np.hypot(np.rint(np.cos(self._turns)), np.rint(np.sin(self._turns)))
        self._rate = OTHER_SPEED * DECISION_S / (GRID * length)  # (HEADINGS,), of steps per decision

    def initial(self, n: int, seed: int) -> Watch:
        """Returns what is remembered before a game: nothing."""
        return Watch(np.full(n, -1), np.zeros((n, HEADINGS, len(self._plans.cells))))

    def act(self, carry: Watch, obs: NDArray, first: NDArray) -> tuple[Watch, NDArray]:
        """Returns actions `(n, 3)`: wheels, and head."""
        scene, fresh = self._truth(), first | (carry.room < 0)
        room = carry.room.copy()
        if fresh.any():
            room[fresh] = self._plans.number(scene.screens[fresh])
        ways = self._plans.ways
        own = ways.entry[room, self._plans.cell(scene.own[:, :2])]
        belief = self._believed(carry.belief, scene, room, own, obs, fresh)
        place = belief.sum(axis=1)
        goal = self._best(ways, room, own, place)
        ahead = np.where(ways.distance[room, own] <= STEP, ways.distance[room, goal], np.inf).argmin(axis=1)
        wheels = _drive(scene.own, self._plans.cells[ahead])
        head = bearing(scene.own, self._plans.cells[place.argmax(axis=1)]) / (math.pi / 2)
        return Watch(room, belief), commands(wheels, head)

    def _believed(
        self, belief: NDArray, scene: Scene, room: NDArray, own: NDArray, obs: NDArray, fresh: NDArray[np.bool_]
    ) -> NDArray:
        """The belief after a decision and what was seen then, `(n, HEADINGS, P)`."""
        ways = self._plans.ways
        other = ways.entry[room, self._plans.cell(scene.other[:, :2])]
        screened = ways.screened[room, own]
        seen = fresh | self._seen(obs, screened[np.arange(len(obs)), other])
        belief = self._moved(belief, ways.distance, room, scene.waiting)
        belief = np.where(seen[:, None, None], self._sure(other, scene.other[:, 2]), belief)
        belief = self._looked(belief, ~seen, screened, scene.own, obs)
        return belief / np.maximum(belief.sum(axis=(1, 2), keepdims=True), 1e-12)

    def _seen(self, obs: NDArray, screened: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether it knows where the other is now, `(n,)`."""
        if self._sees == "camera":
            return np.any(obs[:, self._view].reshape(len(obs), -1, self._classes)[..., self._robot] > 0, axis=1)
        return ~screened if self._sees == "all round" else np.ones(len(obs), bool)

    def _moved(self, belief: NDArray, distance: NDArray, room: NDArray, waiting: NDArray) -> NDArray:
        """The belief a decision later: the other drives on, turns now and then, and anywhere where the way ends."""
        step = distance[room[:, None, None], np.arange(len(self._plans.cells)), np.maximum(self._next, 0)]
        free = (self._next >= 0) & (step < DIAGONAL * GRID)
        flow = belief * self._rate[:, None]
        onwards = flow * free
        moved = belief - flow + (flow - onwards).sum(axis=1, keepdims=True) / HEADINGS
        for k, onward in enumerate(self._next):
            inside = onward >= 0
            moved[:, k, onward[inside]] += onwards[:, k, inside]
        moved = (1 - 2 * TURNS) * moved + TURNS * (np.roll(moved, 1, axis=1) + np.roll(moved, -1, axis=1))
        return np.where(waiting[:, None, None], belief, moved)

    def _sure(self, cell: NDArray, heading: NDArray) -> NDArray:
        """The belief of one who knows where the other is."""
        sure = np.zeros((len(cell), HEADINGS, len(self._plans.cells)))
        sure[np.arange(len(sure)), np.rint(heading / self._turns[1]).astype(np.intp) % HEADINGS, cell] = 1
        return sure

    def _looked(self, belief: NDArray, unseen: NDArray, screened: NDArray, own: NDArray, obs: NDArray) -> NDArray:
        """The belief of one who does not see the other: it is hardly where it would be seen."""
        off = wrapped(bearing(own[:, None], self._plans.cells) - obs[:, self._pan])
        near = np.linalg.norm(self._plans.cells - own[:, None, :2], axis=2) < self._far
        in_view = near & (np.abs(off) < self._half_fov)
        shown = ~screened & (in_view | (self._sees == "all round"))
        return belief * np.where(unseen[:, None] & shown, OVERLOOKED, 1.0)[:, None]

    def _best(self, ways: Ways, room: NDArray, own: NDArray, place: NDArray) -> NDArray[np.intp]:
        """The cell to go to: out of sight of where the other may be, far from it, and not where it is first."""
        likely = np.argpartition(-place, LIKELY, axis=1)[:, :LIKELY]
        weight = np.take_along_axis(place, likely, axis=1)
        needs = ways.distance[room, own]
        comes = np.clip((ways.distance[room[:, None], likely] - REACH) / OTHER_SPEED, 0, NEVER)
        worth = comes + SAFE * ways.screened[room[:, None], likely] - DEFEAT * (needs[:, None] / OWN_SPEED >= comes)
        worth = np.einsum("nk,nkp->np", weight / weight.sum(axis=1, keepdims=True), worth)
        return (worth - HASTE * needs / OWN_SPEED).argmax(axis=1)


def _neighbors(shape: tuple[int, int], turns: NDArray) -> NDArray[np.intp]:
    """Of each cell the next one in each direction, `(K, P)`; −1 out of the room."""
    x, y = np.divmod(np.arange(shape[0] * shape[1]), shape[1])
    x, y = x + np.rint(np.cos(turns))[:, None].astype(np.intp), y + np.rint(np.sin(turns))[:, None].astype(np.intp)
    inside = (x >= 0) & (x < shape[0]) & (y >= 0) & (y < shape[1])
    return np.where(inside, x * shape[1] + y, -1)


def _drive(pose: NDArray, goal: NDArray) -> NDArray:
    """Wheel commands `(n, 2)` that drive to points `(n, 2)` as fast as can be, backwards if they are behind."""
    ahead = bearing(pose, goal)
    behind = np.abs(ahead) > math.pi / 2
    off = np.where(behind, wrapped(ahead + math.pi), ahead)
    speed = np.where(behind, -1, 1) * np.clip(1.6 * np.cos(off) - 0.6, 0, 1)
    turn = np.clip(off, -0.6, 0.6)
    there = np.linalg.norm(goal - pose[:, :2], axis=1) < GRID / 2
    wheels = np.stack([speed - turn, speed + turn], axis=1) * ~there[:, None]
    return wheels / np.maximum(1, np.abs(wheels).max(axis=1, keepdims=True))
