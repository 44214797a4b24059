"""Players of Signpost: what is possible without finding out, by reading the sign, and with the truth known.

They drive by what the camera shows: turn until the pad that they want is in view, then steer at it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from embodied.layout import Layout

CRUISE = 0.7  # share of nominal voltage
STEERING = 0.6  # change of voltage share per half field of view
SEARCH_TURN = 0.4  # share of nominal voltage, in opposite directions


UNDECIDED = -1
SURE = 4.0  # pixels by which one color must lead on the sign


@dataclass
class _Target:
    """Which pad each world's robot wants, as an index of the colors, and how the sign was read, `(n,)` each."""

    index: NDArray[np.intp]
    lead: NDArray[np.float64]  # pixels that read the first color, less those that read the second
    generator: np.random.Generator


class PadSeeker:
    """Drives to a pad in Signpost.

    Args:
        layout: the named layout of the observation.
        classes: the camera's classes, in order.
        colors: the colors of the pads, in the order of the hidden variable.
        heuristic: drive to the sign and read it before the choice.
        truth: returns the index of the good pad in each world, `(n,)`; None to pick one at random.
        sure: by how many pixels one color must lead before it is believed; without end, it goes on looking.
    """

    def __init__(
        self,
        layout: Layout,
        classes: Sequence[str],
        colors: Sequence[str],
        heuristic: bool = False,
        truth: Callable[[], NDArray] | None = None,
        sure: float = SURE,
    ) -> None:
        self._sure, self._colors = sure, tuple(colors)
        self._view = layout.slice("camera/class")
        self._pads = np.array([classes.index(f"{color} pad") for color in colors])
        self._says = np.array([classes.index(f"sign says {color}") for color in colors])
        self._sign = np.array([classes.index("sign"), *self._says])
        self._classes = len(classes)
        self._heuristic, self._truth = heuristic, truth

    def initial(self, n: int, seed: int) -> _Target:
        """Returns a carry without a target."""
        return _Target(np.zeros(n, np.intp), np.zeros(n), np.random.default_rng(seed))

    @property
    def options(self) -> dict[str, float]:
        """To look at the sign for a second, or to go to a pad."""
        return {"look": 1.0} | {f"go to {color}": math.inf for color in self._colors}

    def set_option(self, carry: _Target, which: NDArray[np.intp]) -> _Target:
        """Sets out to look, or for a pad, `(n,)`."""
        return replace(carry, index=np.asarray(which) - 1)

    def act(self, carry: _Target, obs: NDArray, first: NDArray) -> tuple[_Target, NDArray]:
        """Returns actions `(n, 3)`: left wheel, right wheel, head (kept ahead)."""
        target = np.where(first, self._choose(carry, len(obs)), carry.index)
        pixels = self._pixels(obs)
        votes = pixels[..., self._says].sum(axis=1)
        lead = np.where(first, 0.0, carry.lead) + votes[:, 0] - votes[:, 1]
        decided = (target == UNDECIDED) & (np.abs(lead) >= self._sure)
        target = np.where(decided, (lead < 0).astype(np.intp), target)
        pads = pixels[np.arange(len(obs)), :, self._pads[target]]
        seen = np.where((target == UNDECIDED)[:, None], pixels[..., self._sign].max(axis=2), pads)
        bearing = _center(seen)
        visible = seen.any(axis=1)
        steer = np.where(visible, STEERING * bearing, 0.0)
        left = np.where(visible, CRUISE - steer, -SEARCH_TURN)
        right = np.where(visible, CRUISE + steer, SEARCH_TURN)
        actions = np.stack([left, right, np.zeros_like(left)], axis=1)
        return _Target(target, lead, carry.generator), np.clip(actions, -1, 1).astype(np.float32)

    def _choose(self, carry: _Target, n: int) -> NDArray[np.intp]:
        if self._truth is not None:
            return np.asarray(self._truth(), np.intp)
        if self._heuristic:
            return np.full(n, UNDECIDED)
        return carry.generator.integers(0, len(self._pads), n)

    def _pixels(self, obs: NDArray) -> NDArray:
        return obs[:, self._view].reshape(len(obs), -1, self._classes)


def _center(seen: NDArray) -> NDArray[np.float64]:
    """Mean place of the marked pixels, 1 at the left edge of the view and −1 at the right, `(n,)`."""
    place = np.linspace(1.0, -1.0, seen.shape[1])
    return (seen * place).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
