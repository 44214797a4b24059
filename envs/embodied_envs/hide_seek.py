"""HideSeek: one robot must see and reach the other before time is over; screens and boxes stand in the way."""

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.agent import Agent
from embodied.hidden import Continuous
from embodied.options import check_bounds, check_choices
from embodied.world.duel import DuelTask, Seat
from embodied.world.task import Draw, Outcome, World
from embodied_envs.duels import CROWN, duel_entry_points, watchful_pair
from embodied_envs.opponents import Chaser
from embodied_envs.scene import AWAY, BOX, EPISODE_S, Props, pose_features, room
from embodied_envs.scout import RIDE_HEIGHT, visible_parts

HALF_X, HALF_Y = 1.6, 1.2  # m, from the middle of the room to its walls
CAUGHT = 0.5  # m, between the middles of two robots that see each other
PIXELS = 48
SEATS = ("seeker", "hider")
# Where screens may stand: x, y, and the direction of their face; what stands there never meets another or a start.
SCREENS = np.array(
    [(x, y, turn) for x in (-0.5, 0.15, 0.8) for y, turn in ((-0.65, 0.0), (0.0, math.pi / 2), (0.65, 0.0))]
)
BOXES = np.array([(-0.15, -0.35), (-0.15, 0.35), (0.5, -0.35), (0.5, 0.35)])  # m
PLACES = np.array([(1.25, y) for y in (-0.85, -0.3, 0.3, 0.85)])  # m, where a robot may begin; or mirrored
MIDDLE = (-1.25, 0.0)
KNOWN_BY = ("crown", "robot")
STARTS = ("facing", "alike")


@dataclass(frozen=True)
class HideSeekOptions:
    """How hard it is.

    Attributes:
        screens: fixed walls in the room, 0 to 9.
        boxes: light boxes that can be pushed, 0 to 4.
        head_start_s: how long the seeker stands still at first [s].
        view: how far the robots see [m].
        episode_s: time after which the hider has won [s].
        known_by: by what a robot's camera knows the other: the ring on its head ("crown"), or all that is seen of
            it ("robot").
        start: where they begin: "facing", the seeker in the middle of one end of the room, looking at the other end,
            where the hider stands and looks anywhere; or "alike", each anywhere at its own end, looking anywhere.
    """

    screens: int = 4
    boxes: int = 2
    head_start_s: float = 3.0
    view: float = 3.0
    episode_s: float = 30.0
    known_by: str = "crown"
    start: str = "facing"

    def __post_init__(self) -> None:
        check_bounds(self, screens=(0, len(SCREENS)), boxes=(0, len(BOXES)), view=(0.3, 5.0), episode_s=EPISODE_S)
        check_bounds(self, head_start_s=(0.0, self.episode_s))
        check_choices(self, known_by=KNOWN_BY, start=STARTS)


