"""Players of Feel: they press where they believe the button to be, and the heuristic one feels for it first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from embodied_policies.scripted.arm import ArmDriver, chosen

SWEEP = 0.8  # rad/s, of a hand that feels
PATIENCE = 14  # decisions, after which a press that has met nothing is over
BACK = 0.06  # rad, by which a hand that has touched backs off
THERE = 0.03  # rad
LEVEL = 0.006  # m
LOWER, FEEL, LIFT, OVER, PRESS = range(5)
SIDES = (-1.0, 1.0)
FEEL_S, PRESS_S = 3.5, 3.0  # s, after which one may think again


@dataclass(frozen=True)
class FeelWorld:
    """What the players know of the task.

    Attributes:
        places: angles of the shoulder at which the button can be, `(K,)` [rad].
        low, high, press: heights of the finger tips that feel, that are clear of the button, and that press it [m].
        reach: between the hand and a button that it touches [rad]; touch: load of the shoulder from which it touches.
        height_of: of the finger tips at angles `(n, J)`; pose: angles `(J,)` of the hand over the circle at a height.
    """

    places: NDArray[np.float64]
    low: float
    high: float
    press: float
    reach: float
    touch: float
    height_of: Callable[[NDArray], NDArray[np.float64]]
    pose: Callable[[float], NDArray[np.float64]]


@dataclass
class _Feeling:
    phase: NDArray[np.intp]
    goal: NDArray[np.float64]  # angle of the shoulder that it goes to [rad]
    spot: NDArray[np.float64]  # and at which it believes the button to be [rad]
    side: NDArray[np.float64]  # where it feels: -1 or 1
    presses: NDArray[np.bool_]  # whether it goes on to press once its hand is up
    waited: NDArray[np.intp]
    generator: np.random.Generator


class ButtonSeeker:
    """Presses where it believes the button to be; commands velocities of the joints.

    Args:
        driver: of the arm.
        world: what it knows.
        heuristic: feels for the button first.
        truth: returns its place, `(n,)`; None to pick one at random.
        directed: feels to the side, or presses at the place, that it is told to (`set_option`).
    """

    def __init__(
        self,
        driver: ArmDriver,
        world: FeelWorld,
        heuristic: bool = False,
        truth: Callable[[], NDArray] | None = None,
        directed: bool = False,
    ) -> None:
        self._load = driver.layout.slice("load").start
        self._driver, self._world, self._heuristic, self._truth = driver, world, heuristic, truth
        self._directed = directed
        heights = np.array([world.low, world.low, world.high, world.high, world.press])
        self._poses = np.stack([world.pose(height) for height in heights])  # by phase
        self._end = float(np.abs(world.places).max())
        top = np.asarray(driver.top_speed, float)
        self._speed = np.where(np.arange(len(top)) == 0, min(top[0], SWEEP), top) if heuristic or directed else top

    def initial(self, n: int, seed: int) -> _Feeling:
        """Returns the carry before an episode."""
        zero, none = np.zeros(n), np.zeros(n, np.intp)
        return _Feeling(none, zero, zero, zero, np.ones(n, bool), none, np.random.default_rng(seed))

    @property
    def options(self) -> dict[str, float]:
        """To feel to one side until it touches, or to press at a place."""
        presses = {f"press {i}": PRESS_S for i in range(len(self._world.places))}
        return {"feel left": FEEL_S, "feel right": FEEL_S} | presses

    def set_option(self, carry: _Feeling, which: NDArray[np.intp]) -> _Feeling:
        """Sets out to feel, or to press, `(n,)`."""
        which = np.asarray(which)
        presses = which >= len(SIDES)
        spot = self._world.places[np.maximum(which - len(SIDES), 0)]
        low = carry.phase != OVER
        return replace(
            carry,
            phase=np.where(presses, np.where(low, LIFT, OVER), np.where(carry.phase == FEEL, FEEL, LOWER)),
            side=np.where(presses, carry.side, np.array(SIDES)[np.minimum(which, len(SIDES) - 1)]),
            spot=np.where(presses, spot, carry.spot),
            goal=np.where(presses & ~low, spot, carry.goal),
            presses=presses,
            waited=np.zeros_like(carry.waited),
        )

    def act(self, carry: _Feeling, obs: NDArray, first: NDArray) -> tuple[_Feeling, NDArray]:
        """Returns actions `(n, J)`."""
        angles = self._driver.angles(obs)
        now = self._begin(carry, angles, first)
        self._move_on(now, angles[:, 0], self._world.height_of(angles), obs[:, self._load])
        wanted = self._poses[now.phase].copy()
        wanted[:, 0] = now.goal
        return now, self._driver.drive(obs, wanted, self._speed)

    def _begin(self, carry: _Feeling, angles: NDArray, first: NDArray) -> _Feeling:
        if self._directed:
            goal = np.where(first & ~carry.presses, angles[:, 0], carry.goal)
            return replace(carry, goal=goal, waited=carry.waited + 1)
        ahead = angles[:, 0] if self._heuristic else self._choice(carry, len(first))
        return replace(
            carry,
            phase=np.where(first, LOWER if self._heuristic else OVER, carry.phase),
            goal=np.where(first, ahead, carry.goal),
            spot=np.where(first, ahead, carry.spot),
            side=np.where(first, 1.0, carry.side),
            waited=np.where(first, 0, carry.waited + 1),
        )

    def _choice(self, carry: _Feeling, n: int) -> NDArray[np.float64]:
        places = self._world.places
        return places[chosen(self._truth, carry.generator, n, len(places))]

    def _move_on(self, now: _Feeling, pan: NDArray, height: NDArray, load: NDArray) -> None:
        """Goes to the next phase where this one is over."""
        phase, world = now.phase.copy(), self._world
        down = (phase == LOWER) & (height < world.low + LEVEL)
        touched = (phase == FEEL) & (np.abs(load) > world.touch)
        turned = (phase == FEEL) & ~touched & (now.side * pan > self._end) & ~np.bool_(self._directed)
        lifted = (phase == LIFT) & (height > world.high - LEVEL) & now.presses
        over = (phase == OVER) & (np.abs(pan - now.goal) < THERE) & (height > world.high - 2 * LEVEL)
        missed = (phase == PRESS) & (now.waited > PATIENCE)
        now.side[turned] *= -1
        for done, after in ((down, FEEL), (touched, LIFT), (lifted, OVER), (over, PRESS), (missed, LIFT)):
            now.phase[done] = after
        feeling = now.phase == FEEL
        now.goal[feeling] = (now.side * (self._end + 0.2))[feeling]
        now.spot[touched] = (pan + np.sign(load) * world.reach)[touched]
        now.goal[touched] = (pan - np.sign(load) * BACK)[touched]
        now.goal[lifted] = now.spot[lifted]
        now.waited[down | touched | lifted | over | missed] = 0
