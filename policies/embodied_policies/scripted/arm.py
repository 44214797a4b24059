"""How scripted players drive an arm by velocities of its joints: towards angles, against the sag of its servos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embodied.layout import Layout

GAIN = 0.75  # share of what is left to go by which a goal moves per decision
GENTLE = 0.3  # of that, where the hand touches something that it must not press away
LEAD = 0.25  # rad, by which a goal is at most ahead of its joint


def near(off: NDArray, turn: NDArray | float, rest: NDArray | float) -> NDArray[np.bool_]:
    """Where an arm is as good as there, `(n,)`.

    Args:
        off: how far its joints are from there, that of the fingers last, `(n, J)` [rad].
        turn: how far the shoulder may be, the first joint, `(n,)`; rest: the others but the fingers, `(n,)` [rad].
    """
    off = np.abs(off)
    return (off[:, 0] < turn) & (off[:, 1:-1] < np.reshape(rest, (-1, 1))).all(axis=1)


def chosen(
    truth: Callable[[], NDArray] | None, generator: np.random.Generator, n: int, choices: int
) -> NDArray[np.intp]:
    """What who does not look sets out for, `(n,)`: the truth if it knows it, else one of the choices at random."""
    return generator.integers(0, choices, n) if truth is None else np.asarray(truth(), np.intp)


@dataclass(frozen=True)
class ArmDriver:
    """Turns wanted angles of J joints into actions that are velocities of their targets.

    A goal moves on for as long as its joint is not where it is wanted, so that a servo that sags under a weight is told
    to go beyond. Nothing is remembered: what the servos were told is read from them, and is the integral of the error.

    Attributes:
        layout: of the observation, with `angle` and `goal`.
        top_speed: what an action of 1 means, `(J,)` [rad/s]; decision_s: time between decisions [s].
    """

    layout: Layout
    top_speed: Sequence[float]
    decision_s: float

    def angles(self, obs: NDArray) -> NDArray[np.float64]:
        """Where the joints are, `(n, J)` [rad]."""
        return obs[:, self.layout.slice("angle")].astype(np.float64)

    def drive(
        self, obs: NDArray, wanted: NDArray, speed: NDArray | float = np.inf, free: NDArray | bool = True
    ) -> NDArray[np.float64]:
        """Returns actions `(n, J)` towards `wanted (n, J)`, at most at `speed (n, J)` [rad/s].

        Where the hand is not `free (n,)`, as it touches something, all joints but that of the fingers give way.
        """
        goal = obs[:, self.layout.slice("goal")].astype(np.float64)
        angles = self.angles(obs)
        top = np.asarray(self.top_speed)
        gain = np.where(np.reshape(free, (-1, 1)), GAIN, GAIN * GENTLE) * np.ones_like(angles)
        gain[:, -1] = GAIN
        ahead = np.clip(goal + gain * (wanted - angles), angles - LEAD, angles + LEAD)
        reach = np.minimum(top, speed) * self.decision_s
        return np.clip(ahead - goal, -reach, reach) / (top * self.decision_s)
