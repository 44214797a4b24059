"""Parts as their manufacturers print them: TOML in the datasheet's own units, SI inside the program."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from pathlib import Path

from embodied.body.error_model import ErrorModel, drift_of_bias_instability
from embodied.body.rays import RayFan
from embodied.body.timing import Timing
from embodied.errors import ModelError

STANDARD_GRAVITY = 9.80665  # m/s², by definition (CGPM 1901)
RPM = 2 * math.pi / 60  # rad/s
TOLERANCE = 3.0  # standard deviations that a printed tolerance stands for
KGCM = STANDARD_GRAVITY * 0.01  # N·m


@dataclass(frozen=True)
class GearMotor:
    """A brushed DC motor with gear and encoder, all values at the output shaft.

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


@dataclass(frozen=True)
class ServoMotor:
    """A hobby servo: a motor that closes its own position loop."""

    name: str
    stall_torque: float  # N·m
    no_load_speed: float  # rad/s
    half_range: float  # rad
    stiffness: float  # N·m/rad
    armature: float  # kg·m²


@dataclass(frozen=True)
class Imu:
    """A gyroscope [rad/s] and an accelerometer [m/s²] on one chip; tolerances are read as three deviations."""

    name: str
    gyro: ErrorModel
    gyro_limit: float  # rad/s
    accelerometer: ErrorModel
    accelerometer_limit: float  # m/s²
    filter_delay: float  # s


@dataclass(frozen=True)
class BusServo:
    """A servo that closes a position loop in firmware: duty = gain · error in counts · duty per gain and count.

    Attributes:
        stiffness_V: voltage per error [V/rad] at the declared gain.
        deadband: error below which the firmware does nothing, each way [rad].
    """

    name: str
    voltage: float  # V
    stall_torque: float  # N·m
    no_load_speed: float  # rad/s
    stall_current: float  # A
    count: float  # rad
    gain: float  # firmware units
    duty_per_gain_count: float
    max_duty: float
    deadband: float  # rad
    backlash: float  # rad
    armature: float  # kg·m²

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


def read_bus_servo(path: Path) -> BusServo:
    """Reads a bus servo.

    Raises:
        ModelError: a field is missing, no number, or outside the range it may have.
    """
    sheet = _Sheet(path, "bus_servo")
    count = 2 * math.pi / sheet.number("encoder", "counts_per_rev", 16, 1e7)
    return BusServo(
        name=sheet.name,
        voltage=sheet.number("nominal", "voltage_V", 0.5, 100),
        stall_torque=sheet.number("nominal", "stall_torque_Nm", 1e-4, 1e3),
        no_load_speed=sheet.number("nominal", "no_load_speed_rpm", 0.1, 1e5) * RPM,
        stall_current=sheet.number("nominal", "stall_current_A", 1e-3, 1e3),
        count=count,
        gain=sheet.number("firmware", "gain", 0, 1e6),
        duty_per_gain_count=sheet.number("firmware", "duty_per_gain_count", 1e-12, 1),
        max_duty=sheet.number("firmware", "max_duty", 0.01, 1),
        deadband=sheet.number("firmware", "deadband_counts", 0, 1e4) * count,
        backlash=math.radians(sheet.number("gear", "backlash_deg", 0, 45)),
        armature=sheet.number("rotor", "reflected_inertia_kgm2", 1e-9, 10),
    )


def read_ranger(path: Path, name: str, site: str, body: str) -> RayFan:
    """Reads a ranger or lidar as beams from `site`, which `body` carries.

    Raises:
        ModelError: a field is missing, no number, or outside the range it may have.
    """
    sheet = _Sheet(path, "ranger")
    beams = round(sheet.number("beam", "count", 1, 10_000))
    return RayFan(
        name=name,
        site=site,
        body=body,
        pixels=beams,
        fov=math.radians(sheet.number("beam", "fov_deg", 0.01, 360)),
        min_range=sheet.number("range", "min_m", 0, 10),
        max_range=sheet.number("range", "max_m", 0.01, 1000),
        range_noise=sheet.number("range", "accuracy_percent", 0, 50) / 100,
        range_floor=sheet.number("range", "floor_mm", 0, 1000) / 1000,
        resolution=sheet.number("range", "resolution_mm", 0, 1000) / 1000,
        dropout=sheet.number("output", "lost_percent", 0, 90) / 100,
        timing=Timing(
            rate_hz=sheet.number("output", "rate_hz", 0.1, 1e5), latency_s=sheet.number("output", "latency_s", 0, 10)
        ),
    )


