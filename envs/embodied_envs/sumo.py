"""Sumo: two robots, each pushes the other out of a ring; how heavy the other is, and how it grips, shows in contact."""

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.hidden import Continuous
from embodied.options import check_bounds
from embodied.world.duel import DuelTask, Seat
from embodied.world.task import Draw, Outcome, World
from embodied_envs.duels import duel_entry_points, watchful_pair
from embodied_envs.opponents import Chaser
from embodied_envs.scene import CYLINDER, EPISODE_S, pose_features, room
from embodied_envs.scout import RIDE_HEIGHT

REACH = 1.1  # m, from the middle of the ring to the walls of the room
MASS = (0.8, 1.25)  # times that of Scout
GRIP = (0.7, 1.0)  # times that of Scout's tyres
PIXELS = 24
SEATS = ("west", "east")


@dataclass(frozen=True)
class SumoOptions:
    """How hard it is.

    Attributes:
        ring: radius of the ring [m].
        view: how far the robots see [m].
        episode_s: time limit [s]; then it is a draw.
    """

    ring: float = 0.6
    view: float = 1.2
    episode_s: float = 15.0

    def __post_init__(self) -> None:
        check_bounds(self, ring=(0.4, 0.9), view=(0.3, 3.0), episode_s=EPISODE_S)


class Sumo(DuelTask):
    """+1 for pushing the other out of the ring, −1 for being out first; the other's place, mass and grip are hidden."""

    seats = SEATS
    shaping_curriculum = 0.5

    def __init__(self, options: SumoOptions) -> None:
        self.options = options
        self.episode_s = options.episode_s
        self.players = watchful_pair(self.control_hz, SEATS, PIXELS, options.view)
        self.robot = self.players[0]
        ring = options.ring
        self.hidden = tuple(
            Continuous(f"{other} {what}", *span)  # type: ignore[arg-type]
            for other in reversed(SEATS)
            for what, span in {
                "x": (-ring, ring, "m", False, True),
                "y": (-ring, ring, "m", False, True),
                "mass": (*MASS, "1"),
                "grip": (*GRIP, "1"),
            }.items()
        )

    def scripted(self, seat: Seat) -> Chaser:
        return Chaser(seat.layout, roams=False)

    def compose(self) -> mujoco.MjSpec:
        spec = room(REACH, REACH)
        ring = self.options.ring
        for name, radius, height, rgba in (
            ("rim", ring + 0.02, 0.003, [0.95, 0.95, 0.93, 1]),
            ("ring", ring, 0.005, [0.20, 0.21, 0.24, 1]),
        ):
            spec.worldbody.add_site(
                name=name, type=CYLINDER, size=[radius, height / 2, 0], pos=[0, 0, height / 2], rgba=rgba
            )
        return spec

    def bind(self, world: World) -> None:
        self._world = world
        model = world.batch.model
        self._chassis = [model.body(f"{seat}/chassis").id for seat in SEATS]
        self._tyres = [[model.geom(f"{seat}/{side}_tyre").id for side in ("left", "right")] for seat in SEATS]
        self._mass, self._inertia = world.batch.field("body_mass"), world.batch.field("body_inertia")
        self._friction = world.batch.field("geom_friction")
        self._as_built = model.body_mass.copy(), model.body_inertia.copy(), model.geom_friction.copy()
        n = world.batch.n
        self._drawn = np.ones((n, 2, 2))  # mass and grip of each player, times Scout's

    def begin(self, worlds: NDArray[np.intp], draw: Draw) -> None:
        turn = draw.uniform("turn", 1, -math.pi, math.pi)[:, 0]
        apart = draw.uniform("apart", 1, 0.2, 0.35)[:, 0]
        for i, body in enumerate(self._world.bodies):
            place = turn + math.pi * i
            heading = place + draw.uniform(f"heading{i}", 1, -math.pi, math.pi)[:, 0]
            body.place(worlds, apart[:, None] * np.column_stack([np.cos(place), np.sin(place)]), heading, RIDE_HEIGHT)
            self._equip(i, worlds, draw.uniform(f"mass{i}", 1, *MASS), draw.uniform(f"grip{i}", 1, *GRIP))
        self._world.batch.derive(worlds, strict=False)

    def _equip(self, player: int, worlds: NDArray[np.intp], mass: NDArray, grip: NDArray) -> None:
        built_mass, built_inertia, built_friction = self._as_built
        chassis, tyres = self._chassis[player], self._tyres[player]
        self._mass[worlds, chassis] = mass[:, 0] * built_mass[chassis]
        self._inertia[worlds, chassis] = mass * built_inertia[chassis]
        self._friction[worlds[:, None], tyres, 0] = grip * built_friction[tyres, 0]
        self._drawn[worlds, player] = np.column_stack([mass, grip])

    def outcome(self) -> Outcome:
        distance = np.stack([np.linalg.norm(body.xy, axis=1) for body in self._world.bodies], axis=1)
        out = distance > self.options.ring
        lost = np.logical_and(out, distance >= distance.max(axis=1, keepdims=True))  # of two that are out, the farther
        won = lost[:, ::-1] & ~lost
        return Outcome(won[:, 0] * 1.0 - won[:, 1] * 1.0, np.logical_or(out[:, 0], out[:, 1]), won)

    def truth(self) -> NDArray[np.float64]:
        west, east = self._world.bodies
        return np.column_stack([east.xy, self._drawn[:, 1], west.xy, self._drawn[:, 0]])

    def state(self) -> NDArray[np.float64]:
        clock = self._world.elapsed_s / self.episode_s
        poses = [pose_features(body, self.options.ring) for body in self._world.bodies]
        equipment = self._drawn.reshape(len(clock), -1) - 1
        return np.column_stack([*poses, equipment, clock, *poses[::-1], equipment[:, [2, 3, 0, 1]], clock])

    def potential(self) -> NDArray[np.float64]:
        """How much nearer to the edge the other is than oneself, and how near it is, in ring radii, for both seats."""
        west, east = (body.xy for body in self._world.bodies)
        distance = np.column_stack([np.linalg.norm(west, axis=1), np.linalg.norm(east, axis=1)])
        apart = np.linalg.norm(west - east, axis=1)[:, None]
        return (0.4 * (distance[:, ::-1] - distance) - 0.2 * apart) / self.options.ring


make, make_vec, parallel_env = duel_entry_points(Sumo, SumoOptions, "sumo_v0")
