"""The memory of a servo: what is written, what outlives a loss of power, and what cannot be written."""

from __future__ import annotations

from embodied.deploy.registers import BY_NAME, MEASURED_FROM, MEMORY, TABLE, register

WRITABLE_AGAIN = 80  # address, behind what is measured
FIXED = bytearray(MEMORY)  # 1 where nothing can be written
KEPT = bytearray(MEMORY)
for _one in TABLE:
    for _k in range(_one.size):
        FIXED[_one.address + _k], KEPT[_one.address + _k] = _one.fixed, _one.kept
FIXED[MEASURED_FROM:WRITABLE_AGAIN] = b"\1" * (WRITABLE_AGAIN - MEASURED_FROM)  # also what has no name
LOCK = BY_NAME["lock"].address


class Memory:
    """The bytes of one servo, as from the factory but for its id.

    Attributes:
        writes: how often it has been written to.
    """

    def __init__(self, servo: int) -> None:
        self._kept = bytearray(MEMORY)
        for one in TABLE:
            self._put(self._kept, one.name, one.default)
        self._put(self._kept, "id", servo)
        self.bytes = bytearray(self._kept)
        self.writes = 0

    def __getitem__(self, name: str) -> int:
        """The number in a register."""
        one = register(name)
        return one.decode(bytes(self.bytes[one.address : one.address + one.size]))

    def __setitem__(self, name: str, value: int) -> None:
        """Sets a register from inside, whatever protects it from outside."""
        self._put(self.bytes, name, value)

    def keep(self, name: str, value: int) -> None:
        """Sets a register as if it had left the factory so."""
        self._put(self._kept, name, value)
        self._put(self.bytes, name, value)

    def read(self, address: int, size: int) -> bytes:
        """What stands there; beyond the end, zeros."""
        return bytes(self.bytes[address : address + size]).ljust(size, b"\0")

    def write(self, address: int, data: bytes) -> None:
        """Writes from outside: bytes that cannot be written stay; kept ones are kept where the lock is open."""
        self.writes += 1
        for at, byte in enumerate(data, start=address):
            if at < MEMORY and not FIXED[at]:
                self.bytes[at] = byte
                if KEPT[at] and not self.bytes[LOCK]:
                    self._kept[at] = byte

    def reboot(self) -> None:
        """Forgets what does not outlive a loss of power."""
        self.bytes = bytearray(self._kept)
        self["torque_limit"] = self["max_torque"]
        self.writes += 1

    @staticmethod
    def _put(where: bytearray, name: str, value: int) -> None:
        one = register(name)
        where[one.address : one.address + one.size] = one.encode(value)
