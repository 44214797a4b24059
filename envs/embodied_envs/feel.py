"""Feel: a button stands somewhere on the table, the arm is blind, and has to find it by touch and press it."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.hidden import Discrete
from embodied.options import check_bounds
from embodied.world.task import Draw, Outcome, World
from embodied_envs.arm.tabletop import TabletopTask, on_circle, table
from embodied_envs.scene import BOX, CYLINDER, EPISODE_S, Props, entry_points

RADIUS = 0.20  # m, from the axis of the shoulder to the button
SPACING = 0.40  # rad, of the places around that axis
POST, CAP = 0.020, 0.014  # m, height of the post and radius of what it carries
HEIGHT = 0.050  # m, of the button
TRAVEL, PRESSED = 0.012, 0.007  # m, how far the cap goes down, and from where it counts
SPRING, DAMPER = 250.0, 3.0  # N/m, N·s/m
LOW, HIGH = 0.026, 0.072  # m, heights of the finger tips at which the button is in the way, and is not
CLOSED = -0.12  # rad, of the fingers
UNEVEN = 0.004  # m, by which the radius differs each way
SLACK = 0.03  # rad, by which the hand may have gone on between two observations
TOUCH_LOAD = 0.42  # share of the supply, of the shoulder's servo, from which it pushes against something
REACH = 0.112  # rad, between hand and button when they touch
CORE = 0.09  # rad, within which they cannot both be
SURE = 6.0  # nats that one such observation weighs


@dataclass(frozen=True)
class FeelOptions:
    """How hard it is.

    Attributes:
        places: how many there are; 4 to 8.
        scatter: how far the button stands from the middle of its place, each way [rad].
        time_cost: cost of every second.
        episode_s: time limit [s].
        action: what actions are: "velocities" or "targets" of the joints, or moves of the "hand".
        appearance: of the arm: "primitives", or "menagerie" for the meshes of MuJoCo Menagerie.
    """

    places: int = 6
    scatter: float = 0.05
    time_cost: float = 0.02
    episode_s: float = 15.0
    action: str = "velocities"
    appearance: str = "primitives"

    def __post_init__(self) -> None:
        check_bounds(self, places=(4, 8), scatter=(0.0, 0.07), episode_s=EPISODE_S)


class Feel(TabletopTask):
    """The button pressed +1; at which of the places it stands is hidden."""

    shaping_curriculum = 0.6
    radius = RADIUS

    def __init__(self, options: FeelOptions) -> None:
        super().__init__(options.action, "tip", appearance=options.appearance)
        self.options = options
        self.episode_s = options.episode_s
        names = tuple(f"place{i}" for i in range(options.places))
        self._prior = (1 / options.places,) * options.places
        self._start = self.pose(0.0, HIGH, CLOSED, beside=0.0)
        self.hidden = (Discrete("place", names, self._prior),)

    @property
    def places(self) -> NDArray[np.float64]:
        """Where the button can be: angles of the shoulder, `(K,)` [rad]."""
        k = self.options.places
        return (np.arange(k, dtype=np.float64) - (k - 1) / 2) * SPACING

    def compose(self) -> mujoco.MjSpec:
        spec = table()
        button = spec.worldbody.add_body(name="button", mocap=True)
        button.add_geom(
            name="foot", type=CYLINDER, size=[0.024, 0.004, 0], pos=[0, 0, 0.004], rgba=[0.28, 0.30, 0.34, 1]
        )
        button.add_geom(
            name="post", type=CYLINDER, size=[0.011, POST / 2, 0], pos=[0, 0, POST / 2], rgba=[0.55, 0.57, 0.60, 1]
        )
        cap = button.add_body(name="cap", pos=[0, 0, POST])
        cap.gravcomp = 1.0
        cap.add_joint(
            name="cap", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=[0, 0, 1], limited=True, range=[-TRAVEL, 0.0],
            stiffness=[SPRING, 0, 0], damping=[DAMPER, 0, 0],
        )  # fmt: skip
        half = (HEIGHT - POST) / 2
        cap.add_geom(
            name="cap", type=CYLINDER, size=[CAP, half, 0], pos=[0, 0, half], mass=0.02, rgba=[0.86, 0.22, 0.20, 1]
        )
        for i, angle in enumerate(self.places):
            x, y = on_circle(RADIUS, angle)
            spec.worldbody.add_site(
                name=f"place{i}", type=BOX, size=[0.03, 0.001, 0.0005], pos=[x, y, 0], rgba=[0.6, 0.5, 0.4, 1]
            )
        return spec

    def bind(self, world: World) -> None:
        super().bind(world)
        n = world.batch.n
        self._props = Props(world)
        self._cap = int(world.batch.model.joint("cap").qposadr[0])
        self._place = np.zeros(n, np.intp)
        self._scatter, self._radius = np.zeros(n), np.zeros(n)
        self._felt = np.zeros(n, bool)

    def begin(self, worlds: NDArray[np.intp], draw: Draw) -> None:
        self._place[worlds] = draw.choice("place", self._prior)
        scatter = self.options.scatter
        self._scatter[worlds] = draw.uniform("scatter", 1, -scatter, scatter)[:, 0]
        self._radius[worlds] = RADIUS + draw.uniform("radius", 1, -UNEVEN, UNEVEN)[:, 0]
        self._felt[worlds] = False
        self._stand(worlds)
        start = np.tile(self._start, (len(worlds), 1))
        start[:, 0] += draw.uniform("pan", 1, -0.03, 0.03)[:, 0]
        self.start(worlds, start)

    @property
    def _angle(self) -> NDArray[np.float64]:
        """Where the button stands, as an angle of the shoulder, `(N,)` [rad]."""
        return self.places[self._place] + self._scatter

    def _stand(self, worlds: NDArray[np.intp]) -> None:
        x, y = on_circle(self._radius[worlds], self._angle[worlds])
        self._props.place("button", worlds, np.stack([x, y, np.zeros_like(x)], axis=1))

    def after_observation(self) -> None:
        self._felt |= self._touching()

    def _touching(self) -> NDArray[np.bool_]:
        """Whether the fingers are low enough, and near enough to the button, to touch it, `(N,)`."""
        return (self.height_of(self.angles) < HEIGHT) & (np.abs(self.angles[:, 0] - self._angle) < REACH)

    def outcome(self) -> Outcome:
        pressed = self._qpos[:, self._cap] < -PRESSED
        reward = np.where(pressed, 1.0, 0.0) - self.options.time_cost / self.control_hz
        return Outcome(reward, pressed, pressed)

    def truth(self) -> NDArray[np.float64]:
        return self._place[:, None].astype(np.float64)

    def set_hidden(self, hidden: NDArray[np.float64]) -> None:
        """Lets the button stand at another place, as far from its middle."""
        self._place[:] = hidden[:, 0].astype(np.intp)
        self._stand(np.arange(len(hidden)))

    def log_likelihood(self, obs: NDArray) -> NDArray[np.float64]:
        """What low fingers say: not where they are without a load, and just beside them with one."""
        angles = obs[:, self.robot.layout.slice("angle")].astype(np.float64)
        load = obs[:, self.robot.layout.slice("load")][:, 0]
        height = self.height_of(angles)
        beyond = self.places - angles[:, :1]  # (n, K), from the hand to each place
        aside = self.options.scatter
        here = np.abs(beyond) < CORE - aside  # wherever exactly it stands there, it would be in the way
        touched = np.abs(load) > TOUCH_LOAD
        ahead = np.sign(load)[:, None] * beyond
        fits = (ahead > REACH - aside - SLACK) & (ahead < REACH + aside + SLACK)
        told = np.where(touched[:, None], -SURE * ~fits, -SURE * here)
        return told * (height < LOW + SLACK * RADIUS)[:, None]

    def state(self) -> NDArray[np.float64]:
        place = np.column_stack([self._angle, (self._radius - RADIUS) / UNEVEN, self._qpos[:, self._cap] / TRAVEL])
        return np.column_stack([self.arm_state(), place, self._felt])

    def potential(self) -> NDArray[np.float64]:
        """Minus what is left to do: to touch the button, to get above it, and to press it."""
        height = self.height_of(self.angles)
        away = np.abs(self.angles[:, 0] - self._angle)
        high = np.clip((HIGH - height) / (HIGH - LOW), 0.0, 1.0)
        searching = 1.0 + 0.3 * away + 0.2 * (1 - high)
        over = np.minimum(away / REACH, 1.0)
        down = np.clip((height - HEIGHT + PRESSED) / (HIGH - HEIGHT), 0.0, 1.0)
        pressing = 0.6 * over + 0.3 * np.where(over < 0.3, down, 1.0)
        return -np.where(self._felt, pressing, searching)


make, make_vec = entry_points(Feel, FeelOptions)
