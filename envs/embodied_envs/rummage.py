"""Rummage: one of the blocks under covers is wanted; covers are looked under or pushed aside, and it is lifted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.hidden import Discrete
from embodied.options import check_bounds
from embodied.robot.rays.spec import LineCamera
from embodied.world.task import Draw, Outcome, World
from embodied_envs.arm.blocks import Blocks, add_block
from embodied_envs.arm.so101 import arm_chain
from embodied_envs.arm.tabletop import BASE, TabletopTask, on_circle, table
from embodied_envs.scene import EPISODE_S, entry_points

RADIUS = 0.21  # m, from the axis of the shoulder to the blocks
SPACING = 0.65  # rad, of the places around that axis
HALF = 0.016  # m, of a block
COVER = (0.041, 0.041, 0.007)  # m, half sizes of a cover
BLOCK_KG, COVER_KG = 0.04, 0.015
ASIDE = 0.45  # rad, from the first place to where the hand starts
HIGH, PUSHING, REACHING = 0.09, 0.058, 0.0225  # m, heights of a hand on its way, at a cover, and around a block
AJAR, CLOSED = -0.12, 0.0  # rad, of fingers that push, and that grip
SCATTER = 0.03  # rad
LIFTED = 0.03  # m, above the table, of a block that has been lifted
BARED = 0.05  # m, from the middle of a block, of a cover that is no longer above it
EYE = LineCamera("eye", site="wrist_rays", body="gripper", pixels=24, fov=1.2, max_range=0.4, range_floor=0.002)
WANTED, OTHER = "wanted", "other"
NEAR = 0.35  # rad, from the middle of a place, within which a thing belongs to it
SURE = 2.0  # nats that one beam weighs, and four together at most per decision


@dataclass(frozen=True)
class RummageOptions:
    """How hard it is.

    Attributes:
        places: how many there are; 2 to 5.
        wrong_reward: reward for lifting another block.
        time_cost: cost of every second.
        episode_s: time limit [s].
        action: what actions are: "velocities" or "targets" of the joints, or moves of the "hand".
        camera: at the wrist, beside the line camera that tells what it sees: "none", "rgb", "depth" or "rays".
        appearance: of the arm: "primitives", or "menagerie" for the meshes of MuJoCo Menagerie.
    """

    places: int = 3
    wrong_reward: float = -0.5
    time_cost: float = 0.01
    episode_s: float = 20.0
    action: str = "velocities"
    camera: str = "none"
    appearance: str = "primitives"

    def __post_init__(self) -> None:
        check_bounds(self, places=(2, 5), episode_s=EPISODE_S)


class Rummage(TabletopTask):
    """The wanted block lifted +1, another one `wrong_reward`; under which cover it lies is hidden."""

    shaping_curriculum = 0.6
    radius = RADIUS

    def __init__(self, options: RummageOptions) -> None:
        super().__init__(options.action, "grasp", options.camera, options.appearance)
        self._eye_chain = arm_chain(EYE.site)
        self.options = options
        self.episode_s = options.episode_s
        k = options.places
        self._prior = (1 / k,) * k
        self._start = self.pose(float(self.places[0]) - ASIDE, HIGH, AJAR, beside=0.0)
        self.hidden = (Discrete("place", tuple(f"place{i}" for i in range(k)), self._prior),)
        others = {f"block{i}": OTHER for i in range(1, k)}
        covers = {f"cover{i}": "cover" for i in range(k)}
        self.robot = replace(self.robot, line_cameras=(EYE,)).with_labels({"block0": WANTED} | others | covers, {})

    @property
    def places(self) -> NDArray[np.float64]:
        """Where the blocks lie: angles of the shoulder, `(K,)` [rad]."""
        k = self.options.places
        return (np.arange(k, dtype=np.float64) - (k - 1) / 2) * SPACING

    def compose(self) -> mujoco.MjSpec:
        spec = table()
        for i in range(self.options.places):
            color = [0.27, 0.45, 0.70, 1] if i else [0.86, 0.22, 0.20, 1]
            add_block(spec, f"block{i}", [HALF] * 3, BLOCK_KG, color)
            add_block(spec, f"cover{i}", COVER, COVER_KG, [0.62, 0.55, 0.44, 1], smooth=True)
        return spec

    def bind(self, world: World) -> None:
        super().bind(world)
        n, k = world.batch.n, self.options.places
        self._blocks = Blocks(world, [f"block{i}" for i in range(k)])
        self._covers = Blocks(world, [f"cover{i}" for i in range(k)])
        self._place = np.zeros(n, np.intp)
        self._seen = np.zeros(n, bool)  # whether the wanted block has been
        self._eye = world.body.line_cameras[0]
        self._wanted_geom = world.batch.model.geom("block0").id

    def begin(self, worlds: NDArray[np.intp], draw: Draw) -> None:
        k = self.options.places
        self._place[worlds] = draw.choice("place", self._prior)
        self._seen[worlds] = False
        angle = self.places + draw.uniform("scatter", k, -SCATTER, SCATTER)
        heading = -(angle + draw.uniform("turn", k, -0.1, 0.1))
        x, y = on_circle(RADIUS, angle)
        at = np.stack([x, y, np.full_like(x, HALF)], axis=2)
        self._covers.put(worlds, at + np.array([0, 0, HALF + COVER[2]]), heading)
        order = self._order(self._place[worlds])[:, :, None]
        self._blocks.put(worlds, np.take_along_axis(at, order, axis=1), np.take_along_axis(heading, order[..., 0], 1))
        start = np.tile(self._start, (len(worlds), 1))
        start[:, 0] += draw.uniform("pan", 1, -0.05, 0.05)[:, 0]
        self.start(worlds, start)

    def _order(self, place: NDArray[np.intp]) -> NDArray[np.intp]:
        """At which place each block lies where the wanted one, the first, lies at `place (n,)`, `(n, K)`."""
        order = np.tile(np.arange(self.options.places), (len(place), 1))
        order[:, 0] = place
        order[np.arange(len(place)), place] = 0
        return order

    def set_hidden(self, hidden: NDArray[np.float64]) -> None:
        """Lets the wanted block lie at another place, and what lay there at its own."""
        place = hidden[:, 0].astype(np.intp)
        for target in (np.zeros_like(place), place):  # by way of the first place, at which every block is itself
            worlds = np.flatnonzero(self._place != target)
            moved = np.where(self._place == 0, target, self._place)[worlds]
            self._blocks.swap(worlds, np.zeros_like(moved), moved)
            self._place[worlds] = target[worlds]

    def after_observation(self) -> None:
        self._seen |= (self._eye.geoms == self._wanted_geom).any(axis=1)

    def outcome(self) -> Outcome:
        places = self._blocks.places
        hand = self.chain.forward(self.angles[:, :-1])[0]
        held = np.linalg.norm(places - hand[:, None], axis=2) < 2 * HALF
        lifted = held & (places[..., 2] > HALF + LIFTED)
        right = lifted[:, 0]
        wrong = lifted[:, 1:].any(axis=1) & ~right
        reward = 1.0 * right + self.options.wrong_reward * wrong - self.options.time_cost / self.control_hz
        return Outcome(reward, right | wrong, right)

    def truth(self) -> NDArray[np.float64]:
        return self._place[:, None].astype(np.float64)

    def log_likelihood(self, obs: NDArray) -> NDArray[np.float64]:
        """What the beams say of the places at which they end: the wanted block lies there, or another one."""
        wanted, other = self.sightings(obs), self.sightings(obs, OTHER)
        told = wanted - wanted.sum(axis=1, keepdims=True) - other
        return SURE * np.clip(told, -4.0, 0.0)

    def sightings(self, obs: NDArray, kind: str = WANTED) -> NDArray[np.float64]:
        """How many beams end on a kind of block at each place, `(n, K)`."""
        seen = obs[:, self.robot.layout.slice("eye/class")].reshape(len(obs), EYE.pixels, -1)
        place = self._place_of(obs)[:, :, None] == np.arange(self.options.places)
        return np.einsum("np,npk->nk", seen[..., self.robot.line_cameras[0].classes.index(kind)], place)

    def _place_of(self, obs: NDArray) -> NDArray[np.intp]:
        """At which place each beam ends, `(n, pixels)`; −1 for none."""
        angles = obs[:, self.robot.layout.slice("angle")].astype(np.float64)
        distance = obs[:, self.robot.layout.slice("eye/range")].astype(np.float64)
        p_w, R_we = self._eye_chain.forward(angles[:, :-1])
        ends = p_w[:, None] + distance[..., None] * np.einsum("nij,pj->npi", R_we, EYE.directions)
        around = np.arctan2(-ends[..., 1], ends[..., 0] - BASE[0])
        off = np.abs(around[..., None] - self.places)
        return np.where(off.min(axis=2) < NEAR, off.argmin(axis=2), -1)

    def state(self) -> NDArray[np.float64]:
        hand = self.chain.forward(self.angles[:, :-1])[0][:, None]
        things = np.concatenate([self._blocks.places, self._covers.places], axis=1)
        away = (things - hand).reshape(len(hand), -1) / 0.3
        return np.column_stack([self.arm_state(), away, self._seen])

    def potential(self) -> NDArray[np.float64]:
        """Minus what is left to do: to find the wanted block, to bare it, to get the hand around it, to lift it."""
        places = self._blocks.places[:, 0]
        hand = self.chain.forward(self.angles[:, :-1])[0]
        cover = np.linalg.norm((self._covers.places - places[:, None])[..., :2], axis=2).min(axis=1)
        covered = np.clip(1 - cover / BARED, 0.0, 1.0)
        away = np.linalg.norm(places - hand, axis=1) / 0.4
        down = 1 - np.clip((places[:, 2] - HALF) / LIFTED, 0.0, 1.0)
        return -(0.3 * ~self._seen + 0.5 * covered + 0.5 * away + 0.5 * down)


make, make_vec = entry_points(Rummage, RummageOptions)
