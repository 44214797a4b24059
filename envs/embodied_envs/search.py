"""Search: one of several things is the one that is wanted, and all stand behind screens."""

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.hidden import Discrete
from embodied.options import check_bounds
from embodied.world.task import Draw, Outcome, Task, World
from embodied_envs.scene import (
    AWAY,
    BOX,
    CYLINDER,
    EPISODE_S,
    MISREAD,
    Declaration,
    Props,
    entry_points,
    pose_features,
    room,
)
from embodied_envs.scout import RIDE_HEIGHT, scout

REACH = 1.2  # m, from the middle of the room to its walls
ROW = 0.1  # m, y of the screens
BEHIND = 0.2  # m, from a screen to the thing behind it
START = (0.0, -0.9)
POINTING = 4  # pixels in the middle of the view, of which one must rest on what is declared
NEAR = 1.0  # m, within which a thing can be declared
NOTHING = -1  # instead of a geom
LEAST_MISREAD = 1e-3  # that evidence reckons with: no pixel proves anything
HALF_VIEW = math.pi / 6
PIXEL = 2 * HALF_VIEW / 23  # rad, between two neighbors of 24


@dataclass(frozen=True)
class SearchOptions:
    """How hard it is.

    Attributes:
        objects: how many things, each behind a screen of its own; 2 to 5.
        scatter: how far screens stand from their places in a row [m].
        reading_range: distance within which a thing can be distinguished from the others [m].
        misread: probability that one pixel takes a thing for another kind.
        wrong_reward: reward for declaring anything but what is wanted.
        time_cost: cost of every second.
        episode_s: time limit [s].
    """

    objects: int = 3
    scatter: float = 0.06
    reading_range: float = 0.9
    misread: float = 0.1
    wrong_reward: float = -0.5
    time_cost: float = 0.01
    episode_s: float = 20.0

    def __post_init__(self) -> None:
        check_bounds(self, objects=(2, 5), scatter=(0.0, 0.08), reading_range=(0.3, 1.2), misread=MISREAD)
        check_bounds(self, episode_s=EPISODE_S)


