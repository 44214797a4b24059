"""Weigh: boxes that look alike, of which the heaviest is to be pushed over a line; weight can only be felt."""

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.hidden import Discrete
from embodied.options import check_bounds
from embodied.world.task import Draw, Outcome, Task, World
from embodied_envs.scene import BOX, EPISODE_S, entry_points, pose_features, room
from embodied_envs.scout import RIDE_HEIGHT, scout

REACH = 1.2  # m, from the middle of the room to its walls
ROW = -0.1  # m, y of the boxes at the start
LINE = 0.15  # m, y of the line
START = (0.0, -0.6)
HALF = (0.09, 0.07, 0.06)  # m, half sizes of a box
FELT = 0.02  # m, by which a box has moved once it has been felt
LIGHT = (0.2, 0.3)  # kg, the range of the light boxes
MOVES = 0.004  # m per decision, from which on a box is being pushed
CURRENT = (0.33, 0.156)  # A, and A per kg: what each motor takes while it pushes a box, measured
CURRENT_SPREAD = 0.05  # A, of one decision
STRAY = 0.1  # share of decisions in which something else decides the current, such as setting out
WITNESSES = 0.65  # share of decisions on end that tell something new
NOTHING = -1
GRIP = 0.5  # coefficient of friction between box and floor


@dataclass(frozen=True)
class WeighOptions:
    """How hard it is.

    Attributes:
        boxes: how many; 3 to 5.
        contrast: how many times heavier than the average light box the heaviest is.
        wrong_reward: reward for pushing another box over the line.
        time_cost: cost of every second.
        episode_s: time limit [s].
    """

    boxes: int = 3
    contrast: float = 4.0
    wrong_reward: float = -0.5
    time_cost: float = 0.01
    episode_s: float = 25.0

    def __post_init__(self) -> None:
        check_bounds(self, boxes=(3, 5), contrast=(1.5, 5.0), episode_s=EPISODE_S)


