"""How scripted players drive an arm by velocities of its joints: towards angles, against the sag of its servos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEARNED, MOST_SAG = 0.25, 0.25  # share of an error per decision, and all of them together [rad]
NEARLY = 0.15  # rad, up to which an error is that of a joint that sags, not of one on its way


@dataclass
class ArmCarry:
    """What servos were told, `target (n, J)`, and what is added since they sag, `sag (n, J)` [rad]."""

    target: NDArray[np.float64]
    sag: NDArray[np.float64]


@dataclass(frozen=True)
class ArmDriver:
    """Turns wanted angles of J joints into actions that are velocities.

    Attributes:
        top_speed: what an action of 1 means, `(J,)` [rad/s]; decision_s: time between decisions [s].
        bears: of which joints errors are learned, as they bear weight, `(J,)`.
    """

    top_speed: Sequence[float]
    decision_s: float
    bears: Sequence[bool]

    def initial(self, n: int) -> ArmCarry:
        """Returns the carry before an episode."""
        zero = np.zeros((n, len(self.top_speed)))
        return ArmCarry(zero, zero)

    def begin(self, carry: ArmCarry, angles: NDArray, first: NDArray) -> ArmCarry:
        """Where an episode begins, servos have been told to stay at `angles (n, J)`."""
        new = first[:, None]
        return ArmCarry(np.where(new, angles, carry.target), np.where(new, 0.0, carry.sag))

    def drive(
        self,
        carry: ArmCarry,
        angles: NDArray,
        wanted: NDArray,
        speed: NDArray | float = np.inf,
        free: NDArray | bool = True,
    ) -> tuple[ArmCarry, NDArray[np.float64]]:
        """Returns actions `(n, J)` towards `wanted (n, J)`, at most at `speed (n, J)` [rad/s].

        Where the hand is not `free (n,)`, as it touches something, errors are no sag.
        """
        left = wanted - angles
        settled = (np.abs(left) < NEARLY) & np.asarray(self.bears) & np.reshape(free, (-1, 1))
        sag = np.clip(carry.sag + LEARNED * left * settled, -MOST_SAG, MOST_SAG)
        top = np.asarray(self.top_speed)
        reach = np.minimum(top, speed) * self.decision_s
        step = np.clip(wanted + sag - carry.target, -reach, reach)
        return ArmCarry(carry.target + step, sag), step / (top * self.decision_s)
