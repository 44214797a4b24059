"""How scripted players drive an arm by velocities of its joints: towards angles, against the sag of its servos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embodied.layout import Layout

LEARNED, MOST_SAG = 0.25, 0.25  # share of an error per decision, and all of them together [rad]
NEARLY = 0.15  # rad, up to which an error is that of a joint that sags, not of one on its way


@dataclass(frozen=True)
class ArmDriver:
    """Turns wanted angles of J joints into actions that are velocities of their targets.

    What the servos were told is read, not remembered: somebody else may have told them (DAgger).

    Attributes:
        layout: of the observation, with `angle` and `goal`.
        top_speed: what an action of 1 means, `(J,)` [rad/s]; decision_s: time between decisions [s].
        bears: of which joints errors are learned, as they bear weight, `(J,)`.
    """

    layout: Layout
    top_speed: Sequence[float]
    decision_s: float
    bears: Sequence[bool]

    def initial(self, n: int) -> NDArray[np.float64]:
        """Returns how far servos are told to go beyond where they are wanted, since they sag, `(n, J)` [rad]."""
        return np.zeros((n, len(self.top_speed)))

    def angles(self, obs: NDArray) -> NDArray[np.float64]:
        """Where the joints are, `(n, J)` [rad]."""
        return obs[:, self.layout.slice("angle")].astype(np.float64)

    def drive(
        self,
        sag: NDArray,
        obs: NDArray,
        wanted: NDArray,
        speed: NDArray | float = np.inf,
        free: NDArray | bool = True,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Returns the sag and actions `(n, J)` towards `wanted (n, J)`, at most at `speed (n, J)` [rad/s].

        Where the hand is not `free (n,)`, as it touches something, errors are no sag.
        """
        goal = obs[:, self.layout.slice("goal")].astype(np.float64)
        left = wanted - self.angles(obs)
        settled = (np.abs(left) < NEARLY) & np.asarray(self.bears) & np.reshape(free, (-1, 1))
        sag = np.clip(sag + LEARNED * left * settled, -MOST_SAG, MOST_SAG)
        top = np.asarray(self.top_speed)
        reach = np.minimum(top, speed) * self.decision_s
        return sag, np.clip(wanted + sag - goal, -reach, reach) / (top * self.decision_s)