class Search(Task):
    """Saying "this" to what is wanted +1, to another thing `wrong_reward`, to no thing nothing; its place is hidden."""

    declarations = ("this",)
    shaping_curriculum = 0.6

    def __init__(self, options: SearchOptions) -> None:
        self.options = options
        self.episode_s = options.episode_s
        self.places = tuple(f"place{i}" for i in range(options.objects))
        self._prior = (1 / options.objects,) * options.objects
        self.hidden = (Discrete("target_place", self.places, self._prior),)
        things = {"target": "target"} | {f"decoy{i}": "decoy" for i in range(options.objects - 1)}
        screens = {f"screen{i}": "screen" for i in range(options.objects)}
        self.robot = scout(self.control_hz).with_labels(
            screens | things,
            {"target": "thing", "decoy": "thing"},
            reading_range=options.reading_range,
            misread=options.misread,
        )

    @property
    def row(self) -> NDArray[np.float64]:
        """Where screens stand if they are not scattered, `(K, 2)` [m]."""
        k = self.options.objects
        width = min(2 * 0.9, (k - 1) * 0.75)
        return np.column_stack([np.linspace(-width / 2, width / 2, k), np.full(k, ROW)])

    def compose(self) -> mujoco.MjSpec:
        spec = room(REACH, REACH)
        half = min(0.14, 0.25 * (self.row[1, 0] - self.row[0, 0]))
        for i in range(self.options.objects):
            screen = spec.worldbody.add_body(name=f"screen{i}", mocap=True, pos=AWAY)
            screen.add_geom(name=f"screen{i}", type=BOX, size=[half, 0.012, 0.14], material="post", condim=1)
        _add_thing(spec, "target", [0.93, 0.68, 0.16, 1], star=True)
        for i in range(self.options.objects - 1):
            _add_thing(spec, f"decoy{i}", [0.55, 0.36, 0.72, 1], star=False)
        return spec

    def bind(self, world: World) -> None:
        self._world, self._props, self._this = world, Props(world), Declaration(world)
        n, k = world.batch.n, self.options.objects
        self._camera = world.body.line_cameras[0]
        self._target_geom = world.batch.model.geom("target").id
        names = ["target", *(f"decoy{i}" for i in range(k - 1))]
        self._thing_geoms = np.array([world.batch.model.geom(name).id for name in names])
        self._pan = int(world.batch.model.joint("robot/pan").qposadr[0])
        self._qpos = world.batch.array("qpos")
        self._place = np.zeros(n, np.intp)  # of what is wanted
        self._at = np.zeros((n, k, 2))  # where things stand
        self._inspected = np.zeros((n, k), bool)
        middles = (self.row[1:] + self.row[:-1]) / 2
        self._gaps = middles + np.array([0.0, BEHIND])

    def begin(self, worlds: NDArray[np.intp], draw: Draw) -> None:
        k, n = self.options.objects, len(worlds)
        self._place[worlds] = draw.choice("target_place", self._prior)
        shift = draw.uniform("scatter", 2 * k, -1.0, 1.0).reshape(n, k, 2) * self.options.scatter
        screens = self.row + shift
        self._at[worlds] = screens + np.array([0.0, BEHIND])
        for i in range(k):
            here = np.column_stack([screens[:, i], np.zeros(n)])
            self._props.place(f"screen{i}", worlds, here, 0.14)
            self._put(i, worlds)
        turn = draw.uniform("heading", 1, -0.05, 0.05)[:, 0]
        xy = draw.uniform("start", 2, -0.05, 0.05) + START
        self._world.body.place(worlds, xy, math.pi / 2 + turn, RIDE_HEIGHT)
        self._inspected[worlds] = False
        self._this.begin(worlds)

    def _put(self, place: int, worlds: NDArray[np.intp]) -> None:
        """Puts what is wanted, or the next decoy, behind screen `place`."""
        slot = np.column_stack([self._at[worlds, place], np.zeros(len(worlds))])
        wanted = self._place[worlds] == place
        self._props.place("target", worlds[wanted], slot[wanted])
        number = place - (self._place[worlds] < place)
        for decoy in range(self.options.objects - 1):
            mine = ~wanted & (number == decoy)
            self._props.place(f"decoy{decoy}", worlds[mine], slot[mine])

    def gaze(self) -> NDArray[np.float64]:
        """Where each head points, `(N,)` [rad]."""
        return self._world.body.heading + self._qpos[:, self._pan]

    def _bearing(self) -> NDArray[np.float64]:
        """Angle from each gaze to each thing, `(N, K)` [rad]."""
        way = self._at - self._world.body.xy[:, None]
        off = np.arctan2(way[..., 1], way[..., 0]) - self.gaze()[:, None]
        return (off + math.pi) % (2 * math.pi) - math.pi

    def after_observation(self) -> None:
        y = self._world.body.xy[:, 1, None]
        beyond = y > self._at[..., 1] - 0.5 * BEHIND
        near = self._distance() < self.options.reading_range
        self._inspected |= beyond & near & (np.abs(self._bearing()) < HALF_VIEW)

    def _distance(self) -> NDArray[np.float64]:
        return np.linalg.norm(self._at - self._world.body.xy[:, None], axis=2)

    def outcome(self) -> Outcome:
        asking = np.flatnonzero(self._this.complete())
        declared = np.full(len(self._place), NOTHING)
        if asking.size:
            declared[asking] = self._pointed_at(asking)
        right = declared == self._target_geom
        wrong = (declared != NOTHING) & ~right
        reward = 1.0 * right + self.options.wrong_reward * wrong - self.options.time_cost / self.control_hz
        return Outcome(reward, right | wrong, right)

    def _pointed_at(self, worlds: NDArray[np.intp]) -> NDArray[np.intp]:
        """The geom of the nearest thing, unobstructed and near, on which the middle of the view rests, `(n,)`."""
        origin, direction = self._camera.rays(worlds)
        first = (direction.shape[1] - POINTING) // 2
        middle = np.ascontiguousarray(direction[:, first : first + POINTING])
        head = self._world.batch.model.body("robot/head").id
        distance, geom = self._world.batch.rays(origin, middle, head, worlds)
        distance = np.where(np.isin(geom, self._thing_geoms) & (distance < NEAR), distance, np.inf)
        nearest = distance.argmin(axis=1)[:, None]
        met = np.isfinite(np.take_along_axis(distance, nearest, axis=1)[:, 0])
        return np.where(met, np.take_along_axis(geom, nearest, axis=1)[:, 0], NOTHING)

    def _way_behind(self) -> NDArray[np.float64]:
        """The way to where one sees each thing, through the next gap between screens, `(N, K)` [m]."""
        xy, views = self._world.body.xy, self._at + np.array([0.0, 0.25])
        straight = np.linalg.norm(views - xy[:, None], axis=2)
        to_gap = np.linalg.norm(self._gaps - xy[:, None], axis=2)
        onward = np.linalg.norm(views[:, None] - self._gaps[:, None], axis=3)
        around = (to_gap[:, :, None] + onward).min(axis=1)
        return np.where(xy[:, 1, None] > ROW + 0.5 * BEHIND, straight, around)

    def truth(self) -> NDArray[np.float64]:
        return self._place[:, None].astype(np.float64)

    def set_hidden(self, hidden: NDArray[np.float64]) -> None:
        self._place[:] = hidden[:, 0]
        for place in range(self.options.objects):
            self._put(place, np.arange(len(hidden)))

    def evidence(self, obs: NDArray) -> NDArray[np.float64]:
        """Each pixel that reads what stands at a place is a vote for or against it.

        It is known at which place a pixel looked, and not which of the things stands there.
        """
        camera, geom = self.robot.line_cameras[0], self._camera.geoms
        pixels = obs[:, self.robot.layout.slice("camera/class")].reshape(*geom.shape, -1)
        read = [pixels[..., camera.classes.index(kind)] for kind in ("target", "decoy")]
        new = obs[:, self.robot.layout.slice("camera/new")]
        misread = max(self.options.misread, LEAST_MISREAD)
        right, wrong = math.log1p(-misread), math.log(misread)
        place = self._place_of(geom)[:, :, None] == np.arange(self.options.objects)
        wanted, other = (np.einsum("np,npk->nk", kind, place) * new for kind in read)
        elsewhere = wanted.sum(axis=1, keepdims=True) - wanted, other.sum(axis=1, keepdims=True) - other
        return right * (wanted + elsewhere[1]) + wrong * (other + elsewhere[0])

    def _place_of(self, geom: NDArray[np.intp]) -> NDArray[np.intp]:
        """At which place the thing stands that a geom `(N, P)` belongs to; −1 for all else."""
        decoy = np.arange(self.options.objects - 1)
        decoys = decoy + (decoy >= self._place[:, None])
        places = np.column_stack([self._place, decoys])
        met = geom[:, :, None] == self._thing_geoms
        return np.where(met.any(axis=2), np.take_along_axis(places, met.argmax(axis=2), axis=1), NOTHING)

    def state(self) -> NDArray[np.float64]:
        gaze, clock = self.gaze(), self._world.elapsed_s / self.episode_s
        where = self._at.reshape(len(gaze), -1) / REACH
        pose = pose_features(self._world.body, REACH)
        return np.column_stack([pose, np.cos(gaze), np.sin(gaze), where, self._inspected, clock])

    def potential(self) -> NDArray[np.float64]:
        """Minus what is left to do: look behind screens until the thing is found, go near, face it, and say so."""
        rows = np.arange(len(self._place))
        found = self._inspected[rows, self._place]
        to_target = np.maximum(self._distance()[rows, self._place] - 0.5, 0.0) / (2 * REACH)
        face = 0.5 * np.abs(self._bearing()[rows, self._place]) / math.pi
        nearest = np.where(self._inspected, np.inf, self._way_behind()).min(axis=1) / (2 * REACH)
        left = 0.5 + 0.2 * (~self._inspected).sum(axis=1)
        facing = found & (self._distance()[rows, self._place] < NEAR)
        facing &= np.abs(self._bearing()[rows, self._place]) < POINTING / 2 * PIXEL
        return self._this.begun(facing) - np.where(found, to_target + face, left + np.where(found, 0.0, nearest))


make, make_vec = entry_points(Search, SearchOptions)


def _add_thing(spec: mujoco.MjSpec, name: str, rgba: list[float], star: bool) -> None:
    """A post with a head; the wanted one has a crown."""
    body = spec.worldbody.add_body(name=name, mocap=True, pos=AWAY)
    body.add_geom(name=name, type=CYLINDER, size=[0.045, 0.085, 0], pos=[0, 0, 0.085], rgba=rgba, condim=1)
    top = {"pos": [0, 0, 0.2], "rgba": rgba}
    if star:
        for turn in range(3):
            quat = [math.cos(turn * math.pi / 6), 0, math.sin(turn * math.pi / 6), 0]
            body.add_site(name=f"{name}_crown{turn}", type=BOX, size=[0.05, 0.012, 0.012], quat=quat, **top)
    else:
        body.add_site(name=f"{name}_ball", type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[0.03, 0, 0], **top)
