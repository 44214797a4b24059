"""Which choices are allowed: the one place that finds out, whoever tells.

An environment tells by the key `action_mask` of its observations, by a method `action_masks()` of its own or of a
wrapper at any depth (such as `ActionMasker` of sb3-contrib), or by `info["action_mask"]`: always, or never.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from embodied.errors import OptionError
from embodied.spaces import MASK, choices_of, mask_of
from embodied.vector.members import has_method, layers_of

METHOD = "action_masks"
Mask = NDArray[np.bool_]


class Masks:
    """Finds out which choices N environments allow; see `masks_of_gym` and `masks_of_sb3`.

    Args:
        space: of one environment's actions.
        ask: gives the masks of all, where the environments have a method for it.
    """

    def __init__(self, space: spaces.Space, ask: Callable[[], Any] | None) -> None:
        self._sizes = choices_of(space)
        self._ask = ask
        self._told: bool | None = None  # whether infos tell; None as long as nothing was read
        self.now: Mask | None = None

    def read(self, obs: Any, info: dict[str, Any], needed: Mask) -> Mask | None:
        """What is allowed next, `(N, places)`, in environments that are going to act; anything in the others.

        Raises:
            OptionError: a mask of another size, one that allows nothing, or none where there were some before.
        """
        if not len(self._sizes):
            return None
        given = mask_of(obs)
        if self._ask is not None:
            given = self._ask()
        elif given is None:
            given = self._in_info(info, needed)
        self.now = None if given is None else self._checked(given, needed)
        return self.now

    def _in_info(self, info: dict[str, Any], needed: Mask) -> Any:
        told = np.zeros(len(needed), bool)
        if MASK in info:
            told = np.broadcast_to(np.asarray(info.get(f"_{MASK}", True), bool), (len(needed),))
        if self._told is None:
            self._told = bool(told.any())
        if not self._told and not told.any():
            return None
        silent = np.flatnonzero(needed & ~told)
        if not self._told or len(silent):
            where = "after its reset" if not self._told else f"this time (environment {silent[0]})"
            raise OptionError(
                f"info[{MASK!r}] was told, but not {where}: what is allowed there cannot be known. Tell it at every "
                f"reset and step, all ones where nothing is forbidden, or by a method {METHOD}()"
            )
        return info[MASK]

    def _checked(self, given: Any, needed: Mask) -> Mask:
        rows, places = mask_rows(given), int(self._sizes.sum())
        if rows.shape != (len(needed), places):
            raise OptionError(f"masks of shape {rows.shape} for {len(needed)} environments with {places} choices each")
        starts = np.concatenate([[0], np.cumsum(self._sizes)[:-1]])
        nothing = needed & ~np.logical_or.reduceat(rows, starts, axis=1).all(axis=1)
        if nothing.any():
            raise OptionError(f"the action mask of environment {nothing.argmax()} allows nothing at all")
        return rows


def masks_of_gym(env: VectorEnv) -> Masks:
    """The masks of a vector environment of Gymnasium."""
    ask = next((method for layer in layers_of(env) if callable(method := getattr(layer, METHOD, None))), None)
    if ask is None and has_method(env, METHOD):
        ask = lambda: env.unwrapped.call(METHOD)  # type: ignore[attr-defined] # noqa: E731
    return Masks(env.single_action_space, ask)


def masks_of_sb3(env: VecEnv) -> Masks:
    """The masks of a vector environment of Stable-Baselines3."""
    return Masks(env.action_space, (lambda: env.env_method(METHOD)) if env.has_attr(METHOD) else None)


def mask_rows(mask: Any) -> Mask:
    """Masks of N environments side by side, `(N, places)`: from one array, one per environment, or one per choice.

    Raises:
        OptionError: masks of unequal size.
    """
    if isinstance(mask, tuple) and all(isinstance(part, np.ndarray) and part.ndim == 2 for part in mask):
        return np.concatenate(mask, axis=-1).astype(bool)  # one array per choice of a MultiDiscrete space
    if isinstance(mask, np.ndarray) and mask.dtype != object:
        return mask.reshape(len(mask), -1).astype(bool)
    rows = [np.zeros(0, bool) if one is None else _flat(one) for one in mask]
    sizes = {len(row) for row in rows if len(row)}
    if len(sizes) > 1:
        raise OptionError(f"action masks of {', '.join(map(str, sorted(sizes)))} choices side by side")
    return np.stack([row if len(row) else np.zeros(max(sizes, default=0), bool) for row in rows])


def _flat(mask: Any) -> Mask:
    """One environment's mask: an array, or one per choice."""
    parts = mask if isinstance(mask, tuple | list) else [mask]
    return np.concatenate([np.asarray(part, bool).reshape(-1) for part in parts])
