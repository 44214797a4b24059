"""Driving Scout by hand: dead reckoning from its wheels and gyro, and steering to points."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from embodied.layout import Layout

WHEEL_RADIUS = 0.035  # m
DECISION_S = 0.1
CRUISE = 0.7  # share of nominal voltage
STEERING = 0.6  # change of voltage share per radian
TURN_FIRST = 0.6  # rad, beyond which it turns on the spot
SPIN = 0.4  # share of nominal voltage


class Odometry:
    """Dead reckoning; poses are `(n, 3)`: x, y [m], heading [rad]."""

    def __init__(self, layout: Layout) -> None:
        self._wheels, self._gyro = layout.slice("wheel_speed"), layout.slice("gyro")

    def advance(self, pose: NDArray, obs: NDArray, seconds: NDArray | float = DECISION_S) -> NDArray:
        """Returns the poses `seconds` later, if wheels and gyro go on as `obs (n, dim)` tells."""
        way = WHEEL_RADIUS * obs[:, self._wheels].mean(axis=1) * seconds
        turn = obs[:, self._gyro][:, 0] * seconds
        return driven(pose, way, turn)


def driven(pose: NDArray, way: NDArray, turn: NDArray) -> NDArray[np.float64]:
    """Poses `(…, 3)` after driving `way (…)` [m] and turning `turn (…)` [rad] all along."""
    heading = pose[..., 2] + turn / 2
    x, y = pose[..., 0] + way * np.cos(heading), pose[..., 1] + way * np.sin(heading)
    return np.stack([x, y, heading + turn / 2], axis=-1)


def wrapped(angle: NDArray) -> NDArray:
    """The same angles in [−π, π)."""
    return (angle + math.pi) % (2 * math.pi) - math.pi


def bearing(pose: NDArray, points: NDArray) -> NDArray:
    """From the headings of poses `(…, 3)` to points `(…, 2)` [rad]."""
    way = points - pose[..., :2]
    return wrapped(np.arctan2(way[..., 1], way[..., 0]) - pose[..., 2])


def towards(pose: NDArray, goal: NDArray, cruise: float = CRUISE) -> tuple[NDArray, NDArray]:
    """Returns wheel commands `(n, 2)` that drive from poses `(n, 3)` to points `(n, 2)`, and the distances left [m]."""
    way = goal - pose[:, :2]
    distance = np.linalg.norm(way, axis=1)
    wheels = facing(pose, np.arctan2(way[:, 1], way[:, 0]), cruise * np.clip(distance / 0.25, 0.4, 1.0))
    return wheels, distance


def facing(pose: NDArray, heading: NDArray | float, speed: NDArray | float) -> NDArray:
    """Returns wheel commands `(n, 2)` that turn to `heading`, and drive at `speed` once it is nearly ahead."""
    off = wrapped(heading - pose[:, 2])
    spin = np.clip(off / 0.35, -1, 1) * SPIN
    steer = STEERING * off
    on_the_spot = np.abs(off) > TURN_FIRST
    left = np.where(on_the_spot, -spin, speed - steer)
    right = np.where(on_the_spot, spin, speed + steer)
    return np.stack([left, right], axis=1)


def commands(wheels: NDArray, pan: NDArray | float, *declarations: NDArray) -> NDArray[np.float32]:
    """Returns actions: wheels `(n, 2)`, head (share of a quarter turn, left positive) and declarations."""
    n = len(wheels)
    columns = [wheels, np.broadcast_to(pan, n), *declarations]
    return np.clip(np.column_stack(columns), -1, 1).astype(np.float32)