class Weigh(Task):
    """The heaviest box over the line first +1, another `wrong_reward`; which is the heaviest is hidden."""

    shaping_curriculum = 0.6

    def __init__(self, options: WeighOptions) -> None:
        self.options = options
        self.episode_s = options.episode_s
        names = tuple(f"box{i}" for i in range(options.boxes))
        self._prior = (1 / options.boxes,) * options.boxes
        self.hidden = (Discrete("heaviest", names, self._prior),)
        self.robot = scout(self.control_hz).with_labels(dict.fromkeys(names, "box") | {"mark": "mark"}, {})

    @property
    def row(self) -> NDArray[np.float64]:
        """Where the boxes stand at the start, `(K, 2)` [m]."""
        k = self.options.boxes
        width = 1.0 if k == 3 else 1.6
        return np.column_stack([np.linspace(-width / 2, width / 2, k), np.full(k, ROW)])

    def compose(self) -> mujoco.MjSpec:
        spec = room(REACH, REACH)
        spec.worldbody.add_site(
            name="line", type=BOX, size=[REACH, 0.012, 0.001], pos=[0, LINE, 0.003], rgba=[0.85, 0.25, 0.22, 1]
        )
        spec.worldbody.add_geom(
            name="mark", type=BOX, size=[0.5, 0.006, 0.04], pos=[0, REACH - 0.006, 0.16], rgba=[0.85, 0.25, 0.22, 1],
            contype=0, conaffinity=0,
        )  # fmt: skip
        for i, (x, y) in enumerate(self.row):
            body = spec.worldbody.add_body(name=f"box{i}", pos=[x, y, HALF[2]])
            body.add_freejoint(name=f"box{i}")
            body.add_geom(
                name=f"box{i}", type=BOX, size=HALF, mass=1.0, rgba=[0.80, 0.62, 0.40, 1], friction=[GRIP, 0.005, 1e-4],
                priority=1, solref=[0.04, 1],
            )  # fmt: skip
            body.add_site(
                name=f"tape{i}", type=BOX, size=[0.015, HALF[1] + 0.001, HALF[2] + 0.001], rgba=[0.62, 0.45, 0.27, 1]
            )
        return spec

    def bind(self, world: World) -> None:
        self._world = world
        n, k = world.batch.n, self.options.boxes
        model = world.batch.model
        self._qpos = world.batch.array("qpos")
        self._joints = np.array([int(model.joint(f"box{i}").qposadr[0]) for i in range(k)])
        self._bodies = np.array([model.body(f"box{i}").id for i in range(k)])
        self._mass, self._inertia = world.batch.field("body_mass"), world.batch.field("body_inertia")
        self._unit_inertia = model.body_inertia[self._bodies].copy()  # of a box of 1 kg
        self._heaviest = np.zeros(n, np.intp)
        self._felt = np.zeros((n, k), bool)
        self._begun = np.zeros((n, k, 2))  # where the boxes stood at the start
        self._stood = np.zeros((n, k, 2))  # where they stood one decision ago
        self._pushed = np.full(n, NOTHING)

    def begin(self, worlds: NDArray[np.intp], draw: Draw) -> None:
        self._heaviest[worlds] = draw.choice("heaviest", self._prior)
        mass = draw.uniform("mass", self.options.boxes, *LIGHT)
        mass[np.arange(len(worlds)), self._heaviest[worlds]] = self._heavy
        self._load(worlds, mass)
        self._felt[worlds] = False
        shift = draw.uniform("scatter", 2 * self.options.boxes, -0.02, 0.02).reshape(len(worlds), -1, 2)
        for axis in (0, 1):
            self._qpos[worlds[:, None], self._joints + axis] = self.row[:, axis] + shift[..., axis]
        self._begun[worlds] = self._stood[worlds] = self._boxes()[worlds]
        self._pushed[worlds] = NOTHING
        turn = draw.uniform("heading", 1, -0.05, 0.05)[:, 0]
        xy = draw.uniform("start", 2, -0.05, 0.05) + START
        self._world.body.place(worlds, xy, math.pi / 2 + turn, RIDE_HEIGHT)

    @property
    def _heavy(self) -> float:
        """The mass of the heaviest box [kg]."""
        return self.options.contrast * float(np.mean(LIGHT))

    def _load(self, worlds: NDArray[np.intp], mass: NDArray) -> None:
        """Gives the boxes masses `(n, K)` [kg]."""
        self._mass[worlds[:, None], self._bodies] = mass
        self._inertia[worlds[:, None], self._bodies] = mass[..., None] * self._unit_inertia
        self._world.batch.derive(worlds, strict=False)

    def _boxes(self) -> NDArray[np.float64]:
        """Where the boxes are, `(N, K, 2)` [m]."""
        return np.stack([self._qpos[:, self._joints], self._qpos[:, self._joints + 1]], axis=2)

    def after_observation(self) -> None:
        self._felt |= np.linalg.norm(self._boxes() - self._begun, axis=2) > FELT

    def outcome(self) -> Outcome:
        boxes = self._boxes()
        moves = np.linalg.norm(boxes - self._stood, axis=2) > MOVES
        self._pushed[:] = np.where(moves.sum(axis=1) == 1, moves.argmax(axis=1), NOTHING)
        self._stood[:] = boxes
        over = boxes[..., 1] > LINE
        right = over[np.arange(len(over)), self._heaviest]
        wrong = over.any(axis=1) & ~right
        reward = 1.0 * right + self.options.wrong_reward * wrong - self.options.time_cost / self.control_hz
        return Outcome(reward, right | wrong, right)

    def truth(self) -> NDArray[np.float64]:
        return self._heaviest[:, None].astype(np.float64)

    def set_hidden(self, hidden: NDArray[np.float64]) -> None:
        """Lets the heaviest box and another one change their masses."""
        heaviest = hidden[:, 0].astype(np.intp)
        worlds = np.flatnonzero(heaviest != self._heaviest)
        if not worlds.size:
            return
        mass, rows = np.array(self._mass[worlds[:, None], self._bodies]), np.arange(len(worlds))
        before, after = self._heaviest[worlds], heaviest[worlds]
        mass[rows, before], mass[rows, after] = mass[rows, after], mass[rows, before]
        self._load(worlds, mass)
        self._heaviest[worlds] = after

    def evidence(self, obs: NDArray) -> NDArray[np.float64]:
        """What the motors take while a box is pushed speaks for or against its being the heaviest.

        It is known which box is pushed, and not what it weighs.
        """
        amperes = np.abs(obs[:, self.robot.layout.slice("current")]).mean(axis=1)
        heavy, light = (_likelihood(amperes, mass) for mass in (self._heavy, float(np.mean(LIGHT))))
        evidence = WITNESSES * np.log(heavy / light) * (self._pushed != NOTHING)
        return evidence[:, None] * (self._pushed[:, None] == np.arange(self.options.boxes))

    def state(self) -> NDArray[np.float64]:
        boxes = self._boxes().reshape(len(self._felt), -1) / REACH
        clock = self._world.elapsed_s / self.episode_s
        return np.column_stack([pose_features(self._world.body, REACH), boxes, self._felt, clock])

    def potential(self) -> NDArray[np.float64]:
        """Minus what is left to do: to feel every box up to the heaviest, then to get behind it and push it on."""
        rows, boxes = np.arange(len(self._felt)), self._boxes()
        known = self._felt[rows, self._heaviest]
        behind = np.linalg.norm(boxes - [0.0, 0.2] - self._world.body.xy[:, None], axis=2) / (2 * REACH)
        push = np.maximum(LINE - boxes[rows, self._heaviest, 1], 0.0) / REACH
        nearest = np.where(self._felt, np.inf, behind).min(axis=1)
        feeling = 1.0 + 0.2 * (~self._felt).sum(axis=1) + np.where(known, 0.0, nearest)
        return -np.where(known, 2 * push + behind[rows, self._heaviest], feeling)


def _likelihood(amperes: NDArray, mass: float) -> NDArray[np.float64]:
    """Density of what each motor takes [A] while it pushes a box of some mass [kg]."""
    off = (amperes - CURRENT[0] - CURRENT[1] * mass) / CURRENT_SPREAD
    return (1 - STRAY) * np.exp(-0.5 * off**2) / (CURRENT_SPREAD * math.sqrt(2 * math.pi)) + STRAY


make, make_vec = entry_points(Weigh, WeighOptions)
