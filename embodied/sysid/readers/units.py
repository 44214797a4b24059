"""Units of logs: what they are called, and what they are in SI."""

from __future__ import annotations

import math

from embodied.errors import UnknownNameError

TURN = 2 * math.pi
TURNS = (TURN, 360.0, 4096.0)  # in the units that angles are counted in: rad, degrees, counts of encoders
TO_SI: dict[str, tuple[str, float]] = {
    "rad": ("rad", 1.0), "mrad": ("rad", 1e-3), "deg": ("rad", TURN / 360), "rev": ("rad", TURN),
    "rad/s": ("rad/s", 1.0), "deg/s": ("rad/s", TURN / 360), "rpm": ("rad/s", TURN / 60), "rev/s": ("rad/s", TURN),
    "m": ("m", 1.0), "cm": ("m", 1e-2), "mm": ("m", 1e-3), "m/s": ("m/s", 1.0), "mm/s": ("m/s", 1e-3),
    "N·m": ("N·m", 1.0), "mN·m": ("N·m", 1e-3), "N·cm": ("N·m", 1e-2), "kgf·cm": ("N·m", 0.0980665),
    "N": ("N", 1.0), "A": ("A", 1.0), "mA": ("A", 1e-3), "V": ("V", 1.0), "mV": ("V", 1e-3),
    "s": ("s", 1.0), "ms": ("s", 1e-3), "us": ("s", 1e-6), "ns": ("s", 1e-9), "min": ("s", 60.0),
}  # fmt: skip
_SPELLINGS = {
    "nm": "N·m", "n·m": "N·m", "n.m": "N·m", "n*m": "N·m", "n m": "N·m", "newton meter": "N·m", "mnm": "mN·m",
    "ncm": "N·cm", "kgf.cm": "kgf·cm", "kg·cm": "kgf·cm", "kg.cm": "kgf·cm", "°": "deg", "degree": "deg",
    "degrees": "deg", "radian": "rad", "radians": "rad", "turn": "rev", "turns": "rev", "revolution": "rev",
    "°/s": "deg/s", "dps": "deg/s", "rads": "rad/s", "radians/s": "rad/s", "degrees/s": "deg/s", "rev/min": "rpm",
    "v": "V", "volt": "V", "volts": "V", "mv": "mV", "a": "A", "amp": "A", "ampere": "A", "ma": "mA", "n": "N",
    "newton": "N", "sec": "s", "second": "s", "seconds": "s", "msec": "ms", "milliseconds": "ms", "µs": "us",
    "μs": "us", "usec": "us", "microseconds": "us", "nanoseconds": "ns",
}  # fmt: skip


def spelled(unit: str) -> str:
    """A unit as it is written here; one that is not known, as it is."""
    plain = unit.strip()
    low = plain.lower()
    if plain in TO_SI:
        return plain
    return _SPELLINGS.get(low, low if low in TO_SI else plain)


def to_si(unit: str) -> tuple[str, float]:
    """The SI unit and the factor that leads there; a unit that is not known stays as it is."""
    return TO_SI.get(spelled(unit), (spelled(unit), 1.0))


def known_unit(unit: str) -> tuple[str, float]:
    """As `to_si`, and raises UnknownNameError for a unit that is not known."""
    if spelled(unit) not in TO_SI:
        raise UnknownNameError("unit", unit, TO_SI)
    return TO_SI[spelled(unit)]