def read_imu(path: Path) -> Imu:
    """Reads an inertial measurement unit.

    Raises:
        ModelError: a field is missing, no number, or outside the range it may have.
    """
    sheet = _Sheet(path, "imu")
    left = sheet.number("calibration", "offset_left_percent", 0, 100) / 100
    dps, g = math.radians(1), STANDARD_GRAVITY
    return Imu(
        name=sheet.name,
        gyro=ErrorModel(
            noise_density=sheet.number("gyro", "noise_density_dps_rtHz", 0, 10) * dps,
            bias=left * sheet.number("gyro", "zero_offset_dps", 0, 1000) * dps / TOLERANCE,
            drift=drift_of_bias_instability(sheet.number("calibration", "gyro_bias_instability_dps", 0, 10) * dps),
            scale=sheet.number("gyro", "scale_error_percent", 0, 50) / 100 / TOLERANCE,
        ),
        gyro_limit=sheet.number("gyro", "full_scale_dps", 10, 1e4) * dps,
        accelerometer=ErrorModel(
            noise_density=sheet.number("accelerometer", "noise_density_ug_rtHz", 0, 1e5) * 1e-6 * g,
            bias=left * sheet.number("accelerometer", "zero_offset_mg", 0, 1e4) * 1e-3 * g / TOLERANCE,
            drift=drift_of_bias_instability(
                sheet.number("calibration", "accelerometer_bias_instability_mg", 0, 1e3) * 1e-3 * g
            ),
            scale=sheet.number("accelerometer", "scale_error_percent", 0, 50) / 100 / TOLERANCE,
        ),
        accelerometer_limit=sheet.number("accelerometer", "full_scale_g", 0.1, 1e3) * g,
        filter_delay=sheet.number("output", "filter_delay_s", 0, 1),
    )


def read_gear_motor(path: Path) -> GearMotor:
    """Reads a gear motor.

    Raises:
        ModelError: a field is missing, no number, or outside the range it may have.
    """
    sheet = _Sheet(path, "gear_motor")
    ratio = sheet.number("gear", "ratio", 1, 1e4)
    return GearMotor(
        name=sheet.name,
        voltage=sheet.number("nominal", "voltage_V", 0.5, 100),
        stall_torque=sheet.number("nominal", "stall_torque_kgcm", 1e-3, 1e3) * KGCM,
        no_load_speed=sheet.number("nominal", "no_load_speed_rpm", 1, 1e5) * RPM,
        stall_current=sheet.number("nominal", "stall_current_A", 1e-3, 1e3),
        no_load_current=sheet.number("nominal", "no_load_current_A", 0, 1e2),
        armature=sheet.number("rotor", "inertia_kgm2", 1e-12, 1e-2) * ratio**2,
        counts_per_rev=sheet.number("encoder", "counts_per_output_rev", 1, 1e7),
    )


def read_servo(path: Path) -> ServoMotor:
    """Reads a hobby servo.

    Raises:
        ModelError: a field is missing, no number, or outside the range it may have.
    """
    sheet = _Sheet(path, "servo")
    torque = sheet.number("nominal", "stall_torque_kgcm", 1e-3, 1e3) * KGCM
    return ServoMotor(
        name=sheet.name,
        stall_torque=torque,
        no_load_speed=math.radians(60) / sheet.number("nominal", "speed_s_per_60deg", 0.005, 10),
        half_range=math.radians(sheet.number("nominal", "range_deg", 1, 720)) / 2,
        stiffness=torque / math.radians(sheet.number("loop", "full_torque_error_deg", 0.1, 180)),
        armature=sheet.number("rotor", "reflected_inertia_kgm2", 1e-9, 1),
    )


class _Sheet:
    """A TOML datasheet whose fields are checked as they are read."""

    def __init__(self, path: Path, kind: str) -> None:
        self._path = path
        try:
            self._data = tomllib.loads(path.read_text())
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise ModelError(f"datasheet {path.name} cannot be read: {error}") from error
        found = self._data.get("kind")
        if found != kind:
            raise ModelError(f"datasheet {path.name}: kind is {found!r}, expected {kind!r}")
        self.name = str(self._data.get("name", path.stem))

    def number(self, table: str, key: str, low: float, high: float) -> float:
        """Returns a number in [low, high]; the key's suffix names its unit."""
        value = self._data.get(table, {}).get(key)
        unit = key.rsplit("_", 1)[-1]
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ModelError(
                f"datasheet {self._path.name}: {table}.{key} is {value!r}, "
                f"expected a number in [{low:g}, {high:g}] ({unit})"
            )
        return float(value)
