"""What a servo's firmware does when it pushes in vain, in N worlds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from embodied.robot.actuators.motors import Electrics
from embodied.seeding import Worlds


class OverloadProtection:
    """Takes most of the torque from servos that have used too much of it for too long.

    A servo that gave up gets its torque back when it is told to turn the other way.

    Attributes:
        side: to which side a servo pushed when it gave up, `(N, motors)`; 0 for those that did not.
    """

    def __init__(self, circuits: Sequence[Electrics], n: int) -> None:
        rules = [circuit.overload for circuit in circuits]
        self.exists = any(rule is not None for rule in rules)
        self._load = np.array([rule.load if rule else np.inf for rule in rules])
        self._patience_s = np.array([rule.patience_s if rule else np.inf for rule in rules])
        self._left = np.array([rule.left if rule else 1.0 for rule in rules])
        self._loaded_s = np.zeros((n, len(rules)))
        self.side = np.zeros((n, len(rules)))

    def begin(self, rows: Worlds) -> None:
        """Starts an episode with fresh servos."""
        self._loaded_s[rows] = self.side[rows] = 0.0

    def watch(self, load: NDArray, seconds: float, rows: Worlds) -> None:
        """Takes in shares of the supply `(n, motors)` that were on the windings for so long."""
        high = np.abs(load) >= self._load
        self._loaded_s[rows] = np.where(high, self._loaded_s[rows] + seconds, 0.0)
        gives_up = self._loaded_s[rows] > self._patience_s
        self.side[rows] = np.where(gives_up, np.sign(load), self.side[rows])

    def release(self, error: NDArray, rows: Worlds) -> None:
        """Gives their torque back to servos whose position errors `(n, motors)` are on the other side."""
        self.side[rows] *= error * self.side[rows] >= 0

    def limit(self, duty: NDArray, rows: Worlds) -> NDArray[np.float64]:
        """What is left of the greatest duties `(motors,)`, `(n, motors)`."""
        return np.where(self.side[rows] != 0, np.minimum(duty, self._left), duty)
