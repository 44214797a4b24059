"""Players of Heft: they bring a cube to the pad, and the heuristic one lifts cubes until it has felt the heavy one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from embodied_policies.scripted.arm import ArmDriver, chosen, near

GRASP, RELEASE = 8, 8  # decisions that the fingers are given, with half of their torque
WEIGHED = 4  # decisions of a lift whose loads count, after its first
LOWERING = 8  # decisions, after which a cube that goes down is on the table
WEIGH_S, BRING_S = 5.0, 8.0  # s, after which who weighs, or brings, may think again
PATIENCE = 15  # decisions, after which a pose counts as reached
OVER, DOWN, CLOSE, LIFT, CARRY, LOWER, OPEN, RAISE = range(8)
TOUCHING = (CLOSE, LOWER, OPEN)
UNDECIDED = NONE = -1
ANY = math.inf  # rad
TURNED = np.array([0.04, 0.04, ANY, ANY, 0.03, 0.03, ANY, ANY])  # rad, how near the shoulder must be, by phase
THERE = np.array([ANY, 0.02, ANY, 0.05, ANY, 0.02, ANY, 0.1])  # rad, and the other joints


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
    phase: NDArray[np.intp]
    cube: NDArray[np.intp]  # which one is dealt with
    told: NDArray[np.intp]  # which one is to be dealt with as soon as the hand is empty, or NONE
    choice: NDArray[np.intp]  # the one for the pad, or UNDECIDED
    load: NDArray[np.float64]  # (n, K), what the lift of each has taken; 0 before
    waited: NDArray[np.intp]
    generator: np.random.Generator


class CubeLifter:
    """Lifts cubes and brings one to the pad; commands velocities of the joints.

    Args:
        driver: of the arm.
        world: what it knows.
        heuristic: lifts cubes before the choice.
        truth: returns the heavy cube, `(n,)`; None to pick one at random.
        directed: weighs, or brings to the pad, the cube that it is told to (`set_option`).
    """

    def __init__(
        self,
        driver: ArmDriver,
        world: HeftWorld,
        heuristic: bool = False,
        truth: Callable[[], NDArray] | None = None,
        directed: bool = False,
    ) -> None:
        self._load = driver.layout.slice("load")
        self._driver, self._world, self._heuristic, self._truth = driver, world, heuristic, truth
        self._directed = directed
        poses = {OVER: world.over, DOWN: world.reach, CLOSE: world.reach, LIFT: world.lift}
        poses |= {CARRY: world.carry, LOWER: world.place, OPEN: world.place, RAISE: world.over}
        self._poses = np.stack([poses[phase] for phase in range(len(poses))])
        closed = [phase in (CLOSE, LIFT, CARRY, LOWER) for phase in range(len(poses))]
        self._poses[:, -1] = np.where(closed, world.closed, world.opened)

    def initial(self, n: int, seed: int) -> _Hefting:
        """Returns the carry before an episode."""
        none, told = np.zeros(n, np.intp), np.full(n, NONE)
        load = np.zeros((n, len(self._world.places)))
        return _Hefting(none, none, told, told, load, none, np.random.default_rng(seed))

    @property
    def options(self) -> dict[str, float]:
        """To weigh a cube and put it back, or to bring it to the pad."""
        cubes = range(len(self._world.places))
        return {f"weigh {i}": WEIGH_S for i in cubes} | {f"bring {i}": BRING_S for i in cubes}

    def set_option(self, carry: _Hefting, which: NDArray[np.intp]) -> _Hefting:
        """Sets out to weigh a cube, or to bring it, `(n,)`; another one in the hand is put back first."""
        brings, cube = np.divmod(np.asarray(which), len(self._world.places))
        empty = np.isin(carry.phase, (OVER, RAISE))
        other = cube != carry.cube
        back = other & np.isin(carry.phase, (CLOSE, LIFT, CARRY))
        up = other & (carry.phase == DOWN)
        phase = np.where(back, LOWER, np.where(up, RAISE, np.where(empty, OVER, carry.phase)))
        changes = phase != carry.phase
        return replace(
            carry,
            phase=phase,
            cube=np.where(empty, cube, carry.cube),
            told=np.where(empty, NONE, cube),
            choice=np.where(brings == 1, cube, UNDECIDED),
            waited=np.where(changes, 0, carry.waited),
        )

    def act(self, carry: _Hefting, obs: NDArray, first: NDArray) -> tuple[_Hefting, NDArray]:
        """Returns actions `(n, J)`."""
        angles = self._driver.angles(obs)
        now = self._begin(carry, first)
        load = -obs[:, self._load][:, 1:3].sum(axis=1)
        self._move_on(now, angles, load)
        free = ~np.isin(now.phase, TOUCHING)
        return now, self._driver.drive(obs, self._wanted(now), free=free)

    def _begin(self, carry: _Hefting, first: NDArray) -> _Hefting:
        if self._directed:
            return replace(carry, waited=carry.waited + 1)
        choice = np.where(first, self._choose(carry, len(first)), carry.choice)
        return replace(
            carry,
            phase=np.where(first, OVER, carry.phase),
            cube=np.where(first, np.maximum(choice, 0), carry.cube),
            choice=choice,
            load=np.where(first[:, None], 0.0, carry.load),
            waited=np.where(first, 0, carry.waited + 1),
        )

    def _choose(self, carry: _Hefting, n: int) -> NDArray[np.intp]:
        if self._heuristic:
            return np.full(n, UNDECIDED)
        return chosen(self._truth, carry.generator, n, len(self._world.places))

    def _wanted(self, now: _Hefting) -> NDArray[np.float64]:
        """Angles of all joints, `(n, J)`."""
        wanted = self._poses[now.phase].copy()
        to_pad = (now.choice == now.cube) & np.isin(now.phase, (CARRY, LOWER, OPEN, RAISE))
        wanted[:, 0] += np.where(to_pad, self._world.pad, self._world.places[now.cube])
        return wanted

    def _move_on(self, now: _Hefting, angles: NDArray, load: NDArray) -> None:
        """Goes to the next phase where this one is over."""
        phase = now.phase.copy()
        late = now.waited > np.where(phase == LOWER, LOWERING, PATIENCE)
        arrived = near(self._wanted(now) - angles, TURNED[phase], THERE[phase]) | late
        weighing = (phase == LIFT) & (now.waited >= 1) & (now.waited <= WEIGHED)
        now.load[np.arange(len(load)), now.cube] += np.where(weighing, load / WEIGHED, 0.0)
        done = np.isin(phase, (OVER, DOWN, LIFT, CARRY, LOWER, RAISE)) & arrived
        done &= (phase != LIFT) | (now.waited > WEIGHED)
        done |= (phase == CLOSE) & (now.waited >= GRASP)
        done |= (phase == OPEN) & (now.waited >= RELEASE)
        lifted = done & (phase == LIFT)
        if not self._directed:
            self._settle(now, lifted)
        now.phase[done] = phase[done] + 1
        light = lifted & (now.choice != now.cube)
        now.phase[light] = LOWER
        self._go_on(now, done & (phase == RAISE))
        now.waited[done] = 0

    def _go_on(self, now: _Hefting, raised: NDArray) -> None:
        """Turns to the next cube where the hand is empty and up again; who is directed waits to be told of it."""
        following = np.where(now.choice == UNDECIDED, now.cube + 1, now.choice)
        if self._directed:
            following = np.where(now.told == NONE, now.cube, now.told)
        now.cube[raised] = following[raised]
        waits = self._directed & (now.told == NONE)
        now.phase[raised] = np.where(waits, RAISE, OVER)[raised]
        now.told[raised] = NONE

    def _settle(self, now: _Hefting, lifted: NDArray) -> None:
        """Decides once all cubes but one have been lifted: on the one that took more, or on the last."""
        penultimate = len(self._world.places) - 2
        felt = lifted & (now.choice == UNDECIDED) & (now.cube == penultimate)
        loads = now.load[:, : penultimate + 1]
        differs = loads.max(axis=1) - loads.min(axis=1) > self._world.more
        now.choice[felt] = np.where(differs, loads.argmax(axis=1), penultimate + 1)[felt]
