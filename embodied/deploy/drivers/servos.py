"""An arm of STS3215 servos on a serial bus, by any of the libraries that speak to it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodied.deploy.driver import JointLimits, Reading, checked_targets
from embodied.deploy.drivers.buses import RegisterBus, open_bus
from embodied.deploy.drivers.ports import PortLock
from embodied.deploy.registers import (
    AMPERE,
    COUNTS_PER_TURN,
    MEASURED,
    MEASURED_FROM,
    MEASURED_SIZE,
    MIDDLE,
    MODEL_NUMBER,
    RAD_PER_COUNT,
    SHARE,
    VOLT,
    Register,
    numbers_of,
    register,
)  # fmt: skip
from embodied.errors import DriverError, UnknownNameError
from embodied.layout import Channel, Layout

FLAGS = {1: "voltage", 2: "angle sensor", 4: "heat", 8: "current", 32: "overload"}
RETRIES = 2
OUTSIDE = 0.05  # rad, by which a joint may rest beyond its limits


@dataclass(frozen=True)
class Calibration:
    """Where the joints of one robot stand when their encoders read something, `(joints,)` each.

    Attributes:
        ids: of the servos; zero: what they read where a joint's model is at 0; sign: 1, or −1 for those that turn the
            other way round.
    """

    ids: tuple[int, ...]
    zero: tuple[float, ...]
    sign: tuple[int, ...]

    @classmethod
    def plain(cls, joints: int) -> Calibration:
        """Servos 1, 2, …, each with its middle at 0."""
        return cls(tuple(range(1, joints + 1)), (MIDDLE,) * joints, (1,) * joints)

    @classmethod
    def of_lerobot(cls, path: Path | str, joints: Sequence[str], middle: Sequence[float] | None = None) -> Calibration:
        """From the file that LeRobot's calibration writes, in which servos were told their homing offsets.

        Args:
            middle: the model's angle of each joint in the middle of its range [rad]; None for 0.

        Raises:
            DriverError: it is no such file, or has not all of the joints.
        """
        try:
            found = json.loads(Path(path).read_text())
            parts = [found[joint] for joint in joints]
            ids = tuple(int(part["id"]) for part in parts)
            signs = tuple(-1 if part["drive_mode"] else 1 for part in parts)
            centers = [0.5 * (part["range_min"] + part["range_max"]) for part in parts]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DriverError(f"{path} is no calibration of {', '.join(joints)}: {error!r}") from error
        angles = [0.0] * len(ids) if middle is None else list(middle)
        zero = [c - s * a / RAD_PER_COUNT for c, s, a in zip(centers, signs, angles, strict=True)]
        return cls(ids, tuple(zero), signs)

    def angles(self, counts: NDArray) -> NDArray[np.float64]:
        """Angles of the joints [rad]."""
        return (counts - np.array(self.zero)) * np.array(self.sign) * RAD_PER_COUNT

    def counts(self, angles: NDArray) -> NDArray[np.int64]:
        """The nearest counts of angles [rad]."""
        return np.rint(angles * np.array(self.sign) / RAD_PER_COUNT + np.array(self.zero)).astype(np.int64)


class ServoArm:
    """A `Driver` of servos on a bus.

    Channels are `angle` [rad], `goal` [rad], `load` [share of the supply], `current` [A], `volts` [V] of the first
    servo, and `temperature` [°C].

    Args:
        joints: names, in the order of the bus.
        port: such as /dev/ttyACM0; library: "feetech", "rustypot" or "lerobot".
        limits: what may be written.
        gains: of the servos' loops, P, I and D, as the model has them; None to leave them alone.
        torque: the share of its torque that a joint may use, by name; a hand that grips with more than its servo's
            overload limit would be switched off by it.
        opened: opens the bus, where it is no port; None for `open_bus`.
        now: what readings are stamped with [s].
    """

    def __init__(
        self,
        joints: Sequence[str],
        port: str,
        limits: JointLimits,
        calibration: Calibration | None = None,
        library: str = "feetech",
        gains: tuple[int, int, int] | None = (16, 0, 32),
        torque: Mapping[str, float] = MappingProxyType({}),
        opened: Callable[[], RegisterBus] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.joints, self.port, self.limits = tuple(joints), port, limits
        self.calibration = calibration or Calibration.plain(len(self.joints))
        self.ids = self.calibration.ids
        n = len(self.joints)
        half = COUNTS_PER_TURN / 2 * RAD_PER_COUNT
        self.layout = Layout(
            (
                Channel("angle", n, -half, half, "rad", labels=self.joints),
                Channel("goal", n, -half, half, "rad", labels=self.joints),
                Channel("load", n, -1.0, 1.0, "share", labels=self.joints),
                Channel("current", n, -3.0, 3.0, "A", labels=self.joints),
                Channel("volts", 1, 0.0, 15.0, "V"),
                Channel("temperature", n, 0.0, 100.0, "°C", labels=self.joints),
            )
        )
        self._gains = gains
        for joint in torque:
            if joint not in self.joints:
                raise UnknownNameError("joint", joint, self.joints)
        self._torque = [torque.get(joint, 1.0) for joint in self.joints]
        self._now = now
        self._open = opened or (lambda: open_bus(port, self.ids, library))
        self._locks = opened is None
        self._lock: PortLock | None = None
        self._bus: RegisterBus | None = None
        self._told: NDArray[np.int64] | None = None
        self.retried = 0

    @property
    def bus(self) -> RegisterBus:
        """The open line; raises DriverError before `connect`."""
        if self._bus is None:
            raise DriverError(f"not connected to {self.port}: call connect() first")
        return self._bus

    def connect(self) -> None:
        if self._locks:
            self._lock = PortLock(self.port)
        try:
            self._bus = self._open()
            models = self.get("model_number")
            if (models != MODEL_NUMBER).any():
                raise DriverError(f"the servos on {self.port} are of models {models.tolist()}, not {MODEL_NUMBER}")
        except BaseException:
            self.close()
            raise

    def set(self, name: str, value: int | Sequence[int]) -> None:
        """Writes a register of all servos, one number, or one for each, and makes sure that it stands there.

        Raises:
            DriverError: it does not, after some tries: what is written to all servos at once, none of them confirms.
        """
        one = register(name)
        values = np.broadcast_to(value, len(self.ids))
        block = np.array([list(one.encode(int(v))) for v in values.tolist()], np.uint8)

        def write(bus: RegisterBus) -> None:
            bus.write(self.ids, one.address, block)
            if not np.array_equal(bus.read(self.ids, one.address, one.size), block):
                raise DriverError(f"{name} of the servos on {self.port} could not be set")

        self._retried(write)

    def get(self, name: str) -> NDArray[np.int64]:
        """Reads a register of all servos, `(joints,)`."""
        one = register(name)
        block = self._retried(lambda bus: bus.read(self.ids, one.address, one.size))
        return numbers_of(block, (one,), one.address)[one.name]

    def read(self) -> Reading:
        began = self._now()
        block = self._retried(lambda bus: bus.read(self.ids, MEASURED_FROM, MEASURED_SIZE))
        ended = self._now()
        numbers = numbers_of(block, MEASURED, MEASURED_FROM)
        angles = self.calibration.angles(numbers["position"])
        sign = np.array(self.calibration.sign)
        goal = angles if self._told is None else self.calibration.angles(self._told)
        values = {
            "angle": angles,
            "goal": goal,
            "load": numbers["load"] * SHARE * sign,
            "current": numbers["current"] * AMPERE * sign,
            "volts": numbers["voltage"][:1] * VOLT,
            "temperature": numbers["temperature"].astype(float),
        }
        faults = {
            joint: _flags(flag) for joint, flag in zip(self.joints, numbers["status"].tolist(), strict=True) if flag
        }
        return Reading(0.5 * (began + ended), values, faults, ended - began)

    def read_joint(self, joint: int) -> tuple[float, float]:
        """Reads the angle of one joint, which is faster than all of them: when [s], and where [rad]."""
        one = register("position")
        began = self._now()
        block = self.bus.read(self.ids[joint : joint + 1], one.address, one.size)
        ended = self._now()
        counts = np.full(len(self.ids), numbers_of(block, (one,), one.address)["position"][0])
        return 0.5 * (began + ended), float(self.calibration.angles(counts)[joint])

    def write(self, targets: NDArray) -> None:
        counts = self.calibration.counts(checked_targets(targets, self.limits))
        self._write_goals(counts)

    def _write_goals(self, counts: NDArray[np.int64]) -> None:
        one: Register = register("goal_position")
        block = np.array([list(one.encode(int(count))) for count in counts], np.uint8)
        self.bus.write(self.ids, one.address, block)
        self._told = counts

    def engage(self) -> None:
        here = self.get("position")
        angles = self.calibration.angles(here)
        outside = (angles < self.limits.low - OUTSIDE) | (angles > self.limits.high + OUTSIDE)
        if outside.any():
            k = int(np.argmax(outside))
            raise DriverError(f"{self.joints[k]} is at {angles[k]:.2f} rad, beyond its limits: move it by hand")
        self.set("return_delay", 0)
        for name, gain in zip("pid", self._gains or (), strict=False):
            self.set(name, gain)
        self.set("torque_limit", [round(share / SHARE) for share in self._torque])
        self.set("goal_position", here.tolist())  # a stale goal would make it jump
        self._told = here
        self.set("torque_enable", 1)

    def hold(self) -> None:
        """Tells every servo that answers to stay where it is, and the others to go where they were told last.

        Raises:
            DriverError: none answers.
        """
        angles = np.array([self._angle_or_nan(k) for k in range(len(self.ids))])
        if np.isnan(angles).all():
            raise DriverError(f"no servo on {self.port} answers")
        here = self.calibration.counts(np.clip(np.nan_to_num(angles), self.limits.low, self.limits.high))
        goals = np.where(np.isnan(angles), here if self._told is None else self._told, here)
        self._write_goals(goals)
        self._write_goals(goals)  # nobody confirms it

    def _angle_or_nan(self, joint: int) -> float:
        try:
            return float(self._retried(lambda _: self.read_joint(joint)[1]))
        except DriverError:
            return np.nan

    def relax(self) -> None:
        self.set("torque_enable", 0)

    def close(self) -> None:
        if self._bus is not None:
            self._bus.close()
            self._bus = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _retried(self, call: Callable[[RegisterBus], Any]) -> Any:
        """Does something on the line again when an answer was lost or damaged."""
        for left in range(RETRIES, -1, -1):
            try:
                return call(self.bus)
            except DriverError:
                if not left:
                    raise
                self.retried += 1
        raise AssertionError


def _flags(status: int) -> str:
    return ", ".join(name for bit, name in FLAGS.items() if status & bit) or f"status {status}"
