"""Scout: the differential-drive robot that the tasks of this package use."""

from __future__ import annotations

import math
from dataclasses import replace

import mujoco

import embodied_assets as assets
from embodied.physics.batch import VISIBLE_GROUPS
from embodied.robot.actuators.spec import DCMotor, Servo
from embodied.robot.datasheet import read_battery, read_gear_motor, read_imu, read_servo
from embodied.robot.rays.spec import LineCamera
from embodied.robot.robot import Robot
from embodied.robot.sensors.error_model import ErrorModel
from embodied.robot.sensors.presets import battery_voltage, motor_current
from embodied.robot.sensors.spec import Sensor
from embodied.robot.timing import Timing

RIDE_HEIGHT = 0.035  # m, of the chassis' frame above the floor


def visible_parts() -> tuple[str, ...]:
    """Names of the geoms that cameras see of a Scout."""
    geoms = mujoco.MjSpec.from_file(str(assets.robot_path("scout"))).geoms
    return tuple(geom.name for geom in geoms if geom.name and geom.group in VISIBLE_GROUPS)


def scout(control_hz: float) -> Robot:
    """Returns Scout as it comes: actions are left wheel, right wheel (duty) and head (angle)."""
    motor = read_gear_motor(assets.datasheet_path("pololu_25d_47_hp12"))
    servo = read_servo(assets.datasheet_path("sg90"))
    imu = read_imu(assets.datasheet_path("mpu6050"))
    one_count = 2 * math.pi / motor.counts_per_rev * control_hz  # rad/s, one encoder count per decision
    # read by a microcontroller, sent over a serial line
    bus = Timing(rate_hz=100.0, latency_s=0.005, jitter_s=0.001, bus="bus")
    shunt = ErrorModel(noise=0.02, resolution=4e-3)  # currents and voltages, on a converter of 12 bits
    analogue = Timing(rate_hz=control_hz, bus="analogue")
    command = Timing(rate_hz=100.0, latency_s=0.005, jitter_s=0.001)
    pulses = replace(command, rate_hz=50.0)  # a hobby servo is told where to go fifty times a second
    chip = replace(bus, latency_s=bus.latency_s + imu.filter_delay, bus="imu")
    return Robot(
        name="scout",
        mjcf=assets.robot_path("scout"),
        base="chassis",
        sensors=(
            Sensor(
                "wheel_speed",
                ("left_wheel_speed", "right_wheel_speed"),
                "rad/s",
                limit=30.0,
                errors=ErrorModel(noise=0.02, resolution=one_count),
                timing=bus,
            ),
            Sensor("gyro", ("gyro",), "rad/s", imu.gyro_limit, imu.gyro, chip, axes=(2,)),
            Sensor(
                "acceleration",
                ("accelerometer",),
                "m/s^2",
                imu.accelerometer_limit,
                imu.accelerometer,
                chip,
                axes=(0, 1),
            ),
            Sensor("pan_angle", ("pan_angle",), "rad", math.pi / 2, ErrorModel(noise=0.01, bias=0.01), bus),
            motor_current("current", ("left_motor", "right_motor"), 8.0, replace(shunt, bias=0.01), analogue),
            battery_voltage("volts", 15.0, replace(shunt, scale=0.01), analogue),
        ),
        line_cameras=(
            LineCamera(
                "camera",
                site="camera",
                body="head",
                timing=Timing(rate_hz=control_hz, latency_s=0.04, jitter_s=0.01, dropout=0.01),
            ),
        ),
        actuators=(
            DCMotor("left_motor", "left_wheel", motor, command=command),
            DCMotor("right_motor", "right_wheel", motor, command=command),
            Servo("pan_servo", "pan", servo, command=pulses),
        ),
        battery=read_battery(assets.datasheet_path("inr18650_25r"), series=3, electronics=4.0),
        power_update_s=0.1,  # the pack sags by a few per cent: once per decision is close enough, and twice as cheap
    )
