"""A battery whose voltage falls with its charge and sags under the current that is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embodied.errors import ModelError


@dataclass(frozen=True)
class Battery:
    """Cells in series behind one internal resistance.

    Attributes:
        open_circuit: voltages of the pack without load at charges 0 … 1, equally spaced [V].
        resistance: internal, of the pack [Ω].
        capacity: charge that it holds [C].
        electronics: power that the robot's computer and sensors draw [W].

    Raises:
        ModelError: a voltage, resistance or capacity that is not positive, or voltages that fall with charge.
    """

    name: str
    open_circuit: tuple[float, ...]
    resistance: float
    capacity: float
    electronics: float = 0.0

    def __post_init__(self) -> None:
        if not min(*self.open_circuit, self.resistance, self.capacity) > 0 or not self.electronics >= 0:
            raise ModelError(f"battery {self.name!r}: voltages, resistance, capacity must be positive")
        if len(self.open_circuit) < 2 or (np.diff(self.open_circuit) < 0).any():
            raise ModelError(f"battery {self.name!r}: two or more voltages that rise with charge are needed")

    def voltage(self, charge: NDArray, current: NDArray, resistance: NDArray) -> NDArray:
        """Voltage at the terminals [V] at a charge in [0, 1] under a current [A]; never below zero."""
        places = np.linspace(0, 1, len(self.open_circuit))
        return np.maximum(np.interp(charge, places, self.open_circuit) - resistance * current, 0.0)
