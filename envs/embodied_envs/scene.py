"""What tasks are made of: rooms, things that stand in them, words that must be meant, and the two ways in."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

import embodied_assets as assets
from embodied.options import options_of
from embodied.randomization.spec import Randomization
from embodied.robot.batched import BatchedRobot
from embodied.world.env import BatchEnv
from embodied.world.single import SingleEnv
from embodied.world.task import Task, World

AWAY = np.array([0.0, 0.0, -20.0])  # where things wait that are not on show
EPISODE_S = (1.0, 600.0)  # s, the bounds of time limits
MISREAD = (0.0, math.nextafter(0.5, 0.0))  # the bounds of a probability with which a reading still tells something
DECISIONS_TO_DECLARE = 6  # decisions in a row for which a declaration action must be held
SPEED_SCALE = np.array([1.0, 1.0, 1.0, 5.0, 5.0, 5.0])  # m/s and rad/s
WALLS = {"north": (0, 1), "south": (0, -1), "east": (1, 0), "west": (-1, 0)}
THICKNESS = 0.02  # m, half that of a wall
BOX, CYLINDER = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CYLINDER
GHOST: dict[str, Any] = {"contype": 0, "conaffinity": 0}  # seen, but not touched


def entry_points(
    task: Callable[[Any], Task], options: type
) -> tuple[Callable[..., SingleEnv], Callable[..., BatchEnv]]:
    """Returns `make` and `make_vec` of a task, the entry points that Gymnasium is told of.

    Both take, beside the options, `randomize` and `observation` as `BatchEnv` does.
    """

    def make(
        render_mode: str | None = None,
        randomize: Randomization | Mapping[str, Any] | str | None = None,
        observation: str = "flat",
        **given: Any,
    ) -> SingleEnv:
        made, different = task(options_of(options, given)), randomization_of(randomize)
        return SingleEnv(BatchEnv(made, 1, 1, AutoresetMode.DISABLED, render_mode, different, observation=observation))

    def make_vec(
        num_envs: int = 1,
        threads: int | None = None,
        autoreset_mode: Any = "NextStep",
        render_mode: str | None = None,
        randomize: Randomization | Mapping[str, Any] | str | None = None,
        adversary: float | None = None,
        observation: str = "flat",
        **given: Any,
    ) -> BatchEnv:
        made, different = task(options_of(options, given)), randomization_of(randomize)
        return BatchEnv(made, num_envs, threads, autoreset_mode, render_mode, different, adversary, observation)

    make.metadata = SingleEnv.metadata  # type: ignore[attr-defined]  # Gymnasium shows "human" from "rgb_array" then
    make.__doc__ = f"One world; options as in `{options.__name__}`."
    make_vec.__doc__ = f"N worlds; options as in `{options.__name__}`."
    return make, make_vec


def randomization_of(given: Randomization | Mapping[str, Any] | Path | str | None) -> Randomization | None:
    """A randomization, the one of a file, or one that is described as in such a file."""
    if isinstance(given, Mapping):
        return Randomization.from_jsonable(given)
    return Randomization.load(given) if isinstance(given, str | Path) else given


def room(half_x: float = 1.2, half_y: float = 1.2) -> mujoco.MjSpec:
    """Returns an empty room, `half_x` and `half_y` [m] from its middle to its walls."""
    spec = mujoco.MjSpec.from_file(str(assets.arena_path("box")))
    spec.geom("floor").size = [half_x, half_y, 0.05]
    for name, (x, y) in WALLS.items():
        wall = spec.geom(f"wall_{name}")
        wall.pos[:2] = x * (half_x + THICKNESS), y * (half_y + THICKNESS)
        wall.size[:2] = (THICKNESS, half_y + 2 * THICKNESS) if x else (half_x + 2 * THICKNESS, THICKNESS)
    wider = max(half_x / 1.4, half_y / 1.2)
    spec.camera("overview").pos = np.array(spec.camera("overview").pos) * wider
    spec.stat.extent *= max(half_x, half_y) / 1.2  # else shadows break off at the walls of a larger room
    return spec


class Props:
    """Bodies that are put somewhere at the start of an episode and stay (mocap bodies)."""

    def __init__(self, world: World) -> None:
        model = world.batch.model
        self._position = world.batch.array("mocap_pos")
        self._quaternion = world.batch.array("mocap_quat")
        self._index = {model.body(i).name: int(model.body_mocapid[i]) for i in range(model.nbody)}

    def place(self, name: str, worlds: NDArray[np.intp], slot: NDArray, height: float = 0.0) -> None:
        """Stands a thing at `slot (n, 3)`: x, y [m] and heading [rad]."""
        i, half, zero = self._index[name], slot[:, 2] / 2, np.zeros(len(slot))
        self._position[worlds, i] = np.stack([slot[:, 0], slot[:, 1], zero + height], axis=1)
        self._quaternion[worlds, i] = np.stack([np.cos(half), zero, zero, np.sin(half)], axis=1)

    def remove(self, name: str, worlds: NDArray[np.intp]) -> None:
        """Takes a thing out of sight."""
        self._position[worlds, self._index[name]] = AWAY


class Declaration:
    """An announcement of an answer; it counts once its action is held long enough.

    Loud enough is half of what can be uttered and long enough is long, not the other way round: a learner that has
    come to avoid it still tries it now and then, and so can find out where it pays.
    """

    def __init__(self, world: World, index: int = 0) -> None:
        self._declared = world.declared
        self._index = index
        self._times = np.zeros(world.batch.n, np.intp)  # decisions on end

    def begin(self, worlds: NDArray[np.intp]) -> None:
        """Forgets how long it was held."""
        self._times[worlds] = 0

    def begun(self, right: NDArray[np.bool_]) -> NDArray[np.float64]:
        """A potential for a declaration under way where it is `right (N,)`, `(N,)`; 0 elsewhere."""
        return 0.3 * np.minimum(self._times / DECISIONS_TO_DECLARE, 1.0) * right

    def complete(self) -> NDArray[np.bool_]:
        """Takes in the last decision; returns where the word is now meant, `(N,)`. Call once per decision."""
        self._times = np.where(self._declared[:, self._index] > 0, self._times + 1, 0)
        return self._times >= DECISIONS_TO_DECLARE


def pose_features(body: BatchedRobot, reach: float) -> NDArray[np.float64]:
    """Where a robot is, how it stands and how it moves, for a privileged state, scaled to about [-1, 1], `(N, 10)`."""
    heading = body.heading
    turn = np.stack([np.cos(heading), np.sin(heading)], axis=1)
    return np.concatenate([body.xy / reach, turn, body.velocity / SPEED_SCALE], axis=1)
