"""Where a motor's energy goes: electrical in = heat + mechanical out, at every instant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class MotorEnergy:
    """Energies of a motor over a recording [J]; `regenerated` is what flowed back into the supply."""

    electrical: NDArray[np.float64]
    heat: NDArray[np.float64]
    mechanical: NDArray[np.float64]
    regenerated: NDArray[np.float64]


def motor_energy(torque: NDArray, speed: NDArray, constant: float, resistance: float, tick_s: float) -> MotorEnergy:
    """Integrates a quasi-static DC motor: current τ / K, voltage I R + K ω.

    Args:
        torque, speed: of the shaft at every tick, `(…, T)` [N·m], [rad/s].
        constant: motor constant K [N·m/A = V·s/rad].
        resistance: R [Ω].
        tick_s: time between samples [s].

    Returns:
        Energies of shape `(…)` [J].
    """
    current = torque / constant
    heat = current**2 * resistance
    mechanical = torque * speed
    supplied = heat + mechanical
    return MotorEnergy(
        electrical=supplied.sum(axis=-1) * tick_s,
        heat=heat.sum(axis=-1) * tick_s,
        mechanical=mechanical.sum(axis=-1) * tick_s,
        regenerated=-np.minimum(supplied, 0.0).sum(axis=-1) * tick_s,
    )
