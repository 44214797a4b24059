"""The libraries that speak to STS servos, as one: blocks of registers are read and written.

Each is imported when a bus is opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from embodied.deploy.registers import TABLE
from embodied.errors import DriverError, UnknownNameError
from embodied.extras import advice

BAUD_RATE = 1_000_000
POLL_S = 1e-3
Block = NDArray[np.uint8]


class RegisterBus(Protocol):
    """A line with servos on it. Whatever goes wrong is a DriverError that names who did not answer."""

    def read(self, ids: Sequence[int], address: int, size: int) -> Block:
        """Memory of servos from an address on, `(servos, size)`."""
        ...

    def write(self, ids: Sequence[int], address: int, block: Block) -> None:
        """Writes `(servos, size)` bytes from an address on, to all servos in one packet."""

    def ask(self, servo: int) -> bool:
        """Whether a servo answers."""
        ...

    def close(self) -> None:
        """Gives the port back."""


class FeetechBus:
    """By the maker's library (`scservo_sdk` of feetech-servo-sdk)."""

    def __init__(self, port: str, timeout_s: float = 0.02) -> None:
        with advice():
            import scservo_sdk
        self._sdk, self._port_name = scservo_sdk, port
        self._port = _opened(scservo_sdk, port, timeout_s)
        self._packets = scservo_sdk.PacketHandler(0)

    def read(self, ids: Sequence[int], address: int, size: int) -> Block:
        self._discard()
        group = self._sdk.GroupSyncRead(self._port, self._packets, address, size)
        for servo in ids:
            group.addParam(servo)
        result = self._guarded(group.txRxPacket)
        rows = [group.data_dict[servo] for servo in ids]
        missing = [servo for servo, row in zip(ids, rows, strict=True) if len(row) < size]
        if result != self._sdk.COMM_SUCCESS or missing:
            raise DriverError(f"servos {missing or list(ids)} on {self._port_name} do not answer")
        return np.array([list(row[:size]) for row in rows], np.uint8)

    def write(self, ids: Sequence[int], address: int, block: Block) -> None:
        group = self._sdk.GroupSyncWrite(self._port, self._packets, address, block.shape[1])
        for servo, row in zip(ids, block.tolist(), strict=True):
            group.addParam(servo, row)
        if self._guarded(group.txPacket) != self._sdk.COMM_SUCCESS:
            raise DriverError(f"nothing can be written to {self._port_name}")

    def ask(self, servo: int) -> bool:
        self._discard()
        return self._guarded(lambda: self._packets.ping(self._port, servo))[1] == self._sdk.COMM_SUCCESS

    def _discard(self) -> None:
        """Drops what came late of an exchange that failed: it would pass for the answer to the next one."""
        self._guarded(self._port.ser.reset_input_buffer)

    def _guarded(self, call: Any) -> Any:
        try:
            return call()
        except Exception as error:  # the port is gone: errors of pyserial, of the operating system, and of termios
            self._port.is_using = False
            raise DriverError(f"the port {self._port_name} is gone: {error}") from error

    def close(self) -> None:
        if self._port.ser is not None:
            self._port.closePort()


def _opened(sdk: Any, port: str, timeout_s: float) -> Any:
    """A port of that library whose answers are waited for no longer than `timeout_s` [s] and their time on the line.

    Raises:
        DriverError: it cannot be opened.
    """
    handler = sdk.PortHandler(port)

    def wait(length: int) -> None:
        handler.setPacketTimeoutMillis(handler.tx_time_per_byte * length + 1e3 * timeout_s)

    handler.setPacketTimeout = wait  # the library's own would be 34 ms for every servo that does not answer
    try:
        handler.openPort()
    except OSError as error:
        raise DriverError(f"no robot at {port}: {error.strerror or error}") from error
    handler.ser.write_timeout = timeout_s
    handler.ser.timeout = POLL_S  # the library's own is 0: it would keep a core busy while it waits
    return handler


