"""The usual sensors of a robot, in a word each. Sources are added to the MJCF, which needs no sensors of its own."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from mujoco import mjtObj, mjtSensor

from embodied.errors import ModelError
from embodied.robot.sensors.error_model import EXACT, ErrorModel
from embodied.robot.sensors.spec import Sensor, Source, Telemetry
from embodied.robot.timing import IMMEDIATE, Timing

_FORCE_OF_CONTACTS, _NET = 1 << 1, 3  # MuJoCo's contact sensor: which data, and how contacts are reduced to one


def absolute_encoder(name: str, joint: str, counts: float, timing: Timing = IMMEDIATE, **errors: float) -> Sensor:
    """The angle of a joint within half a turn of zero [rad], in `counts` per turn; `errors` as in `ErrorModel`."""
    return Sensor(name, (_joint_angle(joint),), "rad", math.pi, _in_counts(counts, errors), timing, wrap=True)


def incremental_encoder(
    name: str, joints: tuple[str, ...], counts: float, limit: float, timing: Timing = IMMEDIATE, **errors: float
) -> Sensor:
    """How far each joint has turned since the reading before [rad], at most `limit`, in `counts` per turn."""
    sources = tuple(_joint_angle(joint) for joint in joints)
    return Sensor(name, sources, "rad", limit, _in_counts(counts, errors), timing, increment=True)


def wheel_odometry(
    name: str,
    wheels: tuple[str, str],
    radius: float,
    track: float,
    counts: float,
    limit: float,
    timing: Timing = IMMEDIATE,
    **errors: float,
) -> Sensor:
    """Way [m] and turn [rad] since the reading before, from the encoders of a left and a right wheel.

    Args:
        radius, track: of the wheels, and between them [m], as the robot believes them to be.
        counts: per turn of a wheel.
        limit: greatest turn of a wheel between two readings [rad].
    """
    left_right = ((radius / 2, radius / 2), (-radius / track, radius / track))
    encoder = incremental_encoder(name, wheels, counts, limit, timing, **errors)
    return replace(encoder, unit="m, rad", combine=left_right)


def motor_current(
    name: str, actuators: tuple[str, ...], limit: float, errors: ErrorModel = EXACT, timing: Timing = IMMEDIATE
) -> Sensor:
    """Current through the windings [A]."""
    return Sensor(name, tuple(Telemetry(f"{a}/current") for a in actuators), "A", limit, errors, timing)


def motor_load(name: str, actuators: tuple[str, ...], errors: ErrorModel = EXACT, timing: Timing = IMMEDIATE) -> Sensor:
    """Share of the supply that each driver puts on its winding, as serial servos report it; negative backwards."""
    return Sensor(name, tuple(Telemetry(f"{a}/load") for a in actuators), "share", 1.0, errors, timing)


def goal_position(
    name: str, actuators: tuple[str, ...], scale: float, errors: ErrorModel = EXACT, timing: Timing = IMMEDIATE
) -> Sensor:
    """The angles that servos were told last [rad], where a command of 1 means `scale` [rad]."""
    sources = tuple(Telemetry(f"{a}/command") for a in actuators)
    return Sensor(name, sources, "rad", math.pi, errors, timing, gain=scale)


def battery_voltage(name: str, limit: float, errors: ErrorModel = EXACT, timing: Timing = IMMEDIATE) -> Sensor:
    """Voltage at the terminals of the battery [V]."""
    return Sensor(name, (Telemetry("battery/voltage"),), "V", limit, errors, timing)


def touch(
    name: str, sites: tuple[str, ...], limit: float, errors: ErrorModel = EXACT, timing: Timing = IMMEDIATE
) -> Sensor:
    """Sum of the normal forces of contacts within each site's shape [N]."""
    sources = tuple(Source(mjtSensor.mjSENS_TOUCH, mjtObj.mjOBJ_SITE, site) for site in sites)
    return Sensor(name, sources, "N", limit, errors, timing)


def contact_force(name: str, body: str, limit: float, errors: ErrorModel = EXACT, timing: Timing = IMMEDIATE) -> Sensor:
    """Net force of all contacts on a body, in the world frame [N]."""
    source = Source(mjtSensor.mjSENS_CONTACT, mjtObj.mjOBJ_BODY, body, (_FORCE_OF_CONTACTS, _NET, 1))
    return Sensor(name, (source,), "N", limit, errors, timing, axes=(0, 1, 2), gain=-1.0)  # MuJoCo: of the body


def force_torque(
    name: str,
    site: str,
    force_limit: float,
    torque_limit: float,
    force_errors: ErrorModel = EXACT,
    torque_errors: ErrorModel = EXACT,
    timing: Timing = IMMEDIATE,
) -> tuple[Sensor, Sensor]:
    """Force [N] and torque [N·m] between a body and its parent, in the frame of a site on the body."""
    force = Source(mjtSensor.mjSENS_FORCE, mjtObj.mjOBJ_SITE, site)
    torque = Source(mjtSensor.mjSENS_TORQUE, mjtObj.mjOBJ_SITE, site)
    axes: dict[str, Any] = {"timing": timing, "axes": (0, 1, 2)}
    return (
        Sensor(f"{name}/force", (force,), "N", force_limit, force_errors, **axes),
        Sensor(f"{name}/torque", (torque,), "N.m", torque_limit, torque_errors, **axes),
    )


def _joint_angle(joint: str) -> Source:
    return Source(mjtSensor.mjSENS_JOINTPOS, mjtObj.mjOBJ_JOINT, joint)


def _in_counts(counts: float, errors: dict[str, float]) -> ErrorModel:
    if not counts > 0:
        raise ModelError(f"an encoder needs a positive number of counts per turn, not {counts}")
    return ErrorModel(resolution=2 * math.pi / counts, **errors)
