"""Players of Heft: they bring a cube to the pad, and the heuristic one lifts cubes until it has felt the heavy one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from embodied_policies.scripted.arm import ArmDriver

THERE = 0.015  # rad, of the slowest joint
GRASP, RELEASE = 5, 6  # decisions that the fingers are given
WEIGHED = 4  # decisions of a lift whose loads count, after its first
LOWERING = 8  # decisions, after which a cube that goes down is on the table
PATIENCE = 15  # decisions, after which a pose counts as reached
OVER, DOWN, CLOSE, LIFT, CARRY, LOWER, OPEN, RAISE = range(8)
TOUCHING = (CLOSE, LOWER, OPEN)
UNDECIDED = -1


@dataclass(frozen=True)
class HeftWorld:
    """What the players know of the task.

    Attributes:
        places: angles of the shoulder at which the cubes stand, `(K,)`, and the pad [rad].
        pad: the same of the pad.
        over, reach, lift: angles of the arm with the hand above a cube that it goes to, around it, and lifting it
            straight up, `(J,)` [rad].
        carry, place: angles with a cube in hand above a place, and on it, `(J,)` [rad].
        opened, closed: angles of the fingers [rad].
        more: load of the arm while it lifts, shoulder and elbow together, that the heavy cube takes more than others.
    """

    places: NDArray[np.float64]
    pad: float
    over: NDArray[np.float64]
    reach: NDArray[np.float64]
    lift: NDArray[np.float64]
    carry: NDArray[np.float64]
    place: NDArray[np.float64]
    opened: float
    closed: float
    more: float


@dataclass
class _Hefting:
    sag: NDArray[np.float64]  # (n, J), see `ArmDriver`
    phase: NDArray[np.intp]
    cube: NDArray[np.intp]  # which one is dealt with
    choice: NDArray[np.intp]  # the one for the pad, or UNDECIDED
    load: NDArray[np.float64]  # (n, K), what the lift of each has taken; NaN before
    waited: NDArray[np.intp]
    generator: np.random.Generator


class CubeLifter:
    """Lifts cubes and brings one to the pad; commands velocities of the joints.

    Args:
        driver: of the arm.
        world: what it knows.
        heuristic: lifts cubes before the choice.
        truth: returns the heavy cube, `(n,)`; None to pick one at random.
    """

    def __init__(
        self,
        driver: ArmDriver,
        world: HeftWorld,
        heuristic: bool = False,
        truth: Callable[[], NDArray] | None = None,
    ) -> None:
        self._load = driver.layout.slice("load")
        self._driver, self._world, self._heuristic, self._truth = driver, world, heuristic, truth
        poses = {OVER: world.over, DOWN: world.reach, CLOSE: world.reach, LIFT: world.lift}
        poses |= {CARRY: world.carry, LOWER: world.place, OPEN: world.place, RAISE: world.over}
        self._poses = np.stack([poses[phase] for phase in range(len(poses))])
        closed = [phase in (CLOSE, LIFT, CARRY, LOWER) for phase in range(len(poses))]
        self._poses[:, -1] = np.where(closed, world.closed, world.opened)

    def initial(self, n: int, seed: int) -> _Hefting:
        """Returns the carry before an episode."""
        none = np.zeros(n, np.intp)
        load = np.zeros((n, len(self._world.places)))
        return _Hefting(self._driver.initial(n), none, none, none, load, none, np.random.default_rng(seed))

    def act(self, carry: _Hefting, obs: NDArray, first: NDArray) -> tuple[_Hefting, NDArray]:
        """Returns actions `(n, J)`."""
        angles = self._driver.angles(obs)
        now = self._begin(carry, first)
        load = -obs[:, self._load][:, 1:3].sum(axis=1)
        self._move_on(now, angles, load)
        free = ~np.isin(now.phase, TOUCHING)
        now.sag, action = self._driver.drive(now.sag, obs, self._wanted(now), free=free)
        return now, action

    def _begin(self, carry: _Hefting, first: NDArray) -> _Hefting:
        choice = np.where(first, self._choose(carry, len(first)), carry.choice)
        return replace(
            carry,
            sag=np.where(first[:, None], 0.0, carry.sag),
            phase=np.where(first, OVER, carry.phase),
            cube=np.where(first, np.maximum(choice, 0), carry.cube),
            choice=choice,
            load=np.where(first[:, None], 0.0, carry.load),
            waited=np.where(first, 0, carry.waited + 1),
        )

    def _choose(self, carry: _Hefting, n: int) -> NDArray[np.intp]:
        if self._heuristic:
            return np.full(n, UNDECIDED)
        if self._truth is not None:
            return np.asarray(self._truth(), np.intp)
        return carry.generator.integers(0, len(self._world.places), n)

    def _wanted(self, now: _Hefting) -> NDArray[np.float64]:
        """Angles of all joints, `(n, J)`."""
        wanted = self._poses[now.phase].copy()
        to_pad = (now.choice == now.cube) & np.isin(now.phase, (CARRY, LOWER, OPEN, RAISE))
        wanted[:, 0] += np.where(to_pad, self._world.pad, self._world.places[now.cube])
        return wanted

    def _move_on(self, now: _Hefting, angles: NDArray, load: NDArray) -> None:
        """Goes to the next phase where this one is over."""
        phase = now.phase.copy()
        off = np.abs(self._wanted(now) - angles)[:, :-1].max(axis=1)
        late = now.waited > np.where(phase == LOWER, LOWERING, PATIENCE)
        arrived = (off < THERE) | late
        weighing = (phase == LIFT) & (now.waited >= 1) & (now.waited <= WEIGHED)
        now.load[np.arange(len(load)), now.cube] += np.where(weighing, load / WEIGHED, 0.0)
        done = np.isin(phase, (OVER, DOWN, LIFT, CARRY, LOWER, RAISE)) & arrived
        done &= (phase != LIFT) | (now.waited > WEIGHED)
        done |= (phase == CLOSE) & (now.waited >= GRASP)
        done |= (phase == OPEN) & (now.waited >= RELEASE)
        lifted = done & (phase == LIFT)
        self._settle(now, lifted)
        now.phase[done] = phase[done] + 1
        light = lifted & (now.choice != now.cube)
        now.phase[light] = LOWER
        raised = done & (phase == RAISE)
        now.cube[raised] = np.where(now.choice == UNDECIDED, now.cube + 1, now.choice)[raised]
        now.phase[raised] = OVER
        now.waited[done] = 0

    def _settle(self, now: _Hefting, lifted: NDArray) -> None:
        """Decides once all cubes but one have been lifted: on the one that took more, or on the last."""
        penultimate = len(self._world.places) - 2
        felt = lifted & (now.choice == UNDECIDED) & (now.cube == penultimate)
        loads = now.load[:, : penultimate + 1]
        differs = loads.max(axis=1) - loads.min(axis=1) > self._world.more
        now.choice[felt] = np.where(differs, loads.argmax(axis=1), penultimate + 1)[felt]