class HideSeek(DuelTask):
    """+1 for the seeker that sees and reaches the hider in time, else −1; where the other is, is hidden from both."""

    seats = SEATS

    def __init__(self, options: HideSeekOptions) -> None:
        self.options = options
        self.episode_s = options.episode_s
        known_by = (CROWN,) if options.known_by == "crown" else visible_parts()
        self.players = watchful_pair(self.control_hz, SEATS, PIXELS, options.view, known_by)
        self.robot = self.players[0]
        self.hidden = tuple(
            Continuous(f"{other} {axis}", -half, half, "m", moving=True)
            for other in reversed(SEATS)
            for axis, half in (("x", HALF_X), ("y", HALF_Y))
        )

    def scripted(self, seat: Seat) -> Chaser:
        return Chaser(seat.layout, flees=seat.name == "hider")

    def expert(self, seat: Seat) -> Agent:
        """A hider that keeps moving: who imitates standing still explores nothing."""
        return Chaser(seat.layout, flees=seat.name == "hider", waits=False)

    def compose(self) -> mujoco.MjSpec:
        spec = room(HALF_X, HALF_Y)
        for i in range(self.options.screens):
            screen = spec.worldbody.add_body(name=f"screen{i}", mocap=True, pos=AWAY)
            screen.add_geom(name=f"screen{i}", type=BOX, size=[0.02, 0.2, 0.14], material="post", condim=1)
        for i in range(self.options.boxes):
            box = spec.worldbody.add_body(name=f"box{i}", pos=[*BOXES[i], 0.09])
            box.add_freejoint(name=f"box{i}")
            box.add_geom(
                name=f"box{i}", type=BOX, size=[0.1, 0.1, 0.09], mass=0.15, rgba=[0.80, 0.62, 0.40, 1],
                friction=[0.4, 0.005, 1e-4], priority=1, solref=[0.04, 1],
            )  # fmt: skip
        return spec

    def bind(self, world: World) -> None:
        self._world, self._props = world, Props(world)
        model, n = world.batch.model, world.batch.n
        self._qpos = world.batch.array("qpos")
        self._joints = [int(model.joint(f"box{i}").qposadr[0]) for i in range(self.options.boxes)]
        names = [model.geom(i).name for i in range(model.ngeom)] + [""]  # the last one stands for no geom
        self._geoms_of = [np.array([name.startswith(f"{seat}/") for name in names]) for seat in SEATS]
        self._heads = [model.body(f"{seat}/head").id for seat in SEATS]
        self._places = np.zeros((n, max(self.options.screens, 1), 3))
        self._sees = np.zeros(n, bool)  # whether the seeker has the hider in plain sight
        self._had_seen = np.zeros(n, bool)

    def begin(self, worlds: NDArray[np.intp], draw: Draw) -> None:
        screens = SCREENS[draw.distinct("screens", self.options.screens, len(SCREENS))]
        for i in range(self.options.screens):
            self._props.place(f"screen{i}", worlds, screens[:, i], 0.14)
            self._places[worlds, i] = screens[:, i]
        boxes = BOXES[draw.distinct("boxes", self.options.boxes, len(BOXES))]
        for i, joint in enumerate(self._joints):
            self._qpos[worlds, joint : joint + 2] = boxes[:, i]
        self._place_robots(worlds, draw)
        self._sees[worlds] = self._had_seen[worlds] = False

    def _place_robots(self, worlds: NDArray[np.intp], draw: Draw) -> None:
        alike = self.options.start == "alike"
        turn = draw.uniform("heading", 2, -1.0, 1.0) * [math.pi if alike else 0.3, math.pi]
        hides = PLACES[draw.distinct("hideout", 1, len(PLACES))[:, 0]]
        seeks = np.tile(MIDDLE, (len(worlds), 1))
        if alike:
            side = np.where(draw.uniform("side", 1) < 0.5, -1.0, 1.0)
            hides, seeks = side * hides, -side * PLACES[draw.distinct("outset", 1, len(PLACES))[:, 0]]
        for body, place, heading in zip(self._world.bodies, (seeks, hides), turn.T, strict=True):
            body.place(worlds, place, heading, RIDE_HEIGHT)

    def filter_actions(self, actions: NDArray) -> NDArray:
        """The seeker does not drive before its time; it may look around."""
        actions[self.waiting, :2] = 0
        return actions

    @property
    def waiting(self) -> NDArray[np.bool_]:
        """Whether the hider still has its head start, `(N,)`."""
        return self._world.elapsed_s < self.options.head_start_s

    @property
    def screens(self) -> NDArray[np.float64]:
        """Where the screens stand, `(N, S, 3)`: x, y [m], and the direction of their face [rad]."""
        return self._places[:, : self.options.screens]

    def after_observation(self) -> None:
        self._sees = self.in_sight()
        self._had_seen |= self._sees

    def in_sight(self, seat: int = 0) -> NDArray[np.bool_]:
        """Whether a robot's line of sight to the other's head is free, and within its field of view, `(N,)`.

        What the camera makes of that is another matter: its beams may pass above or below.
        """
        camera = self._world.bodies[seat].line_cameras[0]
        origin, fan = camera.rays()
        way = self._crown(1 - seat) - origin[:, 0]
        distance = np.linalg.norm(way, axis=1)
        direction = way / np.maximum(distance, 1e-9)[:, None]
        met, geom = self._world.batch.rays(origin, direction[:, None], self._heads[seat])
        middle = fan[:, fan.shape[1] // 2]
        ahead = (direction * middle).sum(axis=1) > math.cos(camera.fan.fov / 2)
        return ahead & self._geoms_of[1 - seat][geom[:, 0]] & (met[:, 0] < self.options.view)

    def _crown(self, seat: int) -> NDArray[np.float64]:
        """Where a robot's camera is, `(N, 3)` [m]."""
        return self._world.bodies[seat].line_cameras[0].rays()[0][:, 0]

    def outcome(self) -> Outcome:
        apart = self._apart()
        caught = self.in_sight() & (apart < CAUGHT) & (self._world.elapsed_s > self.options.head_start_s)
        over = self._world.elapsed_s * self.control_hz >= round(self.episode_s * self.control_hz) - 1e-9
        won = np.column_stack([caught, over & ~caught])
        return Outcome(won[:, 0] * 1.0 - won[:, 1] * 1.0, caught | over, won)

    def _apart(self) -> NDArray[np.float64]:
        seeker, hider = self._world.bodies
        return np.linalg.norm(seeker.xy - hider.xy, axis=1)

    def truth(self) -> NDArray[np.float64]:
        seeker, hider = self._world.bodies
        return np.column_stack([hider.xy, seeker.xy])

    def state(self) -> NDArray[np.float64]:
        seeker, hider = (pose_features(body, HALF_X) for body in self._world.bodies)
        boxes = [self._qpos[:, joint : joint + 2] / HALF_X for joint in self._joints]
        places = self._places.reshape(len(seeker), -1) / HALF_X
        clock = self._world.elapsed_s / self.episode_s
        shared = np.column_stack([*boxes, places, self._sees, self._had_seen, clock])
        return np.column_stack([seeker, hider, shared, hider, seeker, shared])

    def potential(self) -> NDArray[np.float64]:
        """The seeker's is higher the nearer the robots are and while it sees; the hider's is the opposite."""
        near = -self._apart() / (2 * HALF_X) + 0.2 * self._sees
        return np.column_stack([near, -near])


make, make_vec, parallel_env = duel_entry_points(HideSeek, HideSeekOptions, "hide_seek_v0")
