"""Scripted opponents of duels: they chase or flee what their camera shows, and never learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodied.errors import UnknownNameError
from embodied.layout import Layout
from embodied.seeding import Draws
from embodied.world.duel import DuelTask, Seat

OPPONENTS = ("scripted", "idle", "random")
CRUISE, SPIN, STEERING = 0.85, 0.35, 0.5  # shares of nominal voltage; the last per half field of view
CLOSE = 0.22  # m, before which it turns away from walls
ROOM = 1.0  # m, of free way that are enough
DECISION_S = 0.1
BODY = 7  # neighboring pixels that must be free for the robot to pass
HUNT = 40  # decisions
WHIM = 0.025  # probability per decision of preferring another side


def opponent_of(opponent: Any, task: DuelTask, seat: Seat) -> Any:
    """Returns the opponent of that name for a seat of a game, or the agent itself.

    Raises:
        UnknownNameError: no opponent of that name.
    """
    if not isinstance(opponent, str):
        return opponent
    if opponent not in OPPONENTS:
        raise UnknownNameError("opponent", opponent, OPPONENTS)
    if opponent == "scripted":
        return task.scripted(seat)
    return Mover(seat.action_space.shape[0], idle=opponent == "idle")


@dataclass
class _Roaming:
    side: NDArray[np.float64]  # (n,), to which it turns where it must, 1 for left and −1 for right
    course: NDArray[np.float64]  # (n,), from its heading to where it would rather go [rad]
    ahead: NDArray[np.float64]  # (n,), from its heading to how it stood at first [rad]
    hunt: NDArray[np.intp]  # (n,), decisions for which it keeps after what it saw
    draws: Draws


class Chaser:
    """Drives at the other robot when it sees it, or turns from it; else roams where there is room, or looks around.

    One that flees and waits stands still but for the four seconds after it saw the other.
    """

    def __init__(
        self,
        layout: Layout,
        flees: bool = False,
        roams: bool = True,
        waits: bool = True,
        classes: Sequence[str] = ("nothing", "wall", "robot"),
    ) -> None:
        self._range, self._view = layout.slice("camera/range"), layout.slice("camera/class")
        self._gyro, self._half_view = layout.slice("gyro"), np.pi / 3
        pixels = self._range.stop - self._range.start
        self._classes = (self._view.stop - self._view.start) // pixels
        self._robot = classes.index("robot")
        self._place = np.linspace(1, -1, pixels)  # of each pixel, 1 at the left edge of the view
        self._flees, self._roams, self._waits = flees, roams, waits

    def initial(self, n: int, seed: int) -> _Roaming:
        """Returns the carry before an episode."""
        draws, side = Draws.begin(n, seed).uniforms(1)
        return _Roaming(2 * side[:, 0] - 1, np.zeros(n), np.zeros(n), np.zeros(n, np.intp), draws)

    def act(self, carry: _Roaming, obs: NDArray, first: NDArray) -> tuple[_Roaming, NDArray]:
        """Returns actions `(n, 3)`: wheels, and head (kept ahead)."""
        robot = obs[:, self._view].reshape(len(obs), -1, self._classes)[..., self._robot]
        seen = robot.any(axis=1)
        bearing = (robot * self._place).sum(axis=1) / np.maximum(robot.sum(axis=1), 1)
        hunt = np.where(first, 0, np.where(seen, HUNT, np.maximum(carry.hunt - 1, 0)))
        draws, drawn = carry.draws.uniforms(3)
        chance, turn, swerve = drawn.T
        whim = first | ((chance < WHIM) & (hunt == 0))
        turned = DECISION_S * obs[:, self._gyro][:, 0]
        ahead = np.where(first, 0.0, carry.ahead - turned)
        side = np.where(whim, 2 * turn - 1, carry.side)
        if self._flees:
            side = np.where(seen, -np.sign(bearing + 1e-9), side)
        course = np.where(whim, ahead + 1.6 * (2 * swerve - 1) * ~first, carry.course - turned)
        course = np.where(seen & (not self._flees), bearing * self._half_view, course)
        calm = self._roam(obs, side, course) if self._roams else _spin(side)
        if self._flees and self._waits:
            calm[hunt == 0] = 0  # what does not move is harder to find
        near = np.where(robot > 0.5, obs[:, self._range], np.inf).min(axis=1) < ROOM
        meet = _spin(side) if self._flees else _steer(bearing)
        wheels = np.where((seen & (near | self._flees | (not self._roams)))[:, None], meet, calm)
        actions = np.column_stack([wheels, np.zeros(len(obs))])
        return _Roaming(side, course, ahead, hunt, draws), np.clip(actions, -1, 1).astype(np.float32)

    def _roam(self, obs: NDArray, side: NDArray, course: NDArray) -> NDArray:
        """Steers to where there is room, rather where its course points."""
        ranges = obs[:, self._range]
        windows = np.lib.stride_tricks.sliding_window_view(ranges, BODY, axis=1).min(axis=2)
        place = self._place[BODY // 2 : -(BODY // 2)]
        along = 1.5 * np.cos(course[:, None] - place * self._half_view)
        best = place[(np.minimum(windows, ROOM) + along).argmax(axis=1)]
        blocked = np.less(windows[:, np.abs(place) < 0.35].min(axis=1), CLOSE)
        turn = np.where(windows.max(axis=1) > 2 * CLOSE, best, side)
        return np.where(blocked[:, None], _spin(turn), _steer(best))


def _steer(bearing: NDArray) -> NDArray:
    return np.stack([CRUISE - STEERING * bearing, CRUISE + STEERING * bearing], axis=1)


def _spin(side: NDArray) -> NDArray:
    return SPIN * np.where(side > 0, 1.0, -1.0)[:, None] * np.array([-1.0, 1.0])


class Mover:
    """Moves at random, or not at all."""

    def __init__(self, motors: int, idle: bool = False) -> None:
        self._motors, self._idle = motors, idle

    def initial(self, n: int, seed: int) -> Draws:
        """Returns what its actions are drawn from."""
        return Draws.begin(n, seed)

    def act(self, carry: Draws, obs: NDArray, first: NDArray) -> tuple[Draws, NDArray]:
        """Returns actions `(n, motors)`."""
        if self._idle:
            return carry, np.zeros((len(obs), self._motors), np.float32)
        draws, drawn = carry.uniforms(self._motors)
        return draws, (2 * drawn - 1).astype(np.float32)
