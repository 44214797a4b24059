"""What pulls a joint to its command: a servo's firmware, its motor, its supply, and the friction of its gear."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embodied.errors import ModelError, RecordingError, UnknownNameError
from embodied.sysid.recording import Recording

LOADS = ("load_friction", "back_load_friction")
Table = NDArray[np.float64]  # (W, J): one number per world and joint


@dataclass(frozen=True)
class Servo:
    """A position loop: torque = supply · clip(stiffness · (command − angle), ± limit) − back_emf · speed.

    For a motor with constant K and winding R at voltage V, limit = K V / R and back_emf = K² / R.

    Attributes:
        stiffness: [N·m/rad] at the nominal supply.
        limit: greatest torque of the motor at the nominal supply [N·m].
        back_emf: damping while the driver is switched on [N·m·s/rad].
        gain: name of the number in a recording's metadata that says what share of its torque the driver gives per
            radian [1/rad], where the firmware is known: then `stiffness` is that times `limit`, and not to be found.
        supply, volts: signal of the supply's voltage and its nominal value [V]; torque goes with it.
        enabled: signal that is 0 while the driver is switched off.
        stribeck: friction at rest beyond that in motion [N·m], falling off with `stribeck_speed` [rad/s].
        load_friction: friction per torque that the motor puts into the gear; back_load_friction: per torque that
            gravity and inertia put into it from the other side.

    Raises:
        ModelError: a limit or speed that is not positive.
    """

    stiffness: float = 10.0
    limit: float = 3.0
    back_emf: float = 0.0
    stribeck: float = 0.0
    stribeck_speed: float = 0.5
    load_friction: float = 0.0
    back_load_friction: float = 0.0
    gain: str | None = None
    supply: str | None = None
    volts: float = 1.0
    enabled: str | None = None

    def __post_init__(self) -> None:
        if not min(self.limit, self.stribeck_speed, self.volts) > 0:
            raise ModelError(f"limit, Stribeck speed and volts of a servo must be positive: {self}")

    @property
    def parameters(self) -> dict[str, float]:
        """What can be found of it, by name."""
        names = ["limit", "back_emf", "stribeck", "stribeck_speed", *LOADS]
        return {name: getattr(self, name) for name in (names if self.gain else ["stiffness", *names])}

    def gain_of(self, recording: Recording) -> float:
        """What share of its torque the driver gives per radian here [1/rad]; NaN if `stiffness` says it."""
        if self.gain is None:
            return np.nan
        if self.gain not in recording.metadata:
            raise UnknownNameError("metadata", self.gain, recording.metadata)
        return float(recording.metadata[self.gain])

    def power_of(self, recording: Recording, time_s: NDArray) -> tuple[NDArray, NDArray]:
        """Supply relative to the nominal one, and whether the driver is on, at `time_s (n,)` of a recording."""
        since = recording.time_s - recording.time_s[0]
        supply, on = np.ones(len(time_s)), np.ones(len(time_s))
        if self.supply is not None:
            volts = recording.signal(self.supply)[:, 0]
            if not np.isfinite(volts).any():
                raise RecordingError(f"the supply {self.supply!r} was never measured")
            known = np.isfinite(volts)
            supply = np.interp(time_s, since[known], volts[known]) / self.volts
        if self.enabled is not None:
            last = np.clip(np.searchsorted(since, time_s, side="right") - 1, 0, None)
            on = (recording.signal(self.enabled)[last, 0] > 0.5).astype(float)
        return supply, on


def stiffness(values: Mapping[str, Table], gain: Table) -> Table:
    """[N·m/rad]; `gain (W, 1)` [1/rad] is that of the firmware, NaN where it is not known."""
    return np.where(np.isnan(gain), values.get("stiffness", np.nan), gain * values["limit"])


def friction(values: Mapping[str, Table], coulomb: Table, speed: Table, torque: Table, load: Table) -> Table:
    """Dry friction [N·m]: Coulomb's, more at rest (Stribeck), more under what motor and load put into the gear."""
    at_rest = np.exp(-np.abs(speed / values["stribeck_speed"]))
    pressed = values["load_friction"] * np.abs(torque) + values["back_load_friction"] * np.abs(load)
    return coulomb + values["stribeck"] * at_rest + pressed
