"""Everything that an environment remembers outside MuJoCo, as arrays by name: for resuming exactly where it stopped.

Whatever is a NumPy array that can be written to, or a plain number, in the objects of an environment is its state. Task
authors need to write nothing for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.errors import CheckpointError
from embodied.physics.batch import Batch

_SKIPPED = (Batch, mujoco.MjModel, mujoco.MjData, mujoco.MjSpec, mujoco.Renderer, type)
_PLAIN = (bool, int, float)


def state_of(root: Any) -> dict[str, NDArray]:
    """Returns copies of all arrays and plain numbers below `root`, by path."""
    return {path: np.array(value) for path, _, _, value in _walk(root)}


def restore_state(root: Any, saved: dict[str, NDArray]) -> None:
    """Gives everything below `root` the values of `state_of`.

    Raises:
        CheckpointError: they belong to another environment.
    """
    found = list(_walk(root))
    if {path for path, *_ in found} != set(saved):
        strange = sorted({path for path, *_ in found} ^ set(saved))
        raise CheckpointError(f"the saved state is of another environment: {', '.join(strange[:5])} differ")
    for path, owner, key, value in found:
        new = saved[path]
        if isinstance(value, np.ndarray):
            if value.shape == new.shape and value.dtype == new.dtype:
                value[...] = new
            else:
                _set(owner, key, np.array(new))
        else:
            _set(owner, key, type(value)(new.item()))


def per_world(one: dict[str, NDArray], other: dict[str, NDArray]) -> tuple[str, ...]:
    """Names of what each world has for itself: what is as long as there are worlds, in two states of as many as differ.

    Raises:
        CheckpointError: the states are not of the same environment, or hold what is as long as there are worlds along
            another axis than the first.
    """
    if set(one) != set(other):
        raise CheckpointError(f"states of two environments: {', '.join(sorted(set(one) ^ set(other))[:5])} differ")
    own = tuple(name for name, value in one.items() if value.shape[:1] != other[name].shape[:1])
    for name in set(one) - set(own):
        if one[name].shape != other[name].shape:
            raise CheckpointError(f"{name} does not differ by world: its first axis must be worlds")
    return own


def _walk(root: Any) -> Iterator[tuple[str, Any, Any, Any]]:
    """Yields `(path, owner, key, value)` of every array and plain number, each object once, in a fixed order."""
    seen: set[int] = set()
    todo: list[tuple[str, Any]] = [("", root)]
    while todo:
        path, owner = todo.pop()
        if id(owner) in seen:
            continue
        seen.add(id(owner))
        for key, value in _members(owner):
            name = f"{path}/{key}" if path else str(key)
            if isinstance(value, np.ndarray):
                if value.dtype != object and value.flags.writeable and id(value) not in seen:
                    seen.add(id(value))
                    yield name, owner, key, value
            elif isinstance(value, _PLAIN):
                if not isinstance(owner, tuple):
                    yield name, owner, key, value
            elif _is_ours(value):
                todo.append((name, value))


def _members(owner: Any) -> list[tuple[Any, Any]]:
    if isinstance(owner, dict):
        return [(key, owner[key]) for key in owner]
    if isinstance(owner, list | tuple):
        return list(enumerate(owner))
    slots = [slot for cls in type(owner).__mro__ for slot in getattr(cls, "__slots__", ())]
    own = {slot: getattr(owner, slot) for slot in slots if hasattr(owner, slot)} | getattr(owner, "__dict__", {})
    return list(own.items())


def _is_ours(value: Any) -> bool:
    """Whether to look inside: containers, and objects that can change, of anybody but MuJoCo and the libraries."""
    if isinstance(value, dict | list | tuple):
        return True
    if isinstance(value, _SKIPPED) or callable(value) or value is None or isinstance(value, str | bytes):
        return False
    frozen = is_dataclass(value) and getattr(value, "__dataclass_params__").frozen  # noqa: B009 (for mypy)
    library = type(value).__module__.split(".")[0] in {"numpy", "gymnasium", "mujoco", "weakref", "pathlib", "builtins"}
    return not frozen and not library


def _set(owner: Any, key: Any, value: Any) -> None:
    if isinstance(owner, dict | list):
        owner[key] = value
    else:
        setattr(owner, key, value)
