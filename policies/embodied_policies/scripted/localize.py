"""A particle filter for where robots are in a room: wheels and gyro to go on, a ring of ranges to see by.

Each particle also carries what is wrong with its wheels and its gyro, which stays for an episode.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from embodied.layout import Layout
from embodied.mind.particles import systematic
from embodied_policies.scripted.driving import DECISION_S, WHEEL_RADIUS, driven, wrapped

LENS = 0.057  # m, the ring is before the middle of the robot
WAY_NOISE = (0.0028, 0.3)  # m per decision, and the share of a change of speed that is missed
TURN_NOISE = (0.0056, 0.6)  # rad per decision, and the same
BODY = 0.094  # m, from the middle of a robot to a wall that it touches
TOUCH = 0.004  # m, spread of that: it yields a little, and is not round
RUBS = 0.05  # m, the gap to a wall below which it may rub along it
RUBBING_NOISE = 0.3  # of the way along a wall, as a share of it
SLIP = (-0.02, 0.02)  # relative error of the way, mean and spread over episodes
GYRO_BIAS = 0.02  # rad/s, spread over episodes
STRAY = 0.02  # share of returns that are from something that is not known, anywhere up to 5 m
SURFACE = 0.028  # m, spread of ranges beside the sensor's own: when a frame was taken is known only about
ENOUGH = 0.5  # effective share of the particles, below which they are resampled
FOLLOWS = (
    0.25  # effective share of the particles that one frame leaves at least; what more it tells is left to the next
)
SHRINK = 0.3  # by how much of their spread new particles differ from those they were drawn from (Liu & West 2001)


@dataclass
class PoseBelief:
    """P weighted poses in each of n worlds.

    Attributes:
        pose: x, y [m] and heading [rad], `(n, P, 3)`.
        fault: relative error of the way, and bias of the gyro [rad/s], `(n, P, 2)`.
        step: way [m] and turn [rad] of each in the decision before, `(n, P, 2)`.
        log_weights: `(n, P)`; pace: way and turn as wheels and gyro told, `(n, 2)`.
    """

    pose: NDArray[np.float64]
    fault: NDArray[np.float64]
    step: NDArray[np.float64]
    log_weights: NDArray[np.float64]
    pace: NDArray[np.float64]
    generator: np.random.Generator

    @property
    def weights(self) -> NDArray[np.float64]:
        """Probabilities, `(n, P)`."""
        w = np.exp(self.log_weights - self.log_weights.max(axis=1, keepdims=True))
        return w / w.sum(axis=1, keepdims=True)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean poses, `(n, 3)`."""
        w = self.weights
        turn = [np.einsum("np,np->n", w, f(self.pose[..., 2])) for f in (np.sin, np.cos)]
        return np.column_stack([np.einsum("np,npd->nd", w, self.pose[..., :2]), np.arctan2(*turn)])

    def sample(self, world: int, k: int) -> NDArray[np.float64]:
        """Draws `k` poses of one world, `(k, 3)`."""
        return self.pose[world, systematic(self.weights[world], k, self.generator)]

    def within(self, pose: NDArray) -> NDArray[np.float64]:
        """How much of the belief lies in the ellipsoid around the mean that just reaches poses `(n, 3)`, `(n,)`."""
        w, off = self.weights, self._off(self.pose)
        covariance = np.einsum("np,npi,npj->nij", w, off, off) + 1e-12 * np.eye(3)
        inverse = np.linalg.inv(covariance)
        distance = np.einsum("npi,nij,npj->np", off, inverse, off)
        own = self._off(pose[:, None])[:, 0]
        return np.where(distance < np.einsum("ni,nij,nj->n", own, inverse, own)[:, None], w, 0.0).sum(axis=1)

    def points(self, worlds: NDArray) -> NDArray[np.float64]:
        """Pose, fault and step of each particle of some worlds, `(r, P, 7)`."""
        return np.concatenate([self.pose[worlds], self.fault[worlds], self.step[worlds]], axis=2)

    def place(self, worlds: NDArray, points: NDArray) -> None:
        """Puts the particles of some worlds at `points (r, P, 7)`, all as likely."""
        for part, columns in ((self.pose, slice(0, 3)), (self.fault, slice(3, 5)), (self.step, slice(5, 7))):
            part[worlds] = points[..., columns]
        self.log_weights[worlds] = -math.log(points.shape[1])

    def _off(self, pose: NDArray) -> NDArray[np.float64]:
        off = pose - self.mean[:, None]
        off[..., 2] = wrapped(off[..., 2])
        return off


