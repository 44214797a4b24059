"""A task of your own in one file: Knock. Behind one of two doors is a prize; a bell hangs beside the right one.

    python examples/own_task.py

What a task says: what stands in the world (`compose`), how an episode begins (`begin`), what counts (`outcome`), what
is hidden (`truth`), and what helps to learn (`state`, `potential`). Batching, seeding, sensors, noise, latency,
rendering, autoreset, checkers and saving come with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import gymnasium as gym
import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.hidden import Discrete
from embodied.world.task import Draw, Outcome, Task, World
from embodied_envs.scene import AWAY, BOX, CYLINDER, GHOST, Props, entry_points, pose_features, room
from embodied_envs.scout import RIDE_HEIGHT, scout

PRIZE = Discrete("prize", ("left", "right"), (0.5, 0.5))
DOORS = np.array([[-0.5, 1.0], [0.5, 1.0]])  # m
REACH = 1.2  # m


@dataclass(frozen=True)
class KnockOptions:
    """Attributes:
    bell_range: from how near the bell can be told from a knob [m].
    episode_s: time limit [s].
    """

    bell_range: float = 0.8
    episode_s: float = 10.0


class Knock(Task):
    """Driving to the door with the prize +1, to the other −0.5; which it is, is hidden."""

    hidden = (PRIZE,)

    def __init__(self, options: KnockOptions) -> None:
        self.options, self.episode_s = options, options.episode_s
        labels = {"door0": "door", "door1": "door", "bell": "bell", "knob": "knob"}
        fine_print = {"bell": "something", "knob": "something"}
        self.robot = scout(self.control_hz).with_labels(labels, fine_print, reading_range=options.bell_range)

    def compose(self) -> mujoco.MjSpec:
        spec = room(REACH, REACH)
        for i, (x, y) in enumerate(DOORS):
            spec.worldbody.add_geom(
                name=f"door{i}",
                type=BOX,
                size=[0.12, 0.01, 0.15],
                pos=[x, y + 0.19, 0.15],
                rgba=[0.5, 0.33, 0.2, 1],
                **GHOST,
            )
        for name, rgba in (("bell", [0.95, 0.75, 0.2, 1]), ("knob", [0.6, 0.6, 0.62, 1])):
            body = spec.worldbody.add_body(name=name, mocap=True, pos=AWAY)
            body.add_geom(name=name, type=CYLINDER, size=[0.05, 0.05, 0], rgba=rgba, **GHOST)
        return spec

    def bind(self, world: World) -> None:
        self._world, self._props = world, Props(world)
        self._prize = np.zeros(world.batch.n, np.intp)

    def begin(self, worlds: NDArray[np.intp], draw: Draw) -> None:
        self._prize[worlds] = draw.choice("prize", PRIZE.prior)
        self._hang(worlds)
        xy = draw.uniform("start", 2, -0.2, 0.2) + np.array([0.0, -0.8])
        self._world.body.place(worlds, xy, np.full(len(worlds), math.pi / 2), RIDE_HEIGHT)

    def _hang(self, worlds: NDArray[np.intp]) -> None:
        for name, door in (("bell", self._prize[worlds]), ("knob", 1 - self._prize[worlds])):
            beside = DOORS[door] + np.array([0.22, 0.12])
            self._props.place(name, worlds, np.column_stack([beside, np.zeros(len(worlds))]), 0.15)

    def _distance(self) -> NDArray[np.float64]:
        return np.linalg.norm(DOORS - self._world.body.xy[:, None], axis=2)

    def outcome(self) -> Outcome:
        at = self._distance() < 0.2
        right, wrong = (at[np.arange(len(at)), door] for door in (self._prize, 1 - self._prize))
        return Outcome(right - 0.5 * wrong - 0.01 / self.control_hz, right | wrong, right)

    def truth(self) -> NDArray[np.float64]:
        return self._prize[:, None].astype(np.float64)

    def set_hidden(self, hidden: NDArray) -> None:
        self._prize[:] = hidden[:, 0]
        self._hang(np.arange(len(hidden)))

    def landmarks(self) -> dict[str, NDArray]:
        return {side: np.tile(DOORS[i], (len(self._prize), 1)) for i, side in enumerate(PRIZE.labels)}

    def state(self) -> NDArray[np.float64]:
        return np.column_stack([pose_features(self._world.body, REACH), self._world.elapsed_s / self.episode_s])

    def potential(self) -> NDArray[np.float64]:
        return -self._distance()[np.arange(len(self._prize)), self._prize] / (2 * REACH)


make, make_vec = entry_points(Knock, KnockOptions)


def register() -> None:
    """Registers `mine/Knock-v0`."""
    gym.register("mine/Knock-v0", entry_point=make, vector_entry_point=make_vec)


if __name__ == "__main__":
    from embodied.learn.ppo import SequencePPO
    from embodied_policies import TransformerPolicy

    register()
    SequencePPO(TransformerPolicy, gym.make_vec("mine/Knock-v0", num_envs=128), seed=0, verbose=1).learn(500_000)
