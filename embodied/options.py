"""Options: keyword arguments that become a frozen dataclass, or an error that lists what there is."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import fields
from typing import Any, TypeVar

from embodied.errors import OptionError, UnknownNameError

T = TypeVar("T")


def check_bounds(options: Any, **bounds: tuple[float, float]) -> None:
    """Checks numbers of an options dataclass: `name=(least, most)`.

    Raises:
        OptionError: one of them is out of its bounds.
    """
    for name, (least, most) in bounds.items():
        value = getattr(options, name)
        if not least <= value <= most:
            upmost = f"{most:g}"
            below = "below " if float(upmost) > most else ""  # a bound that is itself excluded
            raise OptionError(f"{name} must be {least:g} to {below}{upmost}, not {value!r}")


def check_choices(options: Any, **choices: Collection[str]) -> None:
    """Checks words of an options dataclass: `name=those there are`.

    Raises:
        UnknownNameError: one of them is none of those.
    """
    for name, known in choices.items():
        if getattr(options, name) not in known:
            raise UnknownNameError(name, getattr(options, name), known)


def options_of(cls: type[T], given: dict[str, Any]) -> T:
    """Builds the options dataclass `cls` from keyword arguments.

    Raises:
        UnknownNameError: an option that `cls` does not have.
        OptionError: a value of the wrong type.
    """
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    for name, value in given.items():
        if name not in known:
            raise UnknownNameError("option", name, known)
        expected = type(known[name].default)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if isinstance(value, float) and not math.isfinite(value):
            raise OptionError(f"option {name!r} is {value!r}, expected a finite number")
        if not (isinstance(value, expected) or (expected is float and whole)):
            raise OptionError(f"option {name!r} is {value!r}, expected {expected.__name__}")
    return cls(**given)
