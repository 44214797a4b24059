"""Elements that are added to somebody else's spec, untouched by the default classes of its file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import mujoco
import numpy as np

_IDENTITY = {"id", "signature"}


def add_actuator(spec: mujoco.MjSpec, **attributes: Any) -> mujoco.MjsActuator:
    """Adds an actuator that has MuJoCo's own defaults in everything but `attributes`."""
    return _stated(spec.add_actuator(), attributes)


def add_joint(body: mujoco.MjsBody, **attributes: Any) -> mujoco.MjsJoint:
    """Adds a joint that has MuJoCo's own defaults in everything but `attributes`."""
    return _stated(body.add_joint(), attributes)


def _stated(element: Any, attributes: Mapping[str, Any]) -> Any:
    for name, value in {**_defaults(isinstance(element, mujoco.MjsActuator)), **attributes}.items():
        setattr(element, name, value)
    return element


@cache
def _defaults(actuator: bool) -> Mapping[str, Any]:
    """The numbers of a fresh element in a spec without default classes."""
    spec = mujoco.MjSpec()
    fresh: Any = spec.add_actuator() if actuator else spec.worldbody.add_body().add_joint()
    names = [name for name in dir(fresh) if not name.startswith("_") and name not in _IDENTITY]
    values = {name: getattr(fresh, name) for name in names}
    return MappingProxyType(
        {name: np.copy(v) if isinstance(v, np.ndarray) else v for name, v in values.items() if _plain(v)}
    )


def _plain(value: Any) -> bool:
    """Whether it is a number, an array or one of MuJoCo's enums, rather than a name or a part of the spec."""
    return isinstance(value, bool | int | float | np.ndarray) or type(value).__name__.startswith("mjt")
