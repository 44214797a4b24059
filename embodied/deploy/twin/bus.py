"""Servos on one line: what each answers to a request, when, and what goes wrong on the way."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from embodied.deploy.registers import BY_NAME, DELAY_S, MEASURED_FROM, MEASURED_SIZE, TABLE
from embodied.deploy.twin.firmware import Firmware
from embodied.deploy.twin.memory import Memory
from embodied.deploy.twin.packets import BROADCAST, Instruction, Parser, Request, answer

BITS_PER_BYTE = 10  # with start and stop
BAUD_RATES = (1_000_000, 500_000, 250_000, 128_000, 115_200, 76_800, 57_600, 38_400)
ON_REQUEST = {Instruction.PING, Instruction.READ, Instruction.SYNC_READ}


@dataclass(frozen=True)
class Faults:
    """What goes wrong; times are since the twin was switched on [s].

    Attributes:
        corrupted: share of the packets, each way, in which one bit is wrong; lost: share of the answers that never
            come.
        late: share of the answers that come late, by `late_s` [s].
        dies_s: by id, when a servo dies; unplugged_s: when the cable is pulled.
        sag: when the supply sags, for how long, and to which voltage [V].
    """

    corrupted: float = 0.0
    lost: float = 0.0
    late: float = 0.0
    late_s: float = 0.02
    dies_s: dict[int, float] = field(default_factory=dict)
    unplugged_s: float = math.inf
    sag: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Write:
    """Something that was written to a servo: when [s], to whom, at which address, what."""

    time_s: float
    id: int
    address: int
    data: bytes

    @property
    def numbers(self) -> dict[str, int]:
        """The registers that it covers whole, by name."""
        end = self.address + len(self.data)
        whole = [one for one in TABLE if one.address >= self.address and one.address + one.size <= end]
        return {one.name: one.decode(self.data[one.address - self.address :]) for one in whole}


class Bus:
    """Answers requests for the servos of a firmware.

    Attributes:
        written: everything that was written, in order: the witness of what a robot was told.
        unplugged: whether the cable has been pulled.
    """

    def __init__(self, firmware: Firmware, faults: Faults | None = None, seed: int = 0) -> None:
        self.firmware, self.faults = firmware, faults or Faults()
        self.parser = Parser()
        self.written: list[Write] = []
        self._rng = np.random.default_rng(seed)
        self.unplugged = False
        self._registered: dict[int, tuple[int, bytes]] = {}
        self._ids = {servo: i for i, servo in enumerate(firmware.ids)}

    def tick(self) -> None:
        """Moves servos and body on by one tick, after what goes wrong at this time."""
        now, faults, firmware = self.firmware.time_s, self.faults, self.firmware
        for servo, when in faults.dies_s.items():
            if now >= when and firmware.alive(servo):
                firmware.kill(servo)
        if faults.sag is not None:
            start, lasts, volts = faults.sag
            firmware.body.supply = volts if start <= now < start + lasts else firmware.body.truth.supply
        self.unplugged |= now >= faults.unplugged_s
        firmware.tick()

    @property
    def byte_s(self) -> float:
        """How long a byte takes on the line [s]."""
        rate = self.firmware.memories[0]["baud_rate"]
        return BITS_PER_BYTE / BAUD_RATES[min(rate, len(BAUD_RATES) - 1)]

    def receive(self, data: bytes) -> list[tuple[float, bytes]]:
        """Takes bytes from the line; returns answers, with how long after them each is complete [s]."""
        if self.faults.corrupted:
            data = self._corrupted(data)
        answers = []
        for request in self.parser.feed(data):
            after = request.size * self.byte_s
            for servo, parameters in self._execute(request):
                packet = answer(servo, self._flags(servo), parameters)
                after += self._memory(servo)["return_delay"] * DELAY_S + len(packet) * self.byte_s
                answers.append((after, packet))
        return [(after + self._lateness(), self._corrupted(packet)) for after, packet in answers if not self._loses()]

    def _execute(self, request: Request) -> list[tuple[int, bytes]]:
        """Does what a request asks; returns who answers, and with which parameters."""
        what, parameters = request.instruction, request.parameters
        if what == Instruction.SYNC_READ and len(parameters) > 2:
            address, size = parameters[:2]
            return [(servo, self._read(servo, address, size)) for servo in parameters[2:] if self._hears(servo)]
        if what == Instruction.SYNC_WRITE and len(parameters) > 2:
            self._sync_write(parameters)
            return []
        everyone = request.id == BROADCAST
        reached = [servo for servo in self._ids if (everyone or servo == request.id) and self._hears(servo)]
        replies = [(servo, self._do(servo, what, parameters)) for servo in reached]
        if everyone and what != Instruction.PING:
            return []
        return [(s, r) for s, r in replies if what in ON_REQUEST or self._memory(s)["response_level"]]

    def _do(self, servo: int, what: int, parameters: bytes) -> bytes:
        """Does something in one servo; returns the parameters of its answer."""
        if what == Instruction.READ and len(parameters) == 2:
            return self._read(servo, parameters[0], parameters[1])
        if what == Instruction.WRITE and parameters:
            self._write(servo, parameters[0], parameters[1:])
        elif what == Instruction.REG_WRITE and parameters:
            self._registered[servo] = (parameters[0], parameters[1:])
        elif what == Instruction.ACTION and servo in self._registered:
            self._write(servo, *self._registered.pop(servo))
        elif what == Instruction.REBOOT:
            self._memory(servo).reboot()
        elif what == Instruction.CALIBRATE:
            self._write(servo, BY_NAME["torque_enable"].address, bytes([128]))
        return b""

    def _sync_write(self, parameters: bytes) -> None:
        address, size, rows = parameters[0], parameters[1], parameters[2:]
        for at in range(0, len(rows) - size, size + 1):
            if self._hears(rows[at]):
                self._write(rows[at], address, rows[at + 1 : at + 1 + size])

    def _read(self, servo: int, address: int, size: int) -> bytes:
        if address < MEASURED_FROM + MEASURED_SIZE and address + size > MEASURED_FROM:
            self.firmware.report(servo)
        return self._memory(servo).read(address, size)

    def _write(self, servo: int, address: int, data: bytes) -> None:
        self.written.append(Write(self.firmware.time_s, servo, address, data))
        self._memory(servo).write(address, data)
        self.firmware.written(servo)

    def _hears(self, servo: int) -> bool:
        return servo in self._ids and self.firmware.alive(servo)

    def _memory(self, servo: int) -> Memory:
        return self.firmware.memories[self._ids[servo]]

    def _flags(self, servo: int) -> int:
        return int(self.firmware.flags[self._ids[servo]])

    def _loses(self) -> bool:
        return bool(self.faults.lost) and self._rng.random() < self.faults.lost

    def _lateness(self) -> float:
        return self.faults.late_s if self.faults.late and self._rng.random() < self.faults.late else 0.0

    def _corrupted(self, data: bytes) -> bytes:
        """The same with one wrong bit, if this packet is one of those."""
        if not self.faults.corrupted or self._rng.random() >= self.faults.corrupted or not data:
            return data
        at, bit = self._rng.integers(len(data)), self._rng.integers(8)
        return data[:at] + bytes([data[at] ^ 1 << int(bit)]) + data[at + 1 :]
