"""Spaces of observations: any Gymnasium space as one flat row of numbers, and where a mask of allowed actions is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from embodied.errors import OptionError

MASK = "action_mask"  # a Dict observation may hold which actions are allowed; the policy does not see it as a number
SMALLEST_PICTURE = 12  # pixels; smaller boxes of three dimensions are flattened


def mask_of(observation: Any) -> Any:
    """The mask of allowed actions that a Dict observation holds, also below `obs`; None without one."""
    if not isinstance(observation, dict):
        return None
    return observation[MASK] if MASK in observation else mask_of(observation.get("obs"))


def choices_of(space: spaces.Space) -> NDArray[np.intp]:
    """How many places each choice of an action space has; none where there is nothing to choose from."""
    if isinstance(space, spaces.Discrete):
        return np.array([space.n], np.intp)
    return space.nvec.reshape(-1).astype(np.intp) if isinstance(space, spaces.MultiDiscrete) else np.zeros(0, np.intp)


@dataclass(frozen=True)
class Part:
    """One simple space within an observation, and where its numbers stand in the flat row."""

    path: tuple[str | int, ...]
    space: spaces.Space
    start: int

    @property
    def is_picture(self) -> bool:
        """Whether it is a picture, height × width × channels or channels first."""
        box = self.space
        return isinstance(box, spaces.Box) and len(box.shape) == 3 and min(sides(box)) >= SMALLEST_PICTURE

    @property
    def size(self) -> int:
        """How many numbers it takes."""
        if isinstance(self.space, spaces.Discrete):
            return int(self.space.n)
        if isinstance(self.space, spaces.MultiDiscrete):
            return int(self.space.nvec.sum())
        return int(np.prod(self.space.shape or (1,)))

    @property
    def stop(self) -> int:
        return self.start + self.size

    def numbers(self, observation: Any) -> NDArray:
        """Its numbers in a batch of observations, `(N, size)`."""
        value = observation
        for key in self.path:
            value = value[key]
        value = np.asarray(value)
        if isinstance(self.space, spaces.Discrete):
            return _indicators(value.reshape(-1, 1) - self.space.start, np.array([self.space.n]))
        if isinstance(self.space, spaces.MultiDiscrete):
            count = self.space.nvec.size
            return _indicators(value.reshape(-1, count) - self.space.start.reshape(-1), self.space.nvec.reshape(-1))
        return value.reshape(-1, self.size)


class Codec:
    """Turns batches of observations of a space into rows `(N, size)` of float32.

    Raises:
        OptionError: the space holds something else than Box, Discrete, MultiDiscrete, MultiBinary, Dict and Tuple.
    """

    def __init__(self, space: spaces.Space) -> None:
        self.space = space
        self.parts: list[Part] = []
        self._collect(space, ())
        if not self.parts:
            raise OptionError(f"there is nothing to observe in {space}")
        self.size = self.parts[-1].stop
        self.is_flat = isinstance(space, spaces.Box) and len(space.shape) == 1

    @property
    def pictures(self) -> list[Part]:
        return [part for part in self.parts if part.is_picture]

    @property
    def vectors(self) -> list[Part]:
        return [part for part in self.parts if not part.is_picture]

    def rows(self, observation: Any) -> NDArray[np.float32]:
        """Returns a batch of observations as rows, `(N, size)`."""
        if self.is_flat:
            return np.asarray(observation, np.float32)
        return np.concatenate([part.numbers(observation) for part in self.parts], axis=1).astype(np.float32)

    def batched(self, observation: Any) -> tuple[Any, bool]:
        """Returns an observation as a batch, and whether it was a single one."""
        part = self.parts[0]
        value = observation
        for key in part.path:
            value = value[key]
        single = np.ndim(value) == len(part.space.shape or ())
        return (_with_batch(observation) if single else observation), single

    def _collect(self, space: spaces.Space, path: tuple[str | int, ...]) -> None:
        if isinstance(space, spaces.Dict):
            for key, inner in space.spaces.items():
                if key != MASK:
                    self._collect(inner, (*path, key))
        elif isinstance(space, spaces.Tuple):
            for i, inner in enumerate(space.spaces):
                self._collect(inner, (*path, i))
        elif isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
            part = Part(path, space, self.parts[-1].stop if self.parts else 0)
            if part.size:
                self.parts.append(part)
        else:
            raise OptionError(
                f"observations of {type(space).__name__} are not supported; known: Box, Discrete, MultiDiscrete, "
                f"MultiBinary, and Dict or Tuple of these{_without(path)}"
            )


def _without(path: tuple[str | int, ...]) -> str:
    """What to do about a part of an observation that cannot be read."""
    if not path:
        return ""
    return f"; leave {path[0]!r} out: --observe with the other keys, or gymnasium.wrappers.FilterObservation"


def sides(space: spaces.Space) -> tuple[int, int]:
    assert space.shape is not None
    a, b, c = space.shape
    return (a, b) if c < a else (b, c)


def _indicators(choice: NDArray, sizes: NDArray) -> NDArray[np.float32]:
    """Choices `(N, k)` among `sizes (k,)` as indicators side by side, `(N, sum of sizes)`."""
    rows = np.zeros((len(choice), int(sizes.sum())), np.float32)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    np.put_along_axis(rows, (choice + starts).astype(np.intp), 1.0, axis=1)
    return rows


def _with_batch(observation: Any) -> Any:
    if isinstance(observation, dict):
        return {key: _with_batch(value) for key, value in observation.items()}
    if isinstance(observation, tuple):
        return tuple(_with_batch(value) for value in observation)
    return np.asarray(observation)[None]
