"""Options for any task of Scout: to go to the places that the task names, to look at them, to touch or to push.

The places are `Task.landmarks`; where the robot stands is told it by whoever plans with it (`inform`), and between
by dead reckoning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from embodied.errors import OptionError, UnknownNameError
from embodied.layout import Layout
from embodied_policies.scripted.driving import Odometry, bearing, commands, facing, towards

OPTION_S = 1.0  # s, after which one may think again
ARRIVED = 0.05  # m
SLOW, FAST, STRONG = 0.25, 0.7, 0.6  # shares of nominal voltage
BEYOND = 0.5  # m, behind what it touches or pushes

Wheels = Callable[[NDArray, NDArray, NDArray], NDArray]  # of poses, places, and where it set out


@dataclass
class _Driving:
    pose: NDArray[np.float64]  # (n, 3)
    points: NDArray[np.float64]  # (n, L, 2)
    option: NDArray[np.intp]
    begun: NDArray[np.float64]  # (n, 2), where it stood when it set out
    fresh: NDArray[np.bool_]  # whether the pose is of now, not of the decision before


class LandmarkDriver:
    """Does one thing with one place at a time, for a second each.

    Args:
        layout: of the observation.
        places: names of L places.
        verbs: what can be done with each, of "go to", "look at", "touch" and "push"; beside that, it can wait.

    Raises:
        OptionError: no places; UnknownNameError: an unknown verb.
    """

    def __init__(self, layout: Layout, places: Sequence[str], verbs: Sequence[str] = ("go to", "look at")) -> None:
        if not places:
            raise OptionError("the task names no places to go to: give it `landmarks`, or the planner other options")
        for verb in verbs:
            if verb not in VERBS:
                raise UnknownNameError("verb", verb, VERBS)
        self._odometry, self._size = Odometry(layout), len(places)
        self._what = [(VERBS[verb], place) for verb in verbs for place in range(self._size)]
        names = [f"{verb} {place}" for verb in verbs for place in places]
        self.options = dict.fromkeys([*names, "wait"], OPTION_S)

    def initial(self, n: int, seed: int) -> _Driving:
        """Returns the carry before an episode: waiting, and nowhere yet."""
        return _Driving(
            np.zeros((n, 3)),
            np.zeros((n, self._size, 2)),
            np.full(n, len(self._what)),
            np.zeros((n, 2)),
            np.ones(n, bool),
        )

    def set_option(self, carry: _Driving, which: NDArray[np.intp]) -> _Driving:
        """Sets out for something else, `(n,)`."""
        return replace(carry, option=np.asarray(which), begun=carry.pose[:, :2].copy())

    def inform(self, carry: _Driving, estimate: NDArray[np.float64]) -> _Driving:
        """Takes over where it stands, x, y [m] and heading [rad], and where the places are: `(n, 3 + 2 L)`."""
        points = estimate[:, 3:].reshape(len(estimate), self._size, 2)
        return replace(carry, pose=estimate[:, :3].copy(), points=points.copy(), fresh=np.ones(len(points), bool))

    def act(self, carry: _Driving, obs: NDArray, first: NDArray) -> tuple[_Driving, NDArray]:
        """Returns actions `(n, 3)`: wheels, and head (kept ahead)."""
        known = first | carry.fresh
        pose = np.where(known[:, None], carry.pose, self._odometry.advance(carry.pose, obs))
        wheels = np.zeros((len(obs), 2))
        for i, (drive, place) in enumerate(self._what):
            mine = np.flatnonzero(carry.option == i)
            if len(mine):
                wheels[mine] = drive(pose[mine], carry.points[mine, place], carry.begun[mine])
        return replace(carry, pose=pose, fresh=np.zeros(len(obs), bool)), commands(wheels, 0.0)


def _go(pose: NDArray, point: NDArray, begun: NDArray) -> NDArray:
    wheels, distance = towards(pose, point, FAST)
    return np.where((distance > ARRIVED)[:, None], wheels, 0.0)


def _look(pose: NDArray, point: NDArray, begun: NDArray) -> NDArray:
    return facing(pose, pose[:, 2] + bearing(pose, point), 0.0)


def _through(speed: float) -> Wheels:
    """Drives at a place, and on."""

    def drive(pose: NDArray, point: NDArray, begun: NDArray) -> NDArray:
        way = point - begun
        beyond = point + BEYOND * way / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-6)
        return towards(pose, beyond, speed)[0]

    return drive


VERBS: dict[str, Wheels] = {"go to": _go, "look at": _look, "touch": _through(SLOW), "push": _through(STRONG)}
