"""BasePolicies of Weigh: they push boxes, and the heuristic one feels first how much current each takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from embodied.layout import Layout
from embodied_policies.scripted.driving import Odometry, commands, facing, towards

BEFORE = 0.38  # m, from a box to where it takes aim
TOUCH = 0.19  # m, from the middle of a box to the middle of a robot that touches it
TASTE = 0.05  # m, by which a box is pushed to be felt
ARRIVED = 0.04  # m
ALIGNED = 0.1  # rad
HEAVIER = 1.15  # times the least current; no box by far heavier can take less
SLOW, STRONG = 0.4, 0.6  # shares of nominal voltage
AIM = 1.6  # rad per half view, by which it steers to the box in its view
FEEL_S = 6.0  # s, after which who feels a box may think again
GO, ALIGN, PUSH, BACK = range(4)
UNDECIDED = -1


@dataclass
class _Weighing:
    pose: NDArray[np.float64]
    box: NDArray[np.intp]  # which one is dealt with
    phase: NDArray[np.intp]
    current: NDArray[np.float64]  # (n, K), the largest mean current at each box [A]
    choice: NDArray[np.intp]  # the box to push over the line, or UNDECIDED
    generator: np.random.Generator


class BoxPusher:
    """Drives to boxes and pushes them.

    Args:
        row: where the boxes stand, `(K, 2)` [m].
        line: y over which the heaviest is to be pushed [m].
        start: where it stands at first, x and y.
        heuristic: push every box a little before the choice.
        truth: returns the heaviest box, `(n,)`; None to pick one at random.
        directed: feels, or pushes over the line, the box that it is told to (`set_option`).
    """

    def __init__(
        self,
        layout: Layout,
        classes: Sequence[str],
        row: NDArray,
        line: float,
        start: tuple[float, float],
        heuristic: bool = False,
        truth: Callable[[], NDArray] | None = None,
        directed: bool = False,
    ) -> None:
        self._odometry = Odometry(layout)
        self._amperes = layout.slice("current")
        self._view, self._classes, self._box = layout.slice("camera/class"), len(classes), classes.index("box")
        self._row, self._line = row, line
        self._start = np.array([*start, math.pi / 2])
        self._heuristic, self._truth, self._directed = heuristic, truth, directed

    def initial(self, n: int, seed: int) -> _Weighing:
        """Returns the carry before an episode."""
        none, current = np.zeros(n, np.intp), np.zeros((n, len(self._row)))
        choice = np.full(n, UNDECIDED) if self._directed else none
        return _Weighing(np.tile(self._start, (n, 1)), none, none, current, choice, np.random.default_rng(seed))

    @property
    def options(self) -> dict[str, float]:
        """To feel a box, or to push it over the line."""
        boxes = range(len(self._row))
        return {f"feel box {i}": FEEL_S for i in boxes} | {f"push box {i}": math.inf for i in boxes}

    def set_option(self, carry: _Weighing, which: NDArray[np.intp]) -> _Weighing:
        """Sets out to feel a box, or to push one, `(n,)`; first it backs off from the one that it touches."""
        pushes, box = np.divmod(np.asarray(which), len(self._row))
        touching = np.isin(carry.phase, (PUSH, BACK))
        phase = np.where(box == carry.box, carry.phase, np.where(touching, BACK, GO))
        return replace(carry, box=box, phase=phase, choice=np.where(pushes == 1, box, UNDECIDED))

    def act(self, carry: _Weighing, obs: NDArray, first: NDArray) -> tuple[_Weighing, NDArray]:
        """Returns actions `(n, 3)`: wheels, and head (kept ahead)."""
        now = self._begin(carry, obs, first)
        rows = np.arange(len(obs))
        target = self._row[now.box]
        wheels, distance = towards(now.pose, target - [0.0, BEFORE], cruise=STRONG)
        north = np.abs(now.pose[:, 2] - math.pi / 2)
        aligning = facing(now.pose, math.pi / 2, 0.0)
        pushing = facing(now.pose, math.pi / 2 + AIM * self._bearing(obs), self._speed(now))
        reached = now.pose[:, 1] > target[:, 1] - TOUCH + TASTE
        touching = (now.phase == PUSH) & (now.pose[:, 1] > target[:, 1] - TOUCH + 0.4 * TASTE)
        amperes = np.where(touching, np.abs(obs[:, self._amperes]).mean(axis=1), 0.0)
        now.current[rows, now.box] = np.maximum(now.current[rows, now.box], amperes)
        backing = facing(now.pose, math.pi / 2, -SLOW)
        options = np.stack([wheels, aligning, pushing, backing])
        action = options[now.phase, rows]
        self._move_on(now, distance, north, reached)
        return now, commands(action, 0.0)

    def _begin(self, carry: _Weighing, obs: NDArray, first: NDArray) -> _Weighing:
        pose = np.where(first[:, None], self._start, self._odometry.advance(carry.pose, obs))
        current = np.where(first[:, None], 0.0, carry.current)
        if self._directed:
            return replace(carry, pose=pose, current=current, phase=np.where(first, GO, carry.phase))
        fresh = np.full(len(obs), UNDECIDED) if self._heuristic else self._choose(carry, len(obs))
        choice = np.where(first, fresh, carry.choice)
        box = np.where(first, np.maximum(fresh, 0), carry.box)
        return _Weighing(pose, box, np.where(first, GO, carry.phase), current, choice, carry.generator)

    def _move_on(self, now: _Weighing, distance: NDArray, north: NDArray, reached: NDArray) -> None:
        """Goes to the next phase where this one is over."""
        phase, tasting = now.phase.copy(), now.choice < 0
        now.phase[(phase == GO) & (distance < ARRIVED)] = ALIGN
        now.phase[(phase == ALIGN) & (north < ALIGNED)] = PUSH
        missed = now.pose[:, 1] > self._line  # the box slipped away
        now.phase[(phase == PUSH) & (reached & tasting | missed)] = BACK
        done = (phase == BACK) & (now.pose[:, 1] < self._row[now.box, 1] - BEFORE)
        now.phase[done] = GO
        if not self._directed:
            self._settle(now, done & tasting)

    def _settle(self, now: _Weighing, tasted: NDArray) -> None:
        """Goes on to the next box, or chooses one once enough of them are `tasted`."""
        light = now.current[:, :-1].min(axis=1, initial=np.inf, where=now.current[:, :-1] > 0)
        heavy = now.current[np.arange(len(tasted)), now.box] > HEAVIER * light
        penultimate = now.box == len(self._row) - 2
        settled = tasted & (heavy | penultimate)
        choice = np.where(now.current.max(axis=1) > HEAVIER * light, now.current.argmax(axis=1), len(self._row) - 1)
        now.choice[settled] = choice[settled]
        now.box[tasted & ~settled] += 1
        now.box[settled] = choice[settled]

    def _speed(self, now: _Weighing) -> NDArray:
        return np.where(now.choice < 0, SLOW, STRONG)

    def _bearing(self, obs: NDArray) -> NDArray:
        """Where the box is in the middle of the view, 1 at its left edge and −1 at its right; 0 if there is none."""
        seen = obs[:, self._view].reshape(len(obs), -1, self._classes)[..., self._box]
        place = np.linspace(1, -1, seen.shape[1])
        seen = seen * (np.abs(place) < 0.6)
        return (seen * place).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)

    def _choose(self, carry: _Weighing, n: int) -> NDArray:
        if self._truth is not None:
            return np.asarray(self._truth(), np.intp)
        return carry.generator.integers(0, len(self._row), n)
