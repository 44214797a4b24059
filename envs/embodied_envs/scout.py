"""Scout: the differential-drive robot that the tasks of this package use."""

from __future__ import annotations

import math

import embodied_assets as assets
from embodied.body.actuators import DCMotor, Servo
from embodied.body.camera import LineCamera
from embodied.body.datasheet import read_gear_motor, read_servo
from embodied.body.error_model import ErrorModel
from embodied.body.robot import Robot
from embodied.body.sensors import Sensor

RIDE_HEIGHT = 0.035  # m, of the chassis' frame above the floor


def scout(control_hz: float) -> Robot:
    """Returns Scout as it comes: actions are left wheel, right wheel (voltage) and head (angle)."""
    motor = read_gear_motor(assets.datasheet_path("pololu_25d_47_hp12"))
    servo = read_servo(assets.datasheet_path("sg90"))
    one_count = 2 * math.pi / motor.counts_per_rev * control_hz  # rad/s, one encoder count per decision
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
            ),
            Sensor("gyro", ("gyro",), "rad/s", limit=8.7, errors=ErrorModel(noise=0.01), axes=(2,)),
            Sensor("acceleration", ("accelerometer",), "m/s^2", 39.2, ErrorModel(noise=0.1), axes=(0, 1)),
            Sensor("pan_angle", ("pan_angle",), "rad", limit=math.pi / 2, errors=ErrorModel(noise=0.01)),
        ),
        cameras=(LineCamera("camera", site="camera", body="head"),),
        actuators=(
            DCMotor("left_motor", "left_wheel", motor),
            DCMotor("right_motor", "right_wheel", motor),
            Servo("pan_servo", "pan", servo),
        ),
    )
