"""What turns commands into torque: a position servo, or a drive of velocity, torque or voltage; and gear friction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from embodied.errors import ModelError, OptionError, RecordingError, UnknownNameError
from embodied.robot.actuators.friction import pressed_friction
from embodied.sysid.readers.units import to_si
from embodied.sysid.recording import COMMAND, Recording

LOADS = ("load_friction", "back_load_friction")
OF_JOINT = ("dof_damping", "dof_frictionloss", "dof_armature")
FRICTION = ("stribeck", "stribeck_speed", *LOADS)
Table = NDArray[np.float64]  # (W, J): one number per world and joint
Column = NDArray[np.float64]  # (W,)


@dataclass(frozen=True, kw_only=True)
class Drive(ABC):
    """What turns commands into torque, and the friction behind it; what it is linear in, the supply scales.

    Attributes:
        KIND: its name on the command line; UNITS: of the commands that it takes, in SI; OWN: parameters of its law.
        limit: greatest torque of the motor at the nominal supply [N·m].
        back_emf: damping while the driver is switched on [N·m·s/rad].
        supply, volts: signal of the supply's voltage and its nominal value [V]; torque goes with it.
        enabled: signal that is 0 while the driver is switched off.
        stribeck: friction at rest beyond that in motion [N·m], falling off with `stribeck_speed` [rad/s].
        load_friction: friction per torque that the motor puts into the gear; back_load_friction: per torque that
            gravity and inertia put into it from the other side.

    Raises:
        ModelError: a limit, a speed or a voltage that is not positive.
    """

    KIND: ClassVar[str]
    UNITS: ClassVar[tuple[str, ...]]
    OWN: ClassVar[tuple[str, ...]] = ()
    limit: float = 3.0
    back_emf: float = 0.0
    stribeck: float = 0.0
    stribeck_speed: float = 0.5
    load_friction: float = 0.0
    back_load_friction: float = 0.0
    supply: str | None = None
    volts: float = 1.0
    enabled: str | None = None

    def __post_init__(self) -> None:
        if not min(self.limit, self.stribeck_speed, self.volts) > 0:
            raise ModelError(f"limit, Stribeck speed and volts of a drive must be positive: {self}")

    @property
    def own(self) -> tuple[str, ...]:
        """Names of its parameters beside those of the gear."""
        return (*self.OWN, "limit", "back_emf")

    @property
    def parameters(self) -> dict[str, float]:
        """What can be found of it, by name."""
        return {name: getattr(self, name) for name in (*self.own, *FRICTION)}

    @property
    def metadata(self) -> tuple[str, ...]:
        """Names of the metadata that it uses."""
        return ()

    @property
    def usual(self) -> tuple[str, ...]:
        """What is usually to be found of it and of its joint."""
        return (*self.OWN, *OF_JOINT, "latency_s")

    @abstractmethod
    def law(self, values: Mapping[str, Column], gain: Column) -> tuple[Any, Any, Any]:
        """Torque per command, per angle and per speed at the nominal supply, before the limit, `(W,)` each."""

    def gain_of(self, recording: Recording) -> float:
        """What share of its torque the driver gives per radian here [1/rad]; NaN where it is not known."""
        return np.nan

    def check(self, recording: Recording, joint: str) -> None:
        """Raises RecordingError for a command in a unit that this drive does not take."""
        unit = to_si(recording.units.get(COMMAND, ""))[0]
        if unit and unit not in self.UNITS:
            fitting = next((kind for kind, drive in DRIVES.items() if unit in drive.UNITS), None)
            mend = f": choose the drive {fitting!r} (--drive {fitting})" if fitting else ""
            taken = " or ".join(self.UNITS)
            raise RecordingError(
                f"commands are in {unit}, but joint {joint!r} is driven by {self.KIND}, in {taken}{mend}"
            )

    def power_of(self, recording: Recording, time_s: NDArray) -> tuple[NDArray, NDArray]:
        """Supply relative to the nominal one, and whether the driver is on, at `time_s (n,)` of a recording."""
        since = recording.time_s - recording.time_s[0]
        supply, on = np.ones(len(time_s)), np.ones(len(time_s))
        if self.supply is not None:
            volts = recording.signal(self.supply)[:, 0]
            known = np.isfinite(volts)
            if not known.any():
                raise RecordingError(f"{self.supply} was never measured")
            supply = np.interp(time_s, since[known], volts[known]) / self.volts
        if self.enabled is not None:
            last = np.clip(np.searchsorted(since, time_s, side="right") - 1, 0, None)
            on = (recording.signal(self.enabled)[last, 0] > 0.5).astype(float)
        return supply, on


@dataclass(frozen=True, kw_only=True)
class Servo(Drive):
    """A position loop: torque = supply · clip(stiffness · (command − angle), ± limit) − back_emf · speed.

    For a motor with constant K and winding R at voltage V, limit = K V / R and back_emf = K² / R.

    Attributes:
        stiffness: [N·m/rad] at the nominal supply.
        gain: number in a recording's metadata that says what share of its torque the driver gives per radian [1/rad],
            where the firmware is known, as `name` or `name*factor`: then `stiffness` is that times `limit`, and not to
            be found.
    """

    KIND = "position"
    UNITS = ("rad", "m")
    stiffness: float = 10.0
    gain: str | None = None

    @property
    def own(self) -> tuple[str, ...]:
        return ("limit", "back_emf") if self.gain else ("stiffness", "limit", "back_emf")

    @property
    def usual(self) -> tuple[str, ...]:
        return ("limit" if self.gain else "stiffness", *OF_JOINT, "latency_s")

    @property
    def metadata(self) -> tuple[str, ...]:
        return (self.gain.partition("*")[0],) if self.gain else ()

    def law(self, values: Mapping[str, Column], gain: Column) -> tuple[Any, Any, Any]:
        stiff = values["stiffness"] if self.gain is None else gain * values["limit"]
        return stiff, -stiff, 0.0

    def gain_of(self, recording: Recording) -> float:
        if self.gain is None:
            return np.nan
        name, _, factor = self.gain.partition("*")
        if name not in recording.metadata:
            raise UnknownNameError("metadata", name, recording.metadata)
        try:
            return float(recording.metadata[name]) * float(factor or 1.0)
        except (TypeError, ValueError):
            raise OptionError(f"the gain {self.gain!r} is no number: {recording.metadata[name]!r}") from None


@dataclass(frozen=True, kw_only=True)
class VelocityDrive(Drive):
    """A speed loop: torque = supply · clip(velocity_gain · (command − speed), ± limit) − back_emf · speed."""

    KIND = "velocity"
    UNITS = ("rad/s", "m/s")
    OWN = ("velocity_gain",)
    velocity_gain: float = 1.0

    def law(self, values: Mapping[str, Column], gain: Column) -> tuple[Any, Any, Any]:
        return values["velocity_gain"], 0.0, -values["velocity_gain"]


@dataclass(frozen=True, kw_only=True)
class TorqueDrive(Drive):
    """A drive with a current loop: torque = clip(torque_scale · command, ± limit).

    Attributes:
        torque_scale: how much of the torque that is asked for comes, 1 for an honest drive.
        rise_s: time constant of the current loop [s].
    """

    KIND = "torque"
    UNITS = ("N·m", "N")
    limit: float = 1e6
    OWN = ("torque_scale", "rise_s")
    torque_scale: float = 1.0
    rise_s: float = 0.0

    @property
    def usual(self) -> tuple[str, ...]:
        return OF_JOINT

    def law(self, values: Mapping[str, Column], gain: Column) -> tuple[Any, Any, Any]:
        return values["torque_scale"], 0.0, 0.0


@dataclass(frozen=True, kw_only=True)
class VoltageDrive(Drive):
    """A bridge without a loop: torque = torque_per_volt · command − back_emf · speed.

    For a motor with constant K and winding R, torque_per_volt = K / R and back_emf = K² / R.
    """

    KIND = "voltage"
    UNITS = ("V",)
    limit: float = 1e6
    OWN = ("torque_per_volt",)
    torque_per_volt: float = 0.1

    def law(self, values: Mapping[str, Column], gain: Column) -> tuple[Any, Any, Any]:
        return values["torque_per_volt"], 0.0, 0.0


DRIVES: dict[str, type[Drive]] = {drive.KIND: drive for drive in (Servo, VelocityDrive, TorqueDrive, VoltageDrive)}


def drive_for(recording: Recording, kind: str | None, **given: Any) -> Drive:
    """The drive of a kind, or (None) of the kind that takes commands in a recording's unit; positions if it has none.

    Raises:
        UnknownNameError: a kind that there is not.
        OptionError: a number that this kind does not have.
    """
    unit = to_si(recording.units.get(COMMAND, ""))[0]
    if kind is None:
        kind = next((name for name, drive in DRIVES.items() if unit in drive.UNITS), Servo.KIND)
    if kind not in DRIVES:
        raise UnknownNameError("drive", kind, DRIVES)
    usual = DRIVES[kind]()
    chosen = {name: value for name, value in given.items() if value is not None}
    unknown = [name for name in chosen if not hasattr(usual, name)]
    if unknown:
        raise OptionError(f"a drive of {kind} has no {unknown[0]}")
    return replace(usual, **chosen)


def friction(values: Mapping[str, Table], coulomb: Table, speed: Table, torque: Table, load: Table) -> Table:
    """Dry friction [N·m]: Coulomb's, more at rest (Stribeck), more under what motor and load put into the gear."""
    at_rest = np.exp(-np.abs(speed / values["stribeck_speed"]))
    pressed = pressed_friction(torque, load, values["load_friction"], values["back_load_friction"])
    return coulomb + values["stribeck"] * at_rest + pressed
