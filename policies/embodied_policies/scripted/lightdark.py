"""BasePolicies of LightDark: they drive by dead reckoning, and the heuristic one finds itself in the light first."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from embodied.layout import Layout
from embodied_policies.scripted.driving import Odometry, commands, facing, towards
from embodied_policies.scripted.localize import at_lens, ranges_in_room

LOOKS = 8  # in the light, before it trusts where it is
ENOUGH = 0.8  # share of beams that must return something
ARRIVED = 0.05  # m
CREEP = 0.2  # of full speed, while it finds itself: who stands still has chosen its place
STROLL = 0.4  # of full speed, if it is to stay in the light for longer, and goes around in it
AROUND = 0.5  # m, from the middle of the light, within which it turns off to go around that
LIGHT_S = 2.0  # s, after which who seeks the light may think again
STEADY = 0.5  # rad/s, beyond which ranges of a ring are smeared
HEADINGS = np.linspace(-0.8, 0.8, 33)  # rad, looked through around the guess


@dataclass
class _Belief:
    pose: NDArray[np.float64]  # (n, 3), where it thinks it is
    looks: NDArray[np.intp]  # (n,), how often it has found itself in the light
    stopping: NDArray[np.bool_]
    leaves: NDArray[np.bool_]  # (n,), who has been told to set out for the goal


class PoseSeeker:
    """Drives to the goal and stops there.

    Args:
        half: of the room, x and y [m].
        start: the middle of where it may stand at first, x, y and heading.
        light: the middle of the light, x and y.
        heuristic: find itself in the light first.
        truth: returns the true poses `(n, 3)`.
        directed: as the heuristic one, but leaves for the goal when it is told to (`set_option`).
    """

    def __init__(
        self,
        layout: Layout,
        half: tuple[float, float],
        goal: NDArray,
        start: tuple[float, float, float],
        light: tuple[float, float] = (0.0, 0.0),
        heuristic: bool = False,
        truth: Callable[[], NDArray] | None = None,
        directed: bool = False,
    ) -> None:
        self._odometry = Odometry(layout)
        self._gyro, self._age = layout.slice("gyro"), layout.slice("ring/age").start
        self._ranges, self._valid = layout.slice("ring/range"), layout.slice("ring/valid")
        self._half, self._goal, self._start = np.array(half), goal, np.array(start)
        self._light = np.array(light)
        self._heuristic, self._truth, self._directed = heuristic or directed, truth, directed
        beams = self._ranges.stop - self._ranges.start
        self._angles = np.linspace(math.pi, -math.pi, beams, endpoint=False)

    def initial(self, n: int, seed: int) -> _Belief:
        """Returns the belief before an episode."""
        none = np.zeros(n, bool)
        return _Belief(np.tile(self._start, (n, 1)), np.zeros(n, np.intp), none, none)

    @property
    def options(self) -> dict[str, float]:
        """To make for the light and find itself there, for a while; or to stop on the goal."""
        return {"seek light": LIGHT_S, "stop on goal": math.inf}

    def set_option(self, carry: _Belief, which: NDArray[np.intp]) -> _Belief:
        """Sets out for the light, or for the goal, `(n,)`."""
        return replace(carry, leaves=np.asarray(which) == 1)

    def inform(self, carry: _Belief, estimate: NDArray[np.float64]) -> _Belief:
        """Takes over where a filter has it stand, `(n, 3)`."""
        return replace(carry, pose=np.asarray(estimate, np.float64))

    def act(self, carry: _Belief, obs: NDArray, first: NDArray) -> tuple[_Belief, NDArray]:
        """Returns actions `(n, 3)`: wheels and head, which is kept ahead."""
        n = len(obs)
        pose = np.where(first[:, None], self._start, self._odometry.advance(carry.pose, obs))
        looks = np.where(first, 0, carry.looks)
        stopping = carry.stopping & ~first
        if self._truth is not None:
            pose = self._truth()
        elif self._heuristic:
            steady = np.abs(obs[:, self._gyro][:, 0]) < STEADY
            sees = steady & (obs[:, self._valid].mean(axis=1) > ENOUGH)
            late = obs[sees, self._age]
            then = self._find(self._odometry.advance(pose[sees], obs[sees], -late), obs[sees], looks[sees] > 0)
            fixed = self._odometry.advance(then, obs[sees], late)
            looks[sees] += 1
            weight = 1 / np.minimum(looks[sees], LOOKS)[:, None]
            pose[sees] += weight * (fixed - pose[sees])
        leaves = carry.leaves & ~first
        found = leaves if self._directed else looks >= (LOOKS if self._heuristic else 0)
        to_light = facing(pose, math.pi, 0.7)
        to_goal, distance = towards(pose, np.tile(self._goal, (n, 1)))
        stopping = stopping | (found & (distance < ARRIVED))
        wheels = np.where(found[:, None], to_goal, to_light)
        wheels[(looks > 0) & ~found] = CREEP
        stays = (looks >= LOOKS) & ~found
        wheels[stays] = self._around(pose[stays])
        wheels[stopping] = 0
        return _Belief(pose, looks, stopping, leaves), commands(wheels, 0.0)

    def _around(self, pose: NDArray) -> NDArray:
        """Wheel commands `(n, 2)` that go around in the light: who stands still has chosen its place."""
        way = self._light - pose[:, :2]
        near = np.clip(1 - np.linalg.norm(way, axis=1) / AROUND, 0, 1)
        return facing(pose, np.arctan2(way[:, 1], way[:, 0]) + near * math.pi / 2, STROLL)

    def _find(self, guess: NDArray, obs: NDArray, again: NDArray) -> NDArray:
        """Returns poses `(n, 3)` from a ring of ranges: looks for the heading at first, then fits."""
        ranges, valid = obs[:, self._ranges].astype(float), obs[:, self._valid] > 0.5
        lens = at_lens(guess)
        fresh = ~again.astype(bool)
        lens[fresh] = self._by_extent(lens[fresh], ranges[fresh], valid[fresh])
        for _ in range(4):
            lens = self._refined(lens, ranges, valid)
        return at_lens(lens, -1.0)

    def _by_extent(self, guess: NDArray, ranges: NDArray, valid: NDArray) -> NDArray:
        """The heading in which the points that were met span the room best, and where that puts the ring."""
        if not len(guess):
            return guess
        heading = guess[:, 2, None] + HEADINGS
        angle = heading[:, :, None] + self._angles
        seen = valid[:, None]
        points = ranges[:, None, :, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        low = np.where(seen[..., None], points, np.inf).min(axis=2)
        high = np.where(seen[..., None], points, -np.inf).max(axis=2)
        best = np.abs(high - low - 2 * self._half).sum(axis=-1).argmin(axis=1)
        rows = np.arange(len(guess))
        xy = -(high + low)[rows, best] / 2
        return np.column_stack([xy, heading[rows, best]])

    def _refined(self, pose: NDArray, ranges: NDArray, valid: NDArray) -> NDArray:
        """One step of Gauss and Newton on the ranges that were met."""
        tiny = 1e-4
        from_there = partial(ranges_in_room, angles=self._angles, half=self._half)
        expected = from_there(pose)
        slope = np.stack([(from_there(pose + tiny * axis) - expected) / tiny for axis in np.eye(3)], axis=2)
        error = np.where(valid & (np.abs(ranges - expected) < 0.5), ranges - expected, 0.0)
        slope = np.where(valid[..., None], slope, 0.0)
        normal = np.einsum("nbi,nbj->nij", slope, slope) + 1e-6 * np.eye(3)
        step = np.linalg.solve(normal, np.einsum("nbi,nb->ni", slope, error)[..., None])[..., 0]
        return pose + np.clip(step, -0.3, 0.3)
