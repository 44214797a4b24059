"""Motors, all values at the output shaft, and the circuit behind them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from embodied.errors import ModelError


@dataclass(frozen=True)
class Thermal:
    """How a winding heats up, and how hot it may become.

    Attributes:
        resistance: from the winding to the air [K/W]; capacity: of what heats up [J/K].
        coefficient: relative growth of the electrical resistance [1/K].
        limit: heating above the air at which the motor is switched off for the rest of the episode [K].
    """

    resistance: float
    capacity: float
    coefficient: float = 0.0039  # copper
    limit: float = math.inf

    def __post_init__(self) -> None:
        if min(self.resistance, self.capacity, self.limit) <= 0 or self.coefficient < 0:
            raise ModelError(f"thermal resistance, capacity and limit must be positive: {self}")

    @property
    def native(self) -> list[float]:
        """MuJoCo's `thermal`; its state is the heating above the air."""
        return [self.resistance, self.capacity, 0.0, self.coefficient, 0.0, 0.0]


@dataclass(frozen=True)
class LuGre:
    """Friction that sticks, slips and falls with speed (Canudas de Wit et al. 1995).

    Attributes:
        stiffness: of the bristles [N·m/rad]; damping: of their motion [N·m·s/rad].
        coulomb, static: friction at speed and at the moment of slipping [N·m].
        stribeck_speed: where it has fallen most of the way from the second to the first [rad/s].
    """

    stiffness: float
    damping: float
    coulomb: float
    static: float
    stribeck_speed: float

    def __post_init__(self) -> None:
        if min(self.stiffness, self.coulomb, self.stribeck_speed) <= 0 or self.damping < 0:
            raise ModelError(f"stiffness, friction and Stribeck speed must be positive: {self}")
        if self.static < self.coulomb:
            raise ModelError(f"static friction {self.static} is below the friction at speed {self.coulomb}")

    @property
    def native(self) -> list[float]:
        """MuJoCo's `lugre`."""
        return [self.stiffness, self.damping, self.coulomb, self.static, self.stribeck_speed]


@dataclass(frozen=True)
class Overload:
    """How a servo's firmware protects it from pushing in vain.

    Attributes:
        load: share of the supply from which a load is too much; patience_s: for how long it may be [s].
        left: share of the supply that is used after that, until the servo is told to turn the other way.
    """

    load: float
    patience_s: float
    left: float

    def __post_init__(self) -> None:
        if not (0 < self.load <= 1 and self.patience_s > 0 and 0 <= self.left < self.load):
            raise ModelError(f"an overload is a share of the supply for some time, and less is left after it: {self}")


@dataclass(frozen=True)
class Electrics:
    """The circuit of a motor and its driver.

    Attributes:
        constant: torque constant = back-EMF constant K [N·m/A = V·s/rad]; resistance: of the winding R [Ω].
        voltage: nominal supply [V]; max_duty: greatest share of the supply that the driver puts on the winding.
        stiffness: duty per position error [1/rad]; velocity_gain: voltage per speed error [V·s/rad]; 0 where the
            driver closes no such loop.
        deadband: position error below which the driver does nothing, each way [rad].
        overload: what the driver does when it pushes in vain; None for nothing.
    """

    constant: float
    resistance: float
    voltage: float
    max_duty: float = 1.0
    stiffness: float = 0.0
    velocity_gain: float = 0.0
    deadband: float = 0.0
    thermal: Thermal | None = None
    overload: Overload | None = None

    @property
    def closes_a_loop(self) -> bool:
        """Whether the driver takes positions or speeds rather than voltages."""
        return bool(self.stiffness or self.velocity_gain)

    def loop(self) -> tuple[float, ...]:
        """MuJoCo's `controller`: gains such that the voltage is what the driver puts out."""
        slope = self.constant / self.resistance
        kp, kd = slope * self.stiffness * self.voltage, slope * (self.constant + self.velocity_gain)
        return (kp, 0.0, kd, 0.0, 0.0, self.max_duty * self.voltage)


