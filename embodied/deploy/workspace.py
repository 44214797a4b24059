"""A box that a robot's hand is not told to leave."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from embodied.errors import OptionError
from embodied.robot.kinematics import SerialChain

HALVINGS = 12  # of a step, to find how far it may go


class Workspace:
    """Shortens steps that would bring the hand out of a box; a hand that is out already may come back.

    Args:
        chain: from the base to the hand; its joints come first among the targets.
        low, high: corners of the box, in the frame of the base, `(3,)` [m].

    Raises:
        OptionError: the box is empty, or its corners are no numbers.
    """

    def __init__(self, chain: SerialChain, low: ArrayLike, high: ArrayLike) -> None:
        self._chain = chain
        self.low, self.high = np.asarray(low, float), np.asarray(high, float)
        if self.low.shape != (3,) or self.high.shape != (3,) or not (self.low < self.high).all():
            ends = f"{self.low.tolist()} to {self.high.tolist()}"
            raise OptionError(f"a workspace is a box, its low corner below its high one, not {ends}")
        self._joints = len(chain.joints)

    def clamp(self, targets: NDArray, before: NDArray) -> NDArray[np.float64]:
        """The furthest that targets may go on their way from those `before`, `(joints,)` [rad]."""
        allowed = self.beyond(before) + 1e-9
        if self.beyond(targets) <= allowed:
            return targets
        way = targets - before
        way[self._joints :] = 0.0
        share = 0.0
        for k in range(1, HALVINGS + 1):
            further = share + 0.5**k
            share = further if self.beyond(before + further * way) <= allowed else share
        out = before + share * way
        out[self._joints :] = targets[self._joints :]
        return out

    def beyond(self, targets: NDArray) -> float:
        """How far the hand would be out of the box with the joints at `targets` [m]."""
        hand = self._chain.forward(targets[None, : self._joints])[0][0]
        return float(np.linalg.norm(np.maximum(self.low - hand, 0.0) + np.maximum(hand - self.high, 0.0)))
