"""Heft: cubes that look alike, of which the heavy one belongs on the pad; weight is felt by lifting."""

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.hidden import Discrete
from embodied.options import check_bounds
from embodied.world.task import Draw, Outcome, World
from embodied_envs.arm.blocks import Blocks, add_block
from embodied_envs.arm.tabletop import OPEN, TabletopTask, on_circle, table
from embodied_envs.scene import BOX, EPISODE_S, entry_points

RADIUS = 0.19  # m, from the axis of the shoulder to cubes and pad
PLACES = (-0.15, 0.35, 0.85)  # rad, of the cubes around that axis
PAD = -0.75  # rad
PAD_HALF = 0.032  # m
HALF = 0.018  # m, of a cube
LIGHT = 0.04  # kg
LIFTED = 0.02  # m, above its rest, from which a cube hangs in the hand
REACHING = 0.0225  # m, height of the hand whose finger tips nearly touch the table
CARRY = 0.065  # m, height of the hand that carries
ABOVE = 0.02  # m, above that, of a hand on its way to a cube
MORE = 1.0  # share of the supply per kg that a lift takes, shoulder and elbow together
CLOSED = 0.12  # rad, of the fingers
AT_REST = 0.02  # m/s
SCATTER = 0.02  # rad
RISES = 0.004  # m per decision, from which on a hand is lifting
LIFT_LOAD, LIFT_SPREAD = 0.81, 0.17  # shares of the supply: of a light cube's lift, and over servos and grips
WITNESSES = 0.3  # share of decisions on end that tell something new, as a servo stays what it is


@dataclass(frozen=True)
class HeftOptions:
    """How hard it is.

    Attributes:
        contrast: how many times heavier than the others the heavy cube is.
        wrong_reward: reward for another cube on the pad.
        time_cost: cost of every second.
        episode_s: time limit [s].
        action: what actions are: "velocities" or "targets" of the joints, or moves of the "hand".
        camera: at the wrist: "none", "rgb", "depth" or "rays".
        appearance: of the arm: "primitives", or "menagerie" for the meshes of MuJoCo Menagerie.
    """

    contrast: float = 5.0
    wrong_reward: float = -0.5
    time_cost: float = 0.01
    episode_s: float = 30.0
    action: str = "velocities"
    camera: str = "none"
    appearance: str = "primitives"

    def __post_init__(self) -> None:
        check_bounds(self, contrast=(1.5, 8.0), episode_s=EPISODE_S)