@dataclass(frozen=True)
class GearMotor:
    """A brushed DC motor with gear and encoder.

    Motor constant, resistance and friction follow from the printed torque-speed line: at no-load speed ω₀ the motor's
    torque K (V − K ω₀) / R is just its friction K I₀, and at rest K V / R − K I₀ is the stall torque τ. Hence
    I₀ ω₀ K² + ω₀ τ K − V τ = 0. The current at stall is then below the printed one, by what the gear loses.
    """

    name: str
    voltage: float  # V
    stall_torque: float  # N·m
    no_load_speed: float  # rad/s
    stall_current: float  # A
    no_load_current: float  # A
    armature: float  # kg·m², rotor inertia times ratio squared
    counts_per_rev: float
    backlash: float = 0.0  # rad
    thermal: Thermal | None = None
    stribeck: LuGre | None = None  # in place of the dry friction

    @property
    def motor_constant(self) -> float:
        """Torque constant = back-EMF constant [N·m/A = V·s/rad] that draws the printed line."""
        a = self.no_load_current * self.no_load_speed
        b = self.no_load_speed * self.stall_torque
        c = self.voltage * self.stall_torque
        return 2 * c / (b + math.sqrt(b**2 + 4 * a * c))  # the positive root of a K² + b K = c, also for a = 0

    @property
    def friction(self) -> float:
        """Dry friction of motor and gear [N·m]."""
        return self.motor_constant * self.no_load_current

    @property
    def resistance(self) -> float:
        """Winding resistance [Ω] that draws the printed line."""
        return self.motor_constant * self.voltage / (self.stall_torque + self.friction)

    def electrics(self, velocity_gain: float = 0.0) -> Electrics:
        """Its circuit, behind a driver of that gain [V·s/rad]."""
        constant, resistance = self.motor_constant, self.resistance
        return Electrics(constant, resistance, self.voltage, velocity_gain=velocity_gain, thermal=self.thermal)


@dataclass(frozen=True)
class ServoMotor:
    """A servo that closes a position loop in firmware: duty = gain · error in counts · duty per gain and count.

    Attributes:
        half_range: how far it turns each way from its middle [rad].
        deadband: error below which the firmware does nothing, each way [rad].
        load_friction: dry friction of the gear per torque that the motor puts into it; back_load_friction: per torque
            that gravity and inertia put into it from behind. Both are found by identification.
    """

    name: str
    voltage: float  # V
    stall_torque: float  # N·m
    no_load_speed: float  # rad/s
    half_range: float  # rad
    count: float  # rad
    gain: float  # firmware units
    duty_per_gain_count: float
    max_duty: float
    deadband: float  # rad
    backlash: float  # rad
    armature: float  # kg·m²
    thermal: Thermal | None = None
    stribeck: LuGre | None = None
    load_friction: float = 0.0
    back_load_friction: float = 0.0
    overload: Overload | None = None

    @property
    def motor_constant(self) -> float:
        """Torque constant = back-EMF constant [N·m/A = V·s/rad] that draws the printed torque-speed line."""
        return self.voltage / self.no_load_speed

    @property
    def resistance(self) -> float:
        """Winding resistance [Ω] that draws the printed line."""
        return self.motor_constant * self.voltage / self.stall_torque

    @property
    def stiffness_V(self) -> float:
        """Voltage per error [V/rad]."""
        return self.voltage * self.gain * self.duty_per_gain_count / self.count

    @property
    def friction(self) -> float:
        """Dry friction [N·m]: none beyond what the printed line and `stribeck` hold."""
        return 0.0

    def electrics(self) -> Electrics:
        """Its circuit, with the firmware's loop."""
        return Electrics(
            self.motor_constant,
            self.resistance,
            self.voltage,
            max_duty=self.max_duty,
            stiffness=self.stiffness_V / self.voltage,
            deadband=self.deadband,
            thermal=self.thermal,
            overload=self.overload,
        )
