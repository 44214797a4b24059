"""Packets of the STS protocol: `FF FF id length instruction parameters checksum`, and answers with an error byte."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

HEADER = b"\xff\xff"
BROADCAST = 0xFE
SHORTEST, LONGEST = 2, 250  # of the length byte, which counts what follows it
PING_LENGTH = 6  # bytes of a packet without parameters


class Instruction(IntEnum):
    """What a servo is asked to do."""

    PING = 0x01
    READ = 0x02
    WRITE = 0x03
    REG_WRITE = 0x04
    ACTION = 0x05
    RECOVERY = 0x06
    REBOOT = 0x08
    CALIBRATE = 0x0B
    SYNC_READ = 0x82
    SYNC_WRITE = 0x83


@dataclass(frozen=True)
class Request:
    """A packet that arrived whole; `size` is its number of bytes on the wire."""

    id: int
    instruction: int
    parameters: bytes

    @property
    def size(self) -> int:
        return PING_LENGTH + len(self.parameters)


def checksum(data: bytes) -> int:
    """The complement of the sum of everything behind the header."""
    return ~sum(data) & 0xFF


def request(servo: int, instruction: int, parameters: bytes = b"") -> bytes:
    """A packet to a servo."""
    inner = bytes([servo, len(parameters) + 2, instruction]) + parameters
    return HEADER + inner + bytes([checksum(inner)])


def answer(servo: int, error: int, parameters: bytes = b"") -> bytes:
    """A packet from a servo: the same form, with its error flags in place of the instruction."""
    return request(servo, error, parameters)


class Parser:
    """Finds packets in what comes over a line, whatever the pieces; what is damaged is skipped.

    Attributes:
        damaged: how many packets had a wrong checksum.
    """

    def __init__(self) -> None:
        self._rest = b""
        self.damaged = 0

    def feed(self, data: bytes) -> list[Request]:
        """Returns the requests that are complete now."""
        self._rest += data
        found = []
        while (packet := self._next()) is not None:
            found += packet
        return found

    def _next(self) -> list[Request] | None:
        """What the next bytes are, at most one request; None where more must come first."""
        start = self._rest.find(HEADER)
        if start < 0:
            self._rest = self._rest[-1:] if self._rest.endswith(b"\xff") else b""
            return None
        self._rest = self._rest[start:]
        if len(self._rest) < 4:
            return None
        servo, length = self._rest[2], self._rest[3]
        if servo == 0xFF or not SHORTEST <= length <= LONGEST:
            self._rest = self._rest[1:]
            return []
        if len(self._rest) < length + 4:
            return None
        inner, given = self._rest[2 : length + 3], self._rest[length + 3]
        if checksum(inner) != given:
            self.damaged += 1
            self._rest = self._rest[2:]
            return []
        self._rest = self._rest[length + 4 :]
        return [Request(servo, inner[2], inner[3:])]
