"""Blocks that lie loose on a table and can be gripped."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.world.task import World
from embodied_envs.scene import BOX

GRIP, SMOOTH = 1.0, 0.3  # coefficients of friction


def add_block(
    spec: mujoco.MjSpec, name: str, half: Sequence[float], mass: float, rgba: Sequence[float], smooth: bool = False
) -> None:
    """Adds a box of half sizes `half` [m] and a mass [kg], free to move; a `smooth` one slides on others."""
    body = spec.worldbody.add_body(name=name, pos=[0, 0, half[2]])
    body.add_freejoint(name=name)
    body.add_geom(
        name=name, type=BOX, size=list(half), mass=mass, rgba=list(rgba), condim=4,
        friction=[SMOOTH if smooth else GRIP, 0.005, 0.0005], priority=int(smooth),
    )  # fmt: skip


class Blocks:
    """K blocks in each of N worlds: where they are, and how they get somewhere."""

    def __init__(self, world: World, names: Sequence[str]) -> None:
        joints = [world.batch.model.joint(name) for name in names]
        self._qpos, self._qvel = world.batch.array("qpos"), world.batch.array("qvel")
        self._first = np.array([int(joint.qposadr[0]) for joint in joints])
        self._motion = np.array([int(joint.dofadr[0]) for joint in joints])

    @property
    def places(self) -> NDArray[np.float64]:
        """Their middles, `(N, K, 3)` [m]."""
        return np.stack([self._qpos[:, self._first + axis] for axis in range(3)], axis=2)

    @property
    def speeds(self) -> NDArray[np.float64]:
        """How fast they are, `(N, K)` [m/s]."""
        return np.linalg.norm([self._qvel[:, self._motion + axis] for axis in range(3)], axis=0)

    def put(self, worlds: NDArray[np.intp], places: NDArray, heading: NDArray) -> None:
        """Lays all of them somewhere, flat: middles `(n, K, 3)` [m] and headings `(n, K)` [rad]."""
        half, rows = heading / 2, worlds[:, None]
        for axis in range(3):
            self._qpos[rows, self._first + axis] = places[..., axis]
        for column, value in enumerate((np.cos(half), 0 * half, 0 * half, np.sin(half)), 3):
            self._qpos[rows, self._first + column] = value

    def swap(self, worlds: NDArray[np.intp], one: NDArray[np.intp], other: NDArray[np.intp]) -> None:
        """Lets two blocks `(n,)` of each world change places and motions."""
        for array, starts, width in ((self._qpos, self._first, 7), (self._qvel, self._motion, 6)):
            for column in range(width):
                a, b = starts[one] + column, starts[other] + column
                array[worlds, a], array[worlds, b] = array[worlds, b], array[worlds, a].copy()
