"""The register table of Feetech's STS3215: what stands where, and how numbers are written there.

Source: the maker's memory table of the STS series (firmware 3). Words are little-endian; a number with a sign bit is
sign and magnitude.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embodied.errors import DriverError, UnknownNameError

MODEL_NUMBER, FIRMWARE = 777, (3, 10)
COUNTS_PER_TURN = 4096
MIDDLE = 2048  # what the encoder reads where a joint stands at 0
RAD_PER_COUNT = 2 * math.pi / COUNTS_PER_TURN
AMPERE, VOLT, SHARE, DELAY_S, PROTECTION_S = 6.5e-3, 0.1, 1e-3, 2e-6, 0.01  # what one count of each means
ACCELERATION = 100  # counts per second, squared, of one count of it
MEMORY = 128  # bytes of a servo


@dataclass(frozen=True)
class Register:
    """One number in the memory of a servo.

    Attributes:
        address: of its lower byte; size: in bytes, 1 or 2.
        default: as the servo leaves the factory.
        kept: whether it outlives a loss of power (where the lock is open); fixed: whether it cannot be written.
        sign_bit: the bit that makes it negative; None for numbers that are never negative.
    """

    name: str
    address: int
    size: int
    default: int = 0
    kept: bool = False
    fixed: bool = False
    sign_bit: int | None = None

    def encode(self, value: int) -> bytes:
        """The bytes of a number.

        Raises:
            DriverError: it does not fit.
        """
        bits = 8 * self.size if self.sign_bit is None else self.sign_bit
        if not -(self.sign_bit is not None) * (2**bits - 1) <= value < 2**bits:
            raise DriverError(f"{value} does not fit into {self.name}")
        raw = value if value >= 0 else -value | 1 << (self.sign_bit or 0)
        return int(raw).to_bytes(self.size, "little")

    def decode(self, data: bytes) -> int:
        """The number of some bytes."""
        raw = int.from_bytes(data[: self.size], "little")
        if self.sign_bit is None or not raw >> self.sign_bit & 1:
            return raw
        return -(raw & ~(1 << self.sign_bit))


def _kept(name: str, address: int, size: int, default: int, sign_bit: int | None = None) -> Register:
    return Register(name, address, size, default, kept=True, sign_bit=sign_bit)


def _measured(name: str, address: int, size: int = 1, sign_bit: int | None = None) -> Register:
    return Register(name, address, size, fixed=True, sign_bit=sign_bit)


TABLE: tuple[Register, ...] = (
    Register("firmware_major", 0, 1, FIRMWARE[0], kept=True, fixed=True),
    Register("firmware_minor", 1, 1, FIRMWARE[1], kept=True, fixed=True),
    Register("model_number", 3, 2, MODEL_NUMBER, kept=True, fixed=True),
    _kept("id", 5, 1, 1),
    _kept("baud_rate", 6, 1, 0),
    _kept("return_delay", 7, 1, 250),
    _kept("response_level", 8, 1, 1),
    _kept("min_position", 9, 2, 0, 15),
    _kept("max_position", 11, 2, COUNTS_PER_TURN - 1, 15),
    _kept("max_temperature", 13, 1, 70),
    _kept("max_voltage", 14, 1, 140),
    _kept("min_voltage", 15, 1, 40),
    _kept("max_torque", 16, 2, 1000),
    _kept("phase", 18, 1, 12),
    _kept("unloading", 19, 1, 0b101100),
    _kept("led_alarm", 20, 1, 0b101111),
    _kept("p", 21, 1, 32),
    _kept("d", 22, 1, 32),
    _kept("i", 23, 1, 0),
    _kept("min_force", 24, 2, 16),
    _kept("dead_band_cw", 26, 1, 1),
    _kept("dead_band_ccw", 27, 1, 1),
    _kept("protection_current", 28, 2, 500),
    _kept("resolution", 30, 1, 1),
    _kept("homing_offset", 31, 2, 0, 11),
    _kept("mode", 33, 1, 0),
    _kept("protection_torque", 34, 1, 20),
    _kept("protection_time", 35, 1, 200),
    _kept("overload_torque", 36, 1, 80),
    _kept("speed_p", 37, 1, 10),
    _kept("overcurrent_time", 38, 1, 200),
    _kept("speed_i", 39, 1, 10),
    Register("torque_enable", 40, 1),
    Register("acceleration", 41, 1),
    Register("goal_position", 42, 2, sign_bit=15),
    Register("goal_time", 44, 2, sign_bit=10),
    Register("goal_speed", 46, 2, sign_bit=15),
    Register("torque_limit", 48, 2, 1000),
    Register("lock", 55, 1, 1),
    _measured("position", 56, 2, 15),
    _measured("speed", 58, 2, 15),
    _measured("load", 60, 2, 10),
    _measured("voltage", 62),
    _measured("temperature", 63),
    _measured("async_write", 64),
    _measured("status", 65),
    _measured("moving", 66),
    _measured("current", 69, 2, 15),
    Register("moving_threshold", 80, 1, 20, kept=True),
    Register("max_speed", 84, 1, 70, kept=True),
    Register("max_acceleration", 85, 1, 254, kept=True),
)
BY_NAME = {register.name: register for register in TABLE}
MEASURED = tuple(BY_NAME[name] for name in ("position", "speed", "load", "voltage", "temperature", "status", "current"))
MEASURED_FROM, MEASURED_SIZE = 56, 15  # the block in which they stand


def register(name: str) -> Register:
    """Returns a register by its name.

    Raises:
        UnknownNameError: there is none of that name; the message lists those that there are.
    """
    if name not in BY_NAME:
        raise UnknownNameError("register", name, BY_NAME)
    return BY_NAME[name]


def numbers_of(block: NDArray[np.uint8], registers: Iterable[Register], first: int) -> dict[str, NDArray[np.int64]]:
    """The numbers of registers in blocks of memory of n servos, `(n, bytes)`, that begin at address `first`."""
    found = {}
    for one in registers:
        at = one.address - first
        raw = block[:, at].astype(np.int64)
        if one.size == 2:
            raw |= block[:, at + 1].astype(np.int64) << 8
        if one.sign_bit is not None:
            sign = 1 << one.sign_bit
            raw = np.where(raw & sign, -(raw & ~sign), raw)
        found[one.name] = raw
    return found