class PoseFilter:
    """Tracks poses from observations.

    Args:
        half: of the room, x and y [m].
        prior: the ranges of x, y [m] and heading [rad] at the start of an episode, `(3, 2)`.
        light: brightness, 0 to 1, at x `(…,)` [m].
        noise: spread of ranges in full light and in darkness, as a share of the range.
        returned: share of beams that return anything, in full light and in darkness.
        pillars: what stands in the room, x, y and radius [m], `(k, 3)`.
    """

    def __init__(
        self,
        layout: Layout,
        half: tuple[float, float],
        prior: NDArray,
        light: Callable[[NDArray], NDArray],
        noise: tuple[float, float],
        returned: tuple[float, float],
        particles: int = 400,
        pillars: Sequence[tuple[float, float, float]] = (),
    ) -> None:
        self._pillars = pillars
        self._half, self._prior, self._light = np.array(half), np.asarray(prior, np.float64), light
        self._noise, self._returned, self._particles = noise, returned, particles
        self._wheels, self._gyro = layout.slice("wheel_speed"), layout.slice("gyro")
        self._ranges, self._valid = layout.slice("ring/range"), layout.slice("ring/valid")
        self._age, self._new = layout.slice("ring/age").start, layout.slice("ring/new").start
        beams = self._ranges.stop - self._ranges.start
        self._angles = np.linspace(math.pi, -math.pi, beams, endpoint=False)

    def initial(self, n: int, seed: int) -> PoseBelief:
        """Returns the belief before an episode: the prior."""
        rng = np.random.default_rng(seed)
        p = self._particles
        pose = rng.uniform(self._prior[:, 0], self._prior[:, 1], (n, p, 3))
        fault = np.stack([rng.normal(*SLIP, (n, p)), rng.normal(0, GYRO_BIAS, (n, p))], axis=2)
        return PoseBelief(pose, fault, np.zeros((n, p, 2)), np.full((n, p), -math.log(p)), np.zeros((n, 2)), rng)

    def update(self, belief: PoseBelief, obs: NDArray, first: NDArray) -> PoseBelief:
        """Takes in observations `(n, dim)`; where `first`, an episode begins."""
        pace = self.pace(obs)
        belief = replace(belief, pace=np.where(first[:, None], 0.0, belief.pace), fault=belief.fault.copy())
        moved = self._moved(belief, pace)
        if first.any():
            fresh = self.initial(len(obs), int(belief.generator.integers(2**31)))
            for mine, new in ((moved.pose, fresh.pose), (moved.fault, fresh.fault), (moved.step, fresh.step)):
                mine[first] = new[first]
            moved.log_weights[first] = fresh.log_weights[first]
        fresh_worlds = np.flatnonzero(obs[:, self._new] > 0.5)
        if fresh_worlds.size:
            gain = self.log_likelihood(moved.pose[fresh_worlds], obs[fresh_worlds], moved.step[fresh_worlds])
            moved.log_weights[fresh_worlds] += _digestible(gain, moved.log_weights[fresh_worlds]) * gain
            moved.log_weights -= moved.log_weights.max(axis=1, keepdims=True)
        return self._renewed(moved)

    def pace(self, obs: NDArray) -> NDArray[np.float64]:
        """Way [m] and turn [rad] of a decision, as wheels and gyro tell, `(n, 2)`."""
        way = WHEEL_RADIUS * obs[:, self._wheels].mean(axis=1).astype(np.float64) * DECISION_S
        return np.column_stack([way, obs[:, self._gyro][:, 0] * DECISION_S])

    def evidence(self, pose: NDArray, obs: NDArray) -> NDArray[np.float64]:
        """ln likelihood of poses `(n, P, 3)` by what was observed there, `(n, P)`: 0 where no frame is new."""
        new = obs[:, self._new] > 0.5
        return np.where(new[:, None], self.log_likelihood(pose, obs, self.pace(obs)[:, None]), 0.0)

    def _moved(self, belief: PoseBelief, pace: NDArray) -> PoseBelief:
        """Where particles are now; readings are of the end of a decision, so the mean with those before is taken."""
        rng, shape = belief.generator, belief.log_weights.shape
        middle, change = 0.5 * (pace + belief.pace), np.abs(pace - belief.pace)
        spread = np.array([WAY_NOISE[0], TURN_NOISE[0]]) + np.array([WAY_NOISE[1], TURN_NOISE[1]]) * change
        step = middle[:, None] + spread[:, None] * rng.standard_normal((*shape, 2))
        rubs = (np.abs(belief.pose[..., :2]) > self._half - BODY - RUBS).any(axis=2)
        step[..., 0] += np.where(rubs, RUBBING_NOISE * middle[:, :1], 0.0) * rng.standard_normal(shape)
        way = step[..., 0] * (1 + belief.fault[..., 0])
        turn = step[..., 1] - belief.fault[..., 1] * DECISION_S
        pose = driven(belief.pose, way, turn)
        wall = self._half - BODY + TOUCH * rng.standard_normal(pose[..., :2].shape)
        pose[..., :2] = pose[..., :2].clip(-wall, wall)
        step = np.stack([way, turn], axis=2)
        return PoseBelief(pose, belief.fault, step, belief.log_weights.copy(), pace, rng)

    def log_likelihood(self, pose: NDArray, obs: NDArray, pace: NDArray) -> NDArray[np.float64]:
        """How well poses `(n, P, 3)` explain the ring's frames, taken a while ago, `(n, P)`.

        Args:
            pace: way and turn of each in a decision, until now, `(n, P or 1, 2)`.
        """
        back = -(obs[:, self._age].astype(np.float64) / DECISION_S)[:, None]
        then = driven(pose, back * pace[..., 0], back * pace[..., 1])
        ranges, valid = obs[:, self._ranges].astype(np.float64)[:, None], obs[:, self._valid][:, None] > 0.5
        expected = np.maximum(ranges_in_room(at_lens(then), self._angles, self._half, self._pillars), 0.01)
        light = self._light(then[..., 0])[..., None]
        share = self._noise[1] + (self._noise[0] - self._noise[1]) * light
        returned = self._returned[1] + (self._returned[0] - self._returned[1]) * light
        spread = np.hypot(share * expected, SURFACE)
        density = np.exp(-0.5 * ((ranges - expected) / spread) ** 2) / (spread * math.sqrt(2 * math.pi))
        density = (1 - STRAY) * density + STRAY / 5.0
        return np.log(np.where(valid, returned * density, 1 - returned)).sum(axis=2)

    def _renewed(self, belief: PoseBelief) -> PoseBelief:
        """Draws particles anew where few of them carry the belief, with its mean and its spread as they are."""
        worlds = np.flatnonzero(_effective(belief.log_weights) < ENOUGH * self._particles)
        if worlds.size:
            weights, points = belief.weights[worlds], belief.points(worlds)
            chosen = systematic(weights, self._particles, belief.generator)
            mean = np.einsum("rp,rpd->rd", weights, points)[:, None]
            off = points - mean
            covariance = np.einsum("rp,rpi,rpj->rij", weights, off, off, optimize=True)
            root = np.linalg.cholesky(covariance + 1e-12 * np.eye(points.shape[2]))
            kept = np.take_along_axis(off, chosen[..., None], axis=1)
            noise = belief.generator.standard_normal(points.shape) @ root.swapaxes(1, 2)
            belief.place(worlds, mean + math.sqrt(1 - SHRINK**2) * kept + SHRINK * noise)
        return belief


