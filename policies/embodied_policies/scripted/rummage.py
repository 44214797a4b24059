"""Players of Rummage: they push a cover aside and lift what was under it; the heuristic one looks first."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from embodied_policies.scripted.arm import ArmDriver, chosen, near

GRASP = 7  # decisions that the fingers are given, with half of their torque
PATIENCE = 15  # decisions, after which a pose counts as reached
ASIDE, BESIDE, PUSH, RAISE, OVER, DOWN, CLOSE, LIFT = range(8)
CLOSED = (CLOSE, LIFT)
AFTER = np.array([BESIDE, PUSH, RAISE, OVER, DOWN, CLOSE, LIFT, OVER])  # a block that is not lifted by then was missed
BEFORE, BEYOND = 0.36, 0.50  # rad, from where to where a cover is pushed, around the place of its block
ANY = math.inf  # rad
TURNED = np.array([0.05, 0.05, ANY, ANY, 0.04, 0.04, ANY, 0.0])  # rad, how near the shoulder must be, by phase
THERE = np.array([ANY, 0.03, ANY, 0.08, ANY, 0.02, ANY, 0.0])  # rad, and the other joints
SHORT = 0.03  # rad, by which a push may end before its end
UNCOVER_S = 2.5  # s, after which who uncovers may think again
SEEN = 2.0  # beams that tell where the wanted block lies


@dataclass(frozen=True)
class RummageWorld:
    """What the players know of the task.

    Attributes:
        places: angles of the shoulder at which the blocks lie, `(K,)` [rad].
        aside, push, over, reach: angles of the arm with the hand on its way, at the height of the covers, and above and
            around a block straight ahead, `(J,)` [rad].
        closed: angle of the fingers that grip [rad].
        sightings: how many beams end on the wanted block at each place, `(n, K)`, by the observation.
    """

    places: NDArray[np.float64]
    aside: NDArray[np.float64]
    push: NDArray[np.float64]
    over: NDArray[np.float64]
    reach: NDArray[np.float64]
    closed: float
    sightings: Callable[[NDArray], NDArray[np.float64]]


@dataclass
class _Rummaging:
    phase: NDArray[np.intp]
    place: NDArray[np.intp]  # that is dealt with
    seen: NDArray[np.bool_]  # whether the wanted block lies there, so that it is lifted
    bare: NDArray[np.bool_]  # (n, K), whose covers have been pushed aside
    waited: NDArray[np.intp]
    generator: np.random.Generator


class Rummager:
    """Pushes covers aside and lifts a block; commands velocities of the joints.

    Args:
        driver: of the arm.
        world: what it knows.
        heuristic: goes on until it has seen the wanted block.
        truth: returns its place, `(n,)`; None to pick one at random.
        directed: pushes the cover aside, or lifts the block, that it is told to (`set_option`).
    """

    def __init__(
        self,
        driver: ArmDriver,
        world: RummageWorld,
        heuristic: bool = False,
        truth: Callable[[], NDArray] | None = None,
        directed: bool = False,
    ) -> None:
        self._driver, self._world, self._heuristic, self._truth = driver, world, heuristic, truth
        self._directed = directed
        poses = {ASIDE: world.aside, BESIDE: world.push, PUSH: world.push, RAISE: world.aside}
        poses |= {OVER: world.over, DOWN: world.reach, CLOSE: world.reach, LIFT: world.over}
        self._poses = np.stack([poses[phase] for phase in range(len(poses))])
        self._poses[list(CLOSED), -1] = world.closed
        self._shift = np.zeros(len(poses))
        self._shift[[ASIDE, BESIDE]], self._shift[[PUSH, RAISE]] = -BEFORE, BEYOND

    def initial(self, n: int, seed: int) -> _Rummaging:
        """Returns the carry before an episode."""
        none = np.zeros(n, np.intp)
        no, bare = np.zeros(n, bool), np.zeros((n, len(self._world.places)), bool)
        return _Rummaging(none, none, no, bare, none, np.random.default_rng(seed))

    @property
    def options(self) -> dict[str, float]:
        """To push a cover aside, or to lift what is under it."""
        places = range(len(self._world.places))
        return {f"uncover {i}": UNCOVER_S for i in places} | {f"lift {i}": math.inf for i in places}

    def set_option(self, carry: _Rummaging, which: NDArray[np.intp]) -> _Rummaging:
        """Sets out to uncover, or to lift, `(n,)`; what is bare already is not uncovered again."""
        lifts, place = np.divmod(np.asarray(which), len(self._world.places))
        bare = carry.bare[np.arange(len(place)), place]
        phase = np.where(bare, np.where(lifts == 1, OVER, RAISE), ASIDE)
        return replace(carry, place=place, seen=lifts == 1, phase=phase, waited=np.zeros_like(place))

    def act(self, carry: _Rummaging, obs: NDArray, first: NDArray) -> tuple[_Rummaging, NDArray]:
        """Returns actions `(n, J)`."""
        now = self._begin(carry, first)
        self._look(now, obs)
        self._move_on(now, self._driver.angles(obs))
        return now, self._driver.drive(obs, self._wanted(now), free=now.phase != CLOSE)

    def _begin(self, carry: _Rummaging, first: NDArray) -> _Rummaging:
        bare = carry.bare & ~first[:, None]
        if self._directed:
            return replace(carry, bare=bare, waited=carry.waited + 1)
        n, k = len(first), len(self._world.places)
        place = np.zeros(n, np.intp) if self._heuristic else chosen(self._truth, carry.generator, n, k)
        return replace(
            carry,
            phase=np.where(first, ASIDE, carry.phase),
            place=np.where(first, place, carry.place),
            seen=np.where(first, not self._heuristic, carry.seen),
            bare=bare,
            waited=np.where(first, 0, carry.waited + 1),
        )

    def _look(self, now: _Rummaging, obs: NDArray) -> None:
        if not self._heuristic:
            return
        beams = self._world.sightings(obs)
        place = beams.argmax(axis=1)
        found = ~now.seen & (beams.max(axis=1) >= SEEN)
        elsewhere = found & (place != now.place)
        bare = now.bare[np.arange(len(place)), place]
        ahead = (now.phase == PUSH) & (place > now.place)  # it goes on to that cover
        now.phase[elsewhere] = np.where(bare, RAISE, np.where(ahead, PUSH, ASIDE))[elsewhere]
        now.waited[elsewhere] = 0
        now.place[found] = place[found]
        now.seen |= found

    def _wanted(self, now: _Rummaging) -> NDArray[np.float64]:
        """Angles of all joints, `(n, J)`."""
        wanted = self._poses[now.phase].copy()
        wanted[:, 0] += self._world.places[now.place] + self._shift[now.phase]
        return wanted

    def _move_on(self, now: _Rummaging, angles: NDArray) -> None:
        """Goes to the next phase where this one is over."""
        phase = now.phase.copy()
        off = self._wanted(now) - angles
        arrived = np.where(phase == PUSH, off[:, 0] < SHORT, near(off, TURNED[phase], THERE[phase]))
        late = now.waited > PATIENCE
        done = np.where(phase == CLOSE, now.waited >= GRASP, (arrived & (phase != LIFT)) | late)
        pushed = done & (phase == PUSH)
        now.bare[pushed, now.place[pushed]] = True
        done &= ~(self._directed & (phase == RAISE) & ~now.seen)  # waits to be told
        now.phase[done] = AFTER[phase[done]]
        next_one = pushed & ~now.seen & ~np.bool_(self._directed)
        now.place[next_one] = (now.place[next_one] + 1) % len(self._world.places)
        now.phase[next_one] = PUSH
        now.waited[done] = 0
