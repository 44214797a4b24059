"""Simulated servos without a port: the same packets, at once, for loops that are to be repeatable and fast."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from embodied.deploy.twin.bus import Bus
from embodied.deploy.twin.packets import BROADCAST, Instruction, Parser, request
from embodied.errors import DriverError


class DirectBus:
    """The line of a `Bus`, as drivers read and write it (see `embodied.deploy.drivers.buses.RegisterBus`)."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def read(self, ids: Sequence[int], address: int, size: int) -> NDArray[np.uint8]:
        rows = self._ask(request(BROADCAST, Instruction.SYNC_READ, bytes([address, size, *ids])))
        missing = [servo for servo in ids if len(rows.get(servo, b"")) < size]
        if missing:
            raise DriverError(f"servos {missing} do not answer")
        return np.array([list(rows[servo]) for servo in ids], np.uint8)

    def write(self, ids: Sequence[int], address: int, block: NDArray[np.uint8]) -> None:
        rows = b"".join(bytes([servo, *row]) for servo, row in zip(ids, block.tolist(), strict=True))
        self._ask(request(BROADCAST, Instruction.SYNC_WRITE, bytes([address, block.shape[1]]) + rows))

    def ask(self, servo: int) -> bool:
        return servo in self._ask(request(servo, Instruction.PING))

    def _ask(self, packet: bytes) -> dict[int, bytes]:
        """What servos answer, by their ids."""
        if self._bus.unplugged:
            raise DriverError("the port is gone")
        parser = Parser()
        answers = [found for _, data in self._bus.receive(packet) for found in parser.feed(data)]
        return {found.id: found.parameters for found in answers}

    def close(self) -> None:
        return None