class Heft(TabletopTask):
    """The heavy cube on the pad +1, another one `wrong_reward`; which is the heavy one is hidden."""

    exact_evidence = False  # it takes servos for unknown, which a planner's copy of the simulation knows

    shaping_curriculum = 0.6
    radius = RADIUS

    def __init__(self, options: HeftOptions) -> None:
        super().__init__(options.action, "grasp", options.camera, options.appearance)
        self.options = options
        self.episode_s = options.episode_s
        k = len(PLACES)
        self._prior = (1 / k,) * k
        self._start = self.pose(0.0, CARRY + ABOVE, OPEN)
        self.hidden = (Discrete("heavy", tuple(f"cube{i}" for i in range(k)), self._prior),)

    def compose(self) -> mujoco.MjSpec:
        spec = table()
        x, y = on_circle(RADIUS, np.array(PAD))
        turn = [math.cos(PAD / 2), 0, 0, -math.sin(PAD / 2)]
        size = [PAD_HALF, PAD_HALF, 0.0008]
        spec.worldbody.add_site(name="pad", type=BOX, size=size, pos=[x, y, 0], quat=turn, rgba=[0.30, 0.62, 0.42, 1])
        for i in range(len(PLACES)):
            add_block(spec, f"cube{i}", [HALF] * 3, LIGHT, [0.27, 0.45, 0.70, 1])
        return spec

    def bind(self, world: World) -> None:
        super().bind(world)
        model, n, k = world.batch.model, world.batch.n, len(PLACES)
        names = [f"cube{i}" for i in range(k)]
        self._cubes = Blocks(world, names)
        self._bodies = np.array([model.body(name).id for name in names])
        self._mass, self._inertia = world.batch.field("body_mass"), world.batch.field("body_inertia")
        self._unit_inertia = model.body_inertia[self._bodies] / LIGHT
        self._heavy = np.zeros(n, np.intp)
        self._felt = np.zeros((n, k), bool)
        self._held = np.zeros((n, k), bool)
        self._height, self._rise = np.zeros(n), np.zeros(n)  # of the hand one decision ago, and since [m]

    def begin(self, worlds: NDArray[np.intp], draw: Draw) -> None:
        self._heavy[worlds] = draw.choice("heavy", self._prior)
        self._load(worlds)
        self._felt[worlds] = self._held[worlds] = False
        k = len(PLACES)
        angle = np.array(PLACES) + draw.uniform("scatter", k, -SCATTER, SCATTER)
        x, y = on_circle(RADIUS, angle)
        heading = -(angle + draw.uniform("turn", k, -0.1, 0.1))
        self._cubes.put(worlds, np.stack([x, y, np.full_like(x, HALF)], axis=2), heading)
        start = np.tile(self._start, (len(worlds), 1))
        start[:, 0] += draw.uniform("pan", 1, -0.05, 0.05)[:, 0]
        self.start(worlds, start)
        self._height[worlds] = self.height_of(start)

    def _load(self, worlds: NDArray[np.intp]) -> None:
        """Gives the cubes of `worlds` their masses."""
        mass = np.full((len(worlds), len(PLACES)), LIGHT)
        mass[np.arange(len(worlds)), self._heavy[worlds]] *= self.options.contrast
        self._mass[worlds[:, None], self._bodies] = mass
        self._inertia[worlds[:, None], self._bodies] = mass[..., None] * self._unit_inertia
        self._world.batch.derive(worlds, strict=False)

    @property
    def _places(self) -> NDArray[np.float64]:
        """Where the cubes are, `(N, K, 3)` [m]."""
        return self._cubes.places

    def after_observation(self) -> None:
        places = self._places
        hand = self.chain.forward(self.angles[:, :-1])[0]
        near = np.linalg.norm(places - hand[:, None], axis=2) < 2 * HALF
        self._held[:] = near & (places[..., 2] > HALF + LIFTED)
        self._felt |= self._held
        self._rise[:] = hand[:, 2] - self._height
        self._height[:] = hand[:, 2]

    def outcome(self) -> Outcome:
        places = self._places
        x, y = on_circle(RADIUS, np.array(PAD))
        over = np.hypot(places[..., 0] - x, places[..., 1] - y) < PAD_HALF
        there = over & (places[..., 2] < HALF + 0.004) & (self._cubes.speeds < AT_REST) & ~self._gripped(places)
        right = there[np.arange(len(there)), self._heavy]
        wrong = there.any(axis=1) & ~right
        reward = 1.0 * right + self.options.wrong_reward * wrong - self.options.time_cost / self.control_hz
        return Outcome(reward, right | wrong, right)

    def _gripped(self, places: NDArray) -> NDArray[np.bool_]:
        """Which cubes are between fingers that are closed, `(N, K)`."""
        angles = self.angles
        hand = self.chain.forward(angles[:, :-1])[0]
        closed = angles[:, -1:] < (OPEN + CLOSED) / 2
        return closed & (np.linalg.norm(places - hand[:, None], axis=2) < 2 * HALF)

    def truth(self) -> NDArray[np.float64]:
        return self._heavy[:, None].astype(np.float64)

    def set_hidden(self, hidden: NDArray[np.float64]) -> None:
        """Lets another cube be the heavy one."""
        heavy = hidden[:, 0].astype(np.intp)
        worlds = np.flatnonzero(heavy != self._heavy)
        if worlds.size:
            self._heavy[worlds] = heavy[worlds]
            self._load(worlds)

    @property
    def heavier_by(self) -> float:
        """What a lift of the heavy cube takes more than that of another, as a share of the supply."""
        return MORE * (self.options.contrast - 1) * LIGHT

    def evidence(self, obs: NDArray) -> NDArray[np.float64]:
        """What shoulder and elbow take while a cube is lifted speaks for or against its being the heavy one.

        It is known which cube is in the hand, and not what it weighs.
        """
        load = -obs[:, self.robot.layout.slice("load")][:, 1:3].sum(axis=1)
        above = (load - LIFT_LOAD) / LIFT_SPREAD
        ratio = 0.5 * (above**2 - (above - self.heavier_by / LIFT_SPREAD) ** 2)
        return (WITNESSES * ratio * (self._rise > RISES))[:, None] * self._held

    def state(self) -> NDArray[np.float64]:
        hand = self.chain.forward(self.angles[:, :-1])[0]
        away = (self._places - hand[:, None]).reshape(len(hand), -1) / 0.3
        return np.column_stack([self.arm_state(), away, self._held, self._felt])

    def potential(self) -> NDArray[np.float64]:
        """Minus what is left to do: to lift cubes until the heavy one has been felt, then to bring it to the pad."""
        rows, places = np.arange(len(self._heavy)), self._places
        hand = self.chain.forward(self.angles[:, :-1])[0]
        away = np.linalg.norm(places - hand[:, None], axis=2) / 0.4
        known = self._felt[rows, self._heavy]
        x, y = on_circle(RADIUS, np.array(PAD))
        bring = np.hypot(places[rows, self._heavy, 0] - x, places[rows, self._heavy, 1] - y) / 0.4
        nearest = np.where(self._felt, np.inf, away).min(axis=1)
        feeling = 1.0 + 0.2 * (~self._felt).sum(axis=1) + np.where(known, 0.0, np.minimum(nearest, 1.0))
        return -np.where(known, bring + 0.5 * away[rows, self._heavy], feeling)


make, make_vec = entry_points(Heft, HeftOptions)
