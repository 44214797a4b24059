"""Problems of the literature, to measure minds with."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Stepped = tuple[NDArray, NDArray, NDArray, NDArray]


class Tiger:
    """Behind one of two doors waits a tiger (Kaelbling, Littman & Cassandra 1998); opening a door ends it.

    States `(n, 2)`: where the tiger is, and whether a door is open.
    """

    discount = 0.95
    actions: tuple[Any, ...] = ("listen", "left", "right")
    hears = 0.85

    def initial(self, n: int, rng: np.random.Generator) -> NDArray:
        """The tiger is behind either door."""
        return np.column_stack([rng.integers(0, 2, n), np.zeros(n, int)])

    def step(self, states: NDArray, action: Any, rng: np.random.Generator) -> Stepped:
        """Listening costs 1 and is right 85 times in 100; the tiger costs 100, the other door brings 10."""
        tiger, ended = states[:, 0], states[:, 1] == 1
        if action == "listen":
            heard = np.where(rng.random(len(states)) < self.hears, tiger, 1 - tiger)
            return states, heard, np.where(ended, 0.0, -1.0), ended
        reward = np.where(tiger == ("left", "right").index(action), -100.0, 10.0)
        after = np.column_stack([tiger, np.ones(len(states), int)])
        return after, rng.integers(0, 2, len(states)), np.where(ended, 0.0, reward), np.ones(len(states), bool)

    def likelihood(self, observation: Any, states: NDArray, action: Any) -> NDArray:
        """Probability of hearing the tiger there."""
        if action == "listen":
            return np.where(states[:, 0] == observation, self.hears, 1 - self.hears)
        return np.full(len(states), 0.5)


class SimpleLightDark:
    """A point on a line that is seen well only near 10 and must stop at 0 (Sunberg & Kochenderfer 2018, simplified).

    States `(n,)`: -60 … 60, and `OVER` once it has stopped.
    """

    discount = 0.95
    actions: tuple[Any, ...] = (-10, -1, 0, 1, 10)
    steps = 100
    OVER = 1000.0
    REACH, LIGHT = 60.0, 10.0

    def initial(self, n: int, rng: np.random.Generator) -> NDArray:
        """Anywhere from -30 to 30."""
        return rng.integers(-30, 31, n).astype(np.float64)

    def step(self, states: NDArray, action: Any, rng: np.random.Generator) -> Stepped:
        """Moving costs 1; action 0 ends it, with 100 at 0 and -100 elsewhere."""
        over = states == self.OVER
        if action == 0:
            reward = np.where(over, 0.0, np.where(states == 0, 100.0, -100.0))
            return np.full(len(states), self.OVER), np.zeros(len(states)), reward, np.ones(len(states), bool)
        after = np.where(over, states, np.clip(states + action, -self.REACH, self.REACH))
        return after, rng.normal(after, self._spread(after)), np.where(over, 0.0, -1.0), over

    def likelihood(self, observation: Any, states: NDArray, action: Any) -> NDArray:
        """A Gaussian, the narrower the nearer to the light."""
        if action == 0:
            return np.ones(len(states))
        spread = self._spread(states)
        return np.exp(-0.5 * ((observation - states) / spread) ** 2) / spread

    def _spread(self, states: NDArray) -> NDArray:
        return np.abs(states - self.LIGHT) + 1e-4


class RockSample:
    """A rover samples rocks of which a distant look tells the worth (Smith & Simmons 2004), in its map of 7 × 7 cells.

    States `(n, 10)`: x, y and whether each of eight rocks is good; x is `SIZE` once the rover has left to the east.
    """

    discount = 0.95
    actions: tuple[Any, ...] = ("north", "south", "east", "west", "sample", *range(8))
    SIZE, HALF_DISTANCE, START = 7, 20.0, (0, 3)
    ROCKS = np.array([(2, 0), (0, 1), (3, 1), (6, 3), (2, 4), (3, 4), (5, 5), (1, 6)])
    WAYS: ClassVar = {"north": (0, 1), "south": (0, -1), "east": (1, 0), "west": (-1, 0)}

    def initial(self, n: int, rng: np.random.Generator) -> NDArray:
        """The rover is in the west; each rock is good or bad."""
        return np.column_stack([np.tile(self.START, (n, 1)), rng.integers(0, 2, (n, len(self.ROCKS)))])

    def step(self, states: NDArray, action: Any, rng: np.random.Generator) -> Stepped:
        """A good rock is worth 10 once, a bad one -10, leaving to the east 10; `action` 0 to 7 looks at a rock."""
        after, over = states.copy(), states[:, 0] == self.SIZE
        reward, seen = np.zeros(len(states)), np.zeros(len(states), int)
        if action in self.WAYS:
            x, y = (states[:, :2] + self.WAYS[action]).T
            after[:, 0] = np.where(over, self.SIZE, np.clip(x, 0, self.SIZE))
            after[:, 1] = np.where(over, states[:, 1], np.clip(y, 0, self.SIZE - 1))
            left = ~over & (after[:, 0] == self.SIZE)
            return after, seen, np.where(left, 10.0, reward), over | left
        if action == "sample":
            row, rock = np.nonzero(~over[:, None] & (states[:, None, :2] == self.ROCKS).all(axis=2))
            reward[row] = np.where(states[row, 2 + rock] == 1, 10.0, -10.0)
            after[row, 2 + rock] = 0
            return after, seen, reward, over
        right = rng.random(len(states)) < self._right(states, action)
        return after, np.where(right, states[:, 2 + action], 1 - states[:, 2 + action]), reward, over

    def likelihood(self, observation: Any, states: NDArray, action: Any) -> NDArray:
        """Looks are right the more often, the nearer the rock."""
        if action in self.WAYS or action == "sample":
            return np.full(len(states), float(observation == 0))
        right = self._right(states, action)
        return np.where(states[:, 2 + action] == observation, right, 1 - right)

    def _right(self, states: NDArray, rock: int) -> NDArray:
        away = np.hypot(*(states[:, :2] - self.ROCKS[rock]).T)
        return 0.5 + 0.5 * 2 ** (-away / self.HALF_DISTANCE)


class Tag:
    """A robot looks for somebody who flees, and sees them only in its own cell (Pineau, Gordon & Thrun 2003).

    States `(n, 2)`: the robot's cell and the other's, of 29; the other's is `CAUGHT` in the end.
    """

    discount = 0.95
    actions: tuple[Any, ...] = ("north", "south", "east", "west", "tag")
    CELLS = np.array([(x, y) for y in range(2) for x in range(10)] + [(x, y) for y in range(2, 5) for x in range(5, 8)])
    CAUGHT = len(CELLS)
    WAYS = np.array([(0, 1), (0, -1), (1, 0), (-1, 0)])

    def __init__(self) -> None:
        place = {tuple(cell): i for i, cell in enumerate(self.CELLS)}
        self._next = np.array([[place.get((x + dx, y + dy), i) for dx, dy in self.WAYS]
                               for i, (x, y) in enumerate(self.CELLS)])  # fmt: skip

    def initial(self, n: int, rng: np.random.Generator) -> NDArray:
        """Both are anywhere."""
        return rng.integers(0, len(self.CELLS), (n, 2))

    def step(self, states: NDArray, action: Any, rng: np.random.Generator) -> Stepped:
        """A step costs 1; tagging brings 10 in the same cell and costs 10 elsewhere."""
        robot, other = states.T
        over = other == self.CAUGHT
        if action == "tag":
            caught = ~over & (robot == other)
            reward, moved = np.where(caught, 10.0, -10.0), robot
        else:
            caught, reward = np.zeros(len(states), bool), np.full(len(states), -1.0)
            moved = self._next[robot, self.actions.index(action)]
        fled = self._flee(robot, np.where(over, 0, other), rng)
        after = np.column_stack([np.where(over, robot, moved), np.where(over | caught, self.CAUGHT, fled)])
        return after, self._seen(after), np.where(over, 0.0, reward), over | caught

    def likelihood(self, observation: Any, states: NDArray, action: Any) -> NDArray:
        """The robot sees its cell, and who is in it."""
        return (self._seen(states) == observation).all(axis=1).astype(float)

    def _seen(self, states: NDArray) -> NDArray:
        return np.column_stack([states[:, 0], states[:, 0] == states[:, 1]])

    def _flee(self, robot: NDArray, other: NDArray, rng: np.random.Generator) -> NDArray:
        """In 4 of 10 cases each, the other goes away along x and along y, if there is a way; else it stays."""
        ahead = np.sign(self.CELLS[other] - self.CELLS[robot])
        toss = np.where(rng.random((len(other), 2)) < 0.5, -1, 1)
        x, y = np.where(ahead == 0, toss, ahead).T
        chance = rng.random(len(other))
        way = np.where(chance < 0.4, np.where(x > 0, 2, 3), np.where(y > 0, 0, 1))
        return np.where(chance < 0.8, self._next[other, way], other)
