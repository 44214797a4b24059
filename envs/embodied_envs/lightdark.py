"""LightDark: stop on a goal in the dark, not knowing where one is; only in the light can ranges be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.hidden import Continuous
from embodied.options import check_bounds
from embodied.robot.rays.spec import LineCamera, RaySensor
from embodied.robot.timing import Timing
from embodied.world.task import Draw, Outcome, Task, World
from embodied_envs.scene import BOX, CYLINDER, EPISODE_S, GHOST, entry_points, pose_features, room
from embodied_envs.scout import RIDE_HEIGHT, scout

HALF_X, HALF_Y = 2.0, 1.2  # m, from the middle of the room to its walls
EDGE = -0.8  # m, x at which the light is half as bright
DUSK = 0.06  # m, over which it fades
GOAL = np.array([0.2, 0.0])
START = ((0.8, 1.6), (-0.8, 0.8))  # m, the ranges of x and y
ABOUT = 0.6  # rad, how far the heading may be off the way to the light
LAMP_AT = (0.1 - HALF_X, 0.0)  # m, its middle
LAMP = 0.2  # m, radius of the lamp at the bright end, which shows from afar where the light is, and little more
STOP_S = 2.0  # s, for which it must stay where it is to have stopped
STAYS = 0.12  # m, within which it stays
AWAY_FROM_START = 0.3  # m, by which it must have set out before stopping counts
FAR_OFF = 1e3  # m, where it is taken to have been before an episode
DARK_NOISE = 0.5  # spread of ranges in full darkness, as a share of the range
LOST_IN_LIGHT = 0.02  # share of beams


@dataclass(frozen=True)
class LightDarkOptions:
    """How hard it is.

    Attributes:
        tolerance: how near to the goal counts [m].
        light_noise: spread of ranges in the light, as a share of the range.
        glimmer: share of beams that return something in full darkness, and that is half noise.
        wrong_reward: reward for stopping elsewhere, once it has set out.
        time_cost: cost of every second.
        episode_s: time limit [s].
    """

    tolerance: float = 0.2
    light_noise: float = 0.01
    glimmer: float = 0.005
    wrong_reward: float = -0.2
    time_cost: float = 0.01
    episode_s: float = 20.0

    def __post_init__(self) -> None:
        check_bounds(self, tolerance=(0.05, 0.6), light_noise=(0.0, 0.5), glimmer=(0.0, 1.0), episode_s=EPISODE_S)


class LightDark(Task):
    """Stopping on the goal +1, elsewhere `wrong_reward`; the robot's own pose is hidden."""

    shaping_curriculum = 0.6

    def __init__(self, options: LightDarkOptions) -> None:
        self.options = options
        self.episode_s = options.episode_s
        self.hidden = (
            Continuous("x", *START[0], "m", moving=True),
            Continuous("y", *START[1], "m", moving=True),
            Continuous("heading", math.pi - ABOUT, math.pi + ABOUT, "rad", angle=True, moving=True),
        )
        round_about: dict[str, Any] = {
            "site": "camera", "body": "head", "fov": 2 * math.pi, "max_range": 5.0,
            "timing": Timing(rate_hz=self.control_hz, latency_s=0.04, jitter_s=0.01, dropout=0.01, bus="vision"),
        }  # fmt: skip
        ring = RaySensor("ring", pixels=24, range_noise=options.light_noise, dropout=LOST_IN_LIGHT, **round_about)
        lamp = LineCamera("eye", pixels=48, labels={"lamp": "lamp"}, ranging=False, **round_about)
        self.robot = replace(scout(self.control_hz), line_cameras=(lamp,), range_finders=(ring,))

    def compose(self) -> mujoco.MjSpec:
        spec = room(HALF_X, HALF_Y)
        spec.worldbody.add_site(
            name="lit_floor", size=[(HALF_X + EDGE) / 2, HALF_Y, 0.001], pos=[(EDGE - HALF_X) / 2, 0, 0.008],
            rgba=[1.0, 0.95, 0.72, 1], type=BOX,
        )  # fmt: skip
        spec.worldbody.add_site(
            name="dark_floor", size=[(HALF_X - EDGE) / 2, HALF_Y, 0.001], pos=[(EDGE + HALF_X) / 2, 0, 0.008],
            rgba=[0.30, 0.33, 0.42, 1], type=BOX,
        )  # fmt: skip
        spec.worldbody.add_geom(
            name="lamp",
            type=CYLINDER,
            size=[LAMP, 0.2, 0],
            pos=[*LAMP_AT, 0.2],
            rgba=[1.0, 0.86, 0.35, 1],
            **GHOST,
        )
        spec.worldbody.add_geom(
            name="goal", type=CYLINDER, size=[self.options.tolerance, 0.002, 0], pos=[*GOAL, 0.012],
            rgba=[0.30, 0.75, 0.45, 1], **GHOST,
        )  # fmt: skip
        return spec

    def bind(self, world: World) -> None:
        self._world = world
        self._trail = np.zeros((world.batch.n, round(STOP_S * self.control_hz), 2))  # where it was, newest first
        self._start = np.zeros((world.batch.n, 2))
        self._out = np.zeros(world.batch.n, bool)  # who has set out
        self._dropout = world.body.parameter("ring/dropout")
        self._noise = world.body.parameter("ring/range_noise")
        self._lit = np.zeros(world.batch.n, bool)  # who has been in the light

    def begin(self, worlds: NDArray[np.intp], draw: Draw) -> None:
        low, high = np.array(START).T
        xy = draw.uniform("start", 2) * (high - low) + low
        heading = math.pi + draw.uniform("heading", 1, -ABOUT, ABOUT)[:, 0]
        self._world.body.place(worlds, xy, heading, RIDE_HEIGHT)
        self._trail[worlds] = FAR_OFF
        self._start[worlds] = xy
        self._out[worlds] = self._lit[worlds] = False

    def light(self) -> NDArray[np.float64]:
        """How bright it is where each robot stands, 0 to 1, `(N,)`."""
        return brightness(self._world.body.xy[:, 0])

    def before_observation(self) -> None:
        light, glimmer = self.light(), self.options.glimmer
        self._dropout[:, 0] = 1 - (1 - LOST_IN_LIGHT) * (glimmer + (1 - glimmer) * light)
        self._noise[:, 0] = DARK_NOISE + (self.options.light_noise - DARK_NOISE) * light

    def after_observation(self) -> None:
        self._lit |= self.light() > 0.5

    def outcome(self) -> Outcome:
        xy = self._world.body.xy
        self._out |= np.linalg.norm(xy - self._start, axis=1) > AWAY_FROM_START
        stopped = self._out & (np.linalg.norm(self._trail - xy[:, None], axis=2) < STAYS).all(axis=1)
        self._trail = np.roll(self._trail, 1, axis=1)
        self._trail[:, 0] = xy
        right = stopped & (np.linalg.norm(xy - GOAL, axis=1) < self.options.tolerance)
        wrong = stopped & ~right
        reward = 1.0 * right + self.options.wrong_reward * wrong - self.options.time_cost / self.control_hz
        return Outcome(reward, stopped, right)

    def truth(self) -> NDArray[np.float64]:
        body = self._world.body
        return np.column_stack([body.xy, body.heading % (2 * math.pi)])

    def set_hidden(self, hidden: NDArray[np.float64]) -> None:
        """Moves robots to other poses, with all that they have just done; frames on their way are taken from there."""
        body = self._world.body
        about, turn = body.xy.copy(), hidden[:, 2] - body.heading
        moved = lambda points: hidden[:, :2] + _turned(points - about, turn)  # noqa: E731
        self._start[:] = moved(self._start)
        self._trail[:] = np.stack([moved(points) for points in np.moveaxis(self._trail, 1, 0)], axis=1)
        body.move_to(hidden[:, :2], turn)
        self.before_observation()
        body.recapture()

    def state(self) -> NDArray[np.float64]:
        clock = self._world.elapsed_s / self.episode_s
        return np.column_stack([pose_features(self._world.body, HALF_X), self._lit, clock])

    def potential(self) -> NDArray[np.float64]:
        """Minus the way that is left, in room lengths: into the light, then to the goal."""
        xy = self._world.body.xy
        into_light = np.maximum(xy[:, 0] - (EDGE - 3 * DUSK), 0.0)
        back = GOAL[0] - EDGE
        return -np.where(self._lit, np.linalg.norm(xy - GOAL, axis=1), into_light + back) / (2 * HALF_X)


def _turned(points: NDArray, angle: NDArray) -> NDArray[np.float64]:
    """Points of the plane `(n, 2)`, each turned about the origin."""
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([c * points[:, 0] - s * points[:, 1], s * points[:, 0] + c * points[:, 1]], axis=1)


def brightness(x: NDArray) -> NDArray[np.float64]:
    """How bright it is at `x (…,)` [m], 0 to 1."""
    return 1 / (1 + np.exp(np.clip((x - EDGE) / DUSK, -50, 50)))


make, make_vec = entry_points(LightDark, LightDarkOptions)