def _effective(log_weights: NDArray) -> NDArray[np.float64]:
    """The effective number of particles in each row."""
    w = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
    return w.sum(axis=1) ** 2 / (w**2).sum(axis=1)


def _digestible(log_likelihood: NDArray, log_weights: NDArray) -> NDArray[np.float64]:
    """The largest power, at most 1, of a likelihood that leaves enough particles effective, `(n, 1)`."""
    least = FOLLOWS * np.minimum(_effective(log_weights), log_weights.shape[1])
    low, high = np.zeros((len(least), 1)), np.ones((len(least), 1))
    power = high
    for _ in range(10):
        enough = (_effective(log_weights + power * log_likelihood) >= least)[:, None]
        low, high = np.where(enough, power, low), np.where(enough, high, power)
        power = np.where(low == 1, 1.0, 0.5 * (low + high))
    return np.where(low == 0, power, low)


def moved_alike(pose: NDArray, start: NDArray, others: NDArray) -> NDArray[np.float64]:
    """Where who started at `others (…, 3)` would be, moving as one did from `start` to `pose (…, 3)`."""
    way, turn = pose[..., :2] - start[..., :2], others[..., 2] - start[..., 2]
    c, s = np.cos(turn), np.sin(turn)
    x, y = c * way[..., 0] - s * way[..., 1], s * way[..., 0] + c * way[..., 1]
    return np.stack([others[..., 0] + x, others[..., 1] + y, pose[..., 2] + turn], axis=-1)


def at_lens(pose: NDArray, sign: float = 1.0) -> NDArray[np.float64]:
    """Where the ring of robots at `pose (…, 3)` is; with `sign` −1, where robots are whose ring is there."""
    heading = pose[..., 2]
    ahead = np.stack([np.cos(heading), np.sin(heading), np.zeros_like(heading)], axis=-1)
    return pose + sign * LENS * ahead


def ranges_in_room(
    ring: NDArray, angles: NDArray, half: NDArray, pillars: Sequence[tuple[float, float, float]] = ()
) -> NDArray[np.float64]:
    """The ranges from rings at `(…, 3)` to the walls of a room and to pillars in it, `(…, beams)` [m]."""
    angle = ring[..., 2, None] + angles
    way = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    with np.errstate(divide="ignore"):
        to_wall = (np.sign(way) * half - ring[..., None, :2]) / way
    ranges = np.where(np.abs(way) > 1e-9, to_wall, np.inf).min(axis=-1)
    for x, y, radius in pillars:
        off = np.array([x, y]) - ring[..., None, :2]
        along = (off * way).sum(axis=-1)
        within = radius**2 - ((off**2).sum(axis=-1) - along**2)
        meets = (within > 0) & (along > 0)
        ranges = np.where(meets, np.minimum(ranges, along - np.sqrt(np.maximum(within, 0.0))), ranges)
    return ranges
