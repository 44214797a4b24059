"""Parts as their manufacturers print them: TOML in the datasheet's own units, SI inside the program."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embodied.errors import ModelError
from embodied.files import read_toml
from embodied.robot.actuators.battery import Battery
from embodied.robot.actuators.motors import GearMotor, LuGre, Overload, ServoMotor, Thermal
from embodied.robot.rays.spec import RaySensor
from embodied.robot.sensors.error_model import ErrorModel, drift_from_bias_instability
from embodied.robot.timing import Timing

STANDARD_GRAVITY = 9.80665  # m/s², by definition (CGPM 1901)
RPM = 2 * math.pi / 60  # rad/s
TOLERANCE = 3.0  # standard deviations that a printed tolerance stands for
KGCM = STANDARD_GRAVITY * 0.01  # N·m


@dataclass(frozen=True)
class Imu:
    """A gyroscope [rad/s] and an accelerometer [m/s²] on one chip; tolerances are read as three deviations."""

    name: str
    gyro: ErrorModel
    gyro_limit: float  # rad/s
    accelerometer: ErrorModel
    accelerometer_limit: float  # m/s²
    filter_delay: float  # s


def read_bus_servo(path: Path) -> ServoMotor:
    """Reads a bus servo.

    Raises:
        ModelError: a field is missing, no number, or outside the range it may have.
    """
    sheet = _Sheet(path, "bus_servo")
    count = 2 * math.pi / sheet.number("encoder", "counts_per_rev", 16, 1e7)
    return ServoMotor(
        name=sheet.name,
        voltage=sheet.number("nominal", "voltage_V", 0.5, 100),
        stall_torque=sheet.number("nominal", "stall_torque_Nm", 1e-4, 1e3),
        no_load_speed=sheet.number("nominal", "no_load_speed_rpm", 0.1, 1e5) * RPM,
        half_range=math.radians(sheet.number("travel", "range_deg", 1, 3600)) / 2,
        count=count,
        gain=sheet.number("firmware", "gain", 0, 1e6),
        duty_per_gain_count=sheet.number("firmware", "duty_per_gain_count", 1e-12, 1),
        max_duty=sheet.number("firmware", "max_duty", 0.01, 1),
        deadband=sheet.number("firmware", "deadband_counts", 0, 1e4) * count,
        backlash=math.radians(sheet.number("gear", "backlash_deg", 0, 45)),
        armature=sheet.number("rotor", "reflected_inertia_kgm2", 1e-9, 10),
        thermal=_thermal(sheet),
        stribeck=_stribeck(sheet),
        overload=_overload(sheet),
    )


def read_range_finder(path: Path, name: str, site: str, body: str) -> RaySensor:
    """Reads a ranger or lidar as beams from `site`, which `body` carries.

    Raises:
        ModelError: a field is missing, no number, or outside the range it may have.
    """
    sheet = _Sheet(path, "ranger")
    beams = round(sheet.number("beam", "count", 1, 10_000))
    return RaySensor(
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
            drift=drift_from_bias_instability(sheet.number("calibration", "gyro_bias_instability_dps", 0, 10) * dps),
            scale=sheet.number("gyro", "scale_error_percent", 0, 50) / 100 / TOLERANCE,
            misalignment=sheet.number("gyro", "cross_axis_percent", 0, 50) / 100 / TOLERANCE,
        ),
        gyro_limit=sheet.number("gyro", "full_scale_dps", 10, 1e4) * dps,
        accelerometer=ErrorModel(
            noise_density=sheet.number("accelerometer", "noise_density_ug_rtHz", 0, 1e5) * 1e-6 * g,
            bias=left * sheet.number("accelerometer", "zero_offset_mg", 0, 1e4) * 1e-3 * g / TOLERANCE,
            drift=drift_from_bias_instability(
                sheet.number("calibration", "accelerometer_bias_instability_mg", 0, 1e3) * 1e-3 * g
            ),
            scale=sheet.number("accelerometer", "scale_error_percent", 0, 50) / 100 / TOLERANCE,
            misalignment=sheet.number("accelerometer", "cross_axis_percent", 0, 50) / 100 / TOLERANCE,
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
        backlash=math.radians(sheet.number("gear", "backlash_deg", 0, 45, 0.0)),
        thermal=_thermal(sheet),
        stribeck=_stribeck(sheet),
    )


def read_servo(path: Path) -> ServoMotor:
    """Reads a hobby servo.

    Raises:
        ModelError: a field is missing, no number, or outside the range it may have.
    """
    sheet = _Sheet(path, "servo")
    half_range = math.radians(sheet.number("nominal", "range_deg", 1, 720)) / 2
    pulse = 2 * half_range / sheet.number("loop", "pulse_range_us", 100, 5000)  # rad per microsecond
    return ServoMotor(
        name=sheet.name,
        voltage=sheet.number("nominal", "voltage_V", 0.5, 100),
        stall_torque=sheet.number("nominal", "stall_torque_kgcm", 1e-3, 1e3) * KGCM,
        no_load_speed=math.radians(60) / sheet.number("nominal", "speed_s_per_60deg", 0.005, 10),
        half_range=half_range,
        count=1.0,  # an analogue loop: its gain is duty per radian
        gain=1 / math.radians(sheet.number("loop", "full_torque_error_deg", 0.1, 180)),
        duty_per_gain_count=1.0,
        max_duty=1.0,
        deadband=sheet.number("loop", "dead_band_us", 0, 100) / 2 * pulse,
        backlash=math.radians(sheet.number("gear", "backlash_deg", 0, 45, 0.0)),
        armature=sheet.number("rotor", "reflected_inertia_kgm2", 1e-9, 1),
        thermal=_thermal(sheet),
        stribeck=_stribeck(sheet),
    )


def read_battery(path: Path, series: int = 1, parallel: int = 1, electronics: float = 0.0) -> Battery:
    """Reads a cell, as a battery of `series` × `parallel` of them that also feeds `electronics` [W].

    Raises:
        ModelError: a field is missing, no number, or outside the range it may have.
    """
    sheet = _Sheet(path, "cell")
    wiring = sheet.number("pack", "wiring_mohm", 0, 1e4)
    return Battery(
        name=f"{series}S{parallel}P {sheet.name}",
        open_circuit=tuple(series * volts for volts in sheet.numbers("open_circuit", "voltages_V", 0.5, 5)),
        resistance=1e-3 * (sheet.number("cell", "resistance_mohm", 0.1, 1e4) * series / parallel + wiring),
        capacity=parallel * 3.6 * sheet.number("cell", "capacity_mAh", 1, 1e6),
        electronics=electronics,
    )


def _thermal(sheet: _Sheet) -> Thermal | None:
    if not sheet.has("thermal"):
        return None
    ambient = sheet.number("thermal", "ambient_degC", -50, 60, 25.0)
    return Thermal(
        resistance=sheet.number("thermal", "resistance_K_per_W", 1e-3, 1e4),
        capacity=sheet.number("thermal", "capacity_J_per_K", 1e-3, 1e6),
        limit=sheet.number("thermal", "limit_degC", ambient + 1, 300) - ambient,
    )


def _overload(sheet: _Sheet) -> Overload | None:
    if not sheet.has("protection"):
        return None
    return Overload(
        load=sheet.number("protection", "load_percent", 1, 100) / 100,
        patience_s=sheet.number("protection", "patience_s", 1e-3, 1e3),
        left=sheet.number("protection", "left_percent", 0, 100) / 100,
    )


def _stribeck(sheet: _Sheet) -> LuGre | None:
    if not sheet.has("friction"):
        return None
    return LuGre(
        stiffness=sheet.number("friction", "stiffness_Nm_per_rad", 1e-6, 1e9),
        damping=sheet.number("friction", "damping_Nms_per_rad", 0, 1e6),
        coulomb=sheet.number("friction", "coulomb_Nm", 1e-9, 1e3),
        static=sheet.number("friction", "static_Nm", 1e-9, 1e3),
        stribeck_speed=sheet.number("friction", "stribeck_speed_rad_per_s", 1e-6, 1e3),
    )


class _Sheet:
    """A TOML datasheet whose fields are checked as they are read."""

    def __init__(self, path: Path, kind: str) -> None:
        self._path = path
        data = read_toml(path, ModelError, "is a datasheet that cannot be read")
        tables = ("name", "kind")
        self._data = {key: value for key, value in data.items() if isinstance(value, dict) or key in tables}
        found = self._data.get("kind")
        if found != kind:
            raise ModelError(f"datasheet {path.name}: kind is {found!r}, expected {kind!r}")
        self.name = str(self._data.get("name", path.stem))

    def has(self, table: str) -> bool:
        """Whether it has that table; some are optional."""
        return table in self._data

    def number(self, table: str, key: str, low: float, high: float, default: float | None = None) -> float:
        """Returns a number in [low, high]; the key's suffix names its unit. Without a default it must be there."""
        value = self._data.get(table, {}).get(key, default)
        if not _is_number(value, low, high):
            raise self._wrong(table, key, value, f"a number in [{low:g}, {high:g}]")
        return float(value)

    def numbers(self, table: str, key: str, low: float, high: float) -> tuple[float, ...]:
        """Returns a list of numbers in [low, high]."""
        values = self._data.get(table, {}).get(key)
        if not isinstance(values, list) or not values or not all(_is_number(v, low, high) for v in values):
            raise self._wrong(table, key, values, f"a list of numbers in [{low:g}, {high:g}]")
        return tuple(map(float, values))

    def _wrong(self, table: str, key: str, value: object, expected: str) -> ModelError:
        unit = _UNIT.search(key)
        return ModelError(
            f"datasheet {self._path.name}: {table}.{key} is {value!r}, expected {expected} "
            f"({unit.group(1) if unit else 'no unit'})"
        )


_UNIT = re.compile(r"_([A-Za-z0-9]+(?:_per_[A-Za-z0-9]+)?)$")


def _is_number(value: Any, low: float, high: float) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and low <= value <= high
