"""What people hand to an environment, checked: modes, masks, draws, actions; and what it hands out, made numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from embodied.errors import ActionError, OptionError


def worlds_of_mask(mask: Any, n: int) -> NDArray[np.intp]:
    """The worlds of a reset mask `(n,)`; all without one.

    Raises:
        OptionError: it is no mask of `n` worlds.
    """
    if mask is None:
        return np.arange(n)
    mask = np.asarray(mask)
    if mask.shape != (n,) or mask.dtype != bool:
        raise OptionError(f"reset_mask must be {n} booleans, not {mask.dtype} of shape {mask.shape}")
    return np.flatnonzero(mask)


def checked_autoreset_mode(mode: AutoresetMode | str) -> AutoresetMode:
    """One of Gymnasium's modes, or its name.

    Raises:
        OptionError: there is no such mode.
    """
    try:
        return AutoresetMode(mode)
    except ValueError:
        known = ", ".join(repr(m.value) for m in AutoresetMode)
        raise OptionError(f"autoreset_mode {mode!r} is unknown; known: {known}") from None


def checked_draw(sampled: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Sampled parameters that are to be put back.

    Raises:
        OptionError: they are of another shape, or no numbers.
    """
    values = np.asarray(sampled, np.float64)
    if values.shape != shape or not np.isfinite(values).all():
        raise OptionError(f"sampled_parameters must be finite numbers of shape {shape}, not of shape {values.shape}")
    return values


def checked_actions(actions: NDArray, shape: tuple[int, ...] | None) -> NDArray[np.float64]:
    """Actions of all worlds, clipped to [-1, 1].

    Raises:
        ActionError: they are of another shape, or no finite numbers.
    """
    actions = np.asarray(actions, np.float64)
    if actions.shape != shape:
        raise ActionError(f"actions have shape {actions.shape}, expected {shape}")
    finite = np.isfinite(actions).all(axis=1)
    if not finite.all():
        raise ActionError(f"actions of worlds {np.flatnonzero(~finite).tolist()} are not finite numbers")
    return np.clip(actions, -1.0, 1.0)


def numbers_only(values: NDArray) -> NDArray:
    """Values with 0 in place of what is no number: that of a world that has failed."""
    return values if np.isfinite(values).all() else np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