class RustypotBus:
    """By rustypot."""

    def __init__(self, port: str, timeout_s: float = 0.02) -> None:
        with advice():
            import rustypot
        self._port_name = port
        try:
            self._controller = rustypot.Sts3215PyController(port, BAUD_RATE, timeout_s)
        except Exception as error:
            raise DriverError(f"no robot at {port}: {error}") from error

    def read(self, ids: Sequence[int], address: int, size: int) -> Block:
        rows = self._guarded(lambda: self._controller.sync_read_raw_data(list(ids), address, size))
        return np.array([list(row) for row in rows], np.uint8)

    def write(self, ids: Sequence[int], address: int, block: Block) -> None:
        self._guarded(lambda: self._controller.sync_write_raw_data(list(ids), address, block.tolist()))

    def ask(self, servo: int) -> bool:
        return bool(self._guarded(lambda: self._controller.ping(servo)))

    def _guarded(self, call: Any) -> Any:
        try:
            return call()
        except Exception as error:
            raise DriverError(f"servos on {self._port_name} do not answer: {error}") from error

    def close(self) -> None:
        self._controller.close()


class LeRobotBus:
    """By LeRobot's `FeetechMotorsBus`, register by register."""

    NAMES: ClassVar[dict[str, str]] = {
        "position": "Present_Position", "speed": "Present_Velocity", "load": "Present_Load",
        "voltage": "Present_Voltage", "temperature": "Present_Temperature", "status": "Status",
        "current": "Present_Current", "goal_position": "Goal_Position", "torque_enable": "Torque_Enable",
        "model_number": "Model_Number", "return_delay": "Return_Delay_Time", "p": "P_Coefficient",
        "i": "I_Coefficient", "d": "D_Coefficient", "lock": "Lock", "acceleration": "Acceleration",
        "max_acceleration": "Maximum_Acceleration", "moving": "Moving", "mode": "Operating_Mode",
        "torque_limit": "Torque_Limit", "min_position": "Min_Position_Limit",
        "max_position": "Max_Position_Limit", "homing_offset": "Homing_Offset",
    }  # fmt: skip

    def __init__(self, port: str, ids: Sequence[int]) -> None:
        with advice():
            from lerobot.motors import Motor, MotorNormMode
            from lerobot.motors.feetech import FeetechMotorsBus
        motors = {f"joint{servo}": Motor(servo, "sts3215", MotorNormMode.RANGE_M100_100) for servo in ids}
        self._bus = FeetechMotorsBus(port, motors)
        try:
            self._bus.connect()
        except Exception as error:
            raise DriverError(f"no robot at {port}: {error}") from error

    def read(self, ids: Sequence[int], address: int, size: int) -> Block:
        block = np.zeros((len(ids), size), np.uint8)
        for one in TABLE:
            at = one.address - address
            if at >= 0 and at + one.size <= size and one.name in self.NAMES:
                found = self._guarded(lambda name=self.NAMES[one.name]: self._bus.sync_read(name, normalize=False))
                for row, servo in enumerate(ids):
                    value = int(found[f"joint{servo}"])  # LeRobot leaves the sign bit of some registers to its callers
                    raw = value.to_bytes(one.size, "little") if value >= 0 else one.encode(value)
                    block[row, at : at + one.size] = list(raw)
        return block

    def write(self, ids: Sequence[int], address: int, block: Block) -> None:
        for one in TABLE:
            at = one.address - address
            if at >= 0 and at + one.size <= block.shape[1]:
                if one.name not in self.NAMES:
                    raise UnknownNameError("register of LeRobot", one.name, self.NAMES)
                values = {
                    f"joint{servo}": one.decode(bytes(row[at : at + one.size].tolist()))
                    for servo, row in zip(ids, block, strict=True)
                }
                name = self.NAMES[one.name]
                self._guarded(lambda n=name, v=values: self._bus.sync_write(n, v, normalize=False))

    def ask(self, servo: int) -> bool:
        return self._guarded(lambda: self._bus.ping(f"joint{servo}")) is not None

    def _guarded(self, call: Any) -> Any:
        try:
            return call()
        except Exception as error:
            raise DriverError(f"servos do not answer: {error}") from error

    def close(self) -> None:
        self._bus.disconnect(disable_torque=False)


LIBRARIES = ("feetech", "rustypot", "lerobot")


def open_bus(port: str, ids: Sequence[int], library: str = "feetech") -> RegisterBus:
    """Opens a port by a library.

    Raises:
        UnknownNameError: no such library; MissingExtraError: it is not installed.
        DriverError: the port cannot be opened.
    """
    if library == "feetech":
        return FeetechBus(port)
    if library == "rustypot":
        return RustypotBus(port)
    if library == "lerobot":
        return LeRobotBus(port, ids)
    raise UnknownNameError("library", library, LIBRARIES)
