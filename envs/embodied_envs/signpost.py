"""Signpost: two pads, one good; which one is written on a sign that can be read only from nearby."""

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.errors import OptionError
from embodied.hidden import Discrete
from embodied.options import check_bounds
from embodied.world.task import Draw, Outcome, Task, World
from embodied_envs.scene import AWAY, EPISODE_S, MISREAD, Props, entry_points, pose_features, room
from embodied_envs.scout import RIDE_HEIGHT, scout

COLORS = ("red", "blue")
PAINT = {"red": [0.86, 0.20, 0.18, 1.0], "blue": [0.12, 0.42, 0.86, 1.0]}
GOOD_PAD = Discrete("good_pad", COLORS, (0.5, 0.5))
PLACES = ("fixed", "swapped", "random")
WALL = 1.2  # m, from the center of the arena to its walls
PAD_RADIUS = 0.25  # m
PAD_SETBACK = 0.3  # m, from the wall to the middle of a pad
# Places along the walls, x, y, and the heading that faces the room; far enough apart that nothing overlaps.
SLOTS = np.array(
    [(side * 0.55, sign * WALL, -sign * math.pi / 2) for sign in (-1, 1) for side in (-1, 1)]
    + [(sign * WALL, side * 0.55, math.pi if sign > 0 else 0.0) for sign in (-1, 1) for side in (-1, 1)]
)
SIGN_SLOT = np.array([0.0, WALL, -math.pi / 2])
OCCLUDER_PLACES = np.array([(-0.55, 0.1), (0.55, 0.1), (-0.3, 0.55), (0.3, 0.55), (0.0, -0.75)])


@dataclass(frozen=True)
class SignpostOptions:
    """How hard it is.

    Attributes:
        places: "fixed" (sign ahead, red pad left and blue pad right behind the robot), "swapped" (the pads
            change places at random, so the color must be found as well), "random" (anywhere along the walls).
        decoys: unsealed signs with hearsay on them that tells nothing; 0, 1 or 2.
        occluders: boxes that stand in the way of looking and driving; 0 to 5.
        reading_range: distance within which a sign can be read [m].
        misread: probability that one pixel misreads the sign.
        wrong_reward: reward for the wrong pad.
        time_cost: cost of every second.
        episode_s: time limit [s].
    """

    places: str = "fixed"
    decoys: int = 0
    occluders: int = 0
    reading_range: float = 1.0
    misread: float = 0.1
    wrong_reward: float = -0.5
    time_cost: float = 0.01
    episode_s: float = 10.0

    def __post_init__(self) -> None:
        if self.places not in PLACES:
            raise OptionError(f"places is {self.places!r}; known: {', '.join(PLACES)}")
        check_bounds(
            self,
            decoys=(0, 2),
            occluders=(0, len(OCCLUDER_PLACES)),
            reading_range=(0.3, 3.0),
            misread=MISREAD,
            episode_s=EPISODE_S,
        )


class Signpost(Task):
    """Right pad +1, wrong pad `wrong_reward`, a small cost of time; the color of the good pad is hidden."""

    def __init__(self, options: SignpostOptions) -> None:
        self.options = options
        self.episode_s = options.episode_s
        self.hidden = (GOOD_PAD,)
        self.robot = scout(self.control_hz).with_labels(
            *_vocabulary(options.decoys), reading_range=options.reading_range, misread=options.misread
        )

    def compose(self) -> mujoco.MjSpec:
        spec = room(WALL, WALL)
        for color in COLORS:
            _add_pad(spec, color)
            _add_board(spec, f"sign_{color}", color, sealed=True)
            for i in range(self.options.decoys):
                _add_board(spec, f"decoy{i}_{color}", color, sealed=False)
        for i in range(self.options.occluders):
            body = spec.worldbody.add_body(name=f"occluder{i}", mocap=True, pos=AWAY)
            body.add_geom(
                name=f"occluder{i}",
                type=mujoco.mjtGeom.mjGEOM_BOX,
                size=[0.1, 0.1, 0.12],
                material="wall",
                condim=1,
            )
        return spec

    def bind(self, world: World) -> None:
        self._world = world
        self._props = Props(world)
        n = world.batch.n
        self._good = np.zeros(n, np.intp)
        self._read = np.zeros(n, bool)
        self._pads = np.zeros((n, 2, 2))
        self._sign = np.zeros((n, 2))
        self._sign_slot = np.zeros((n, 3))
        camera = self.robot.line_cameras[0]
        self._sealed = np.array([camera.classes.index(f"sign says {c}") for c in COLORS])
        self._classes = self.robot.layout.slice("camera/class")
        late = not camera.timing.immediate
        self._new = self.robot.layout.slice("camera/new") if late else None

    def begin(self, worlds: NDArray[np.intp], draw: Draw) -> None:
        self._good[worlds] = draw.choice("good_pad", GOOD_PAD.prior)
        self._read[worlds] = False
        slots = self._slots(len(worlds), draw)
        for i, color in enumerate(COLORS):
            self._props.place(f"pad_{color}", worlds, slots[:, i])
            self._pads[worlds, i] = _in_front(slots[:, i], PAD_SETBACK)
        self._sign[worlds], self._sign_slot[worlds] = slots[:, 2, :2], slots[:, 2]
        self._show("sign", worlds, slots[:, 2], self._good[worlds])
        for i in range(self.options.decoys):
            self._show(f"decoy{i}", worlds, slots[:, 3 + i], draw.choice(f"hearsay{i}", (0.5, 0.5)))
        self._place_occluders(worlds, draw)
        self._place_robot(worlds, draw)

    def after_observation(self) -> None:
        seen = self._world.body.line_cameras[0].seen
        self._read |= (seen[:, :, None] == self._sealed).any(axis=(1, 2))

    def outcome(self) -> Outcome:
        distance = np.linalg.norm(self._pads - self._world.body.xy[:, None], axis=2)
        on_pad = distance < PAD_RADIUS
        rows = np.arange(len(on_pad))
        right = on_pad[rows, self._good]
        wrong = on_pad[rows, 1 - self._good]
        reward = 1.0 * right + self.options.wrong_reward * wrong - self.options.time_cost / self.control_hz
        return Outcome(reward, right | wrong, right)

    def truth(self) -> NDArray[np.float64]:
        return self._good[:, None].astype(np.float64)

    def set_hidden(self, hidden: NDArray[np.float64]) -> None:
        self._good[:] = hidden[:, 0]
        self._show("sign", np.arange(len(hidden)), self._sign_slot, self._good)

    def state(self) -> NDArray[np.float64]:
        return np.concatenate(
            [
                pose_features(self._world.body, WALL),
                self._pads.reshape(-1, 4) / WALL,
                self._sign / WALL,
                self._read[:, None],
                (self._world.elapsed_s / self.episode_s)[:, None],
            ],
            axis=1,
        )

    def potential(self) -> NDArray[np.float64]:
        """Minus the way that is left, in arena widths: to where the sign can be read, then to the good pad."""
        xy = self._world.body.xy
        good = self._pads[np.arange(len(xy)), self._good]
        to_sign = np.linalg.norm(self._sign - xy, axis=1)
        approach = np.maximum(to_sign - 0.8 * self.options.reading_range, 0.0)
        beyond = np.linalg.norm(good - self._sign, axis=1)
        straight = np.linalg.norm(good - xy, axis=1)
        return -np.where(self._read, straight, approach + beyond) / (2 * WALL)

    def log_likelihood(self, obs: NDArray) -> NDArray[np.float64]:
        """Each pixel that reads the sealed sign is an independent vote; other pixels and held frames tell nothing."""
        camera = self.robot.line_cameras[0]
        pixels = obs[:, self._classes].reshape(len(obs), camera.pixels, len(camera.classes))
        votes = pixels[:, :, self._sealed].sum(axis=1, dtype=np.float64)
        if self._new is not None:
            votes *= obs[:, self._new]
        wrong = max(self.options.misread, 1e-9)
        return votes * math.log(1 - wrong) + votes[:, ::-1] * math.log(wrong)

    def _slots(self, n: int, draw: Draw) -> NDArray[np.float64]:
        """Returns where red pad, blue pad, sign and decoys stand, `(n, 3 + decoys, 3)`."""
        if self.options.places == "random":
            return SLOTS[draw.distinct("slots", 3 + self.options.decoys, len(SLOTS))]
        pads = np.tile([0, 1], (n, 1))
        if self.options.places == "swapped":
            swap = draw.choice("swap", (0.5, 0.5)).astype(bool)
            pads[swap] = [1, 0]
        spare = 2 + draw.distinct("slots", self.options.decoys, len(SLOTS) - 2)
        sign = np.tile(SIGN_SLOT, (n, 1, 1))
        return np.concatenate([SLOTS[pads], sign, SLOTS[spare]], axis=1)

    def _show(self, board: str, worlds: NDArray[np.intp], slot: NDArray, color: NDArray[np.intp]) -> None:
        """Puts up the board of `color (n,)`; the board of the other color waits out of sight."""
        for i, name in enumerate(COLORS):
            body = f"{board}_{name}"
            self._props.place(body, worlds, slot)
            self._props.remove(body, worlds[color != i])

    def _place_occluders(self, worlds: NDArray[np.intp], draw: Draw) -> None:
        places = OCCLUDER_PLACES[draw.distinct("occluders", self.options.occluders, len(OCCLUDER_PLACES))]
        for i in range(self.options.occluders):
            slot = np.column_stack([places[:, i], np.zeros(len(worlds))])
            self._props.place(f"occluder{i}", worlds, slot, 0.12)

    def _place_robot(self, worlds: NDArray[np.intp], draw: Draw) -> None:
        xy = draw.uniform("start", 2, -1.0, 1.0) * [0.12, 0.12] + [0.0, -0.3]
        turn = draw.uniform("heading", 1, -math.pi, math.pi)[:, 0]
        self._world.body.place(worlds, xy, math.pi / 2 + turn, RIDE_HEIGHT)


make, make_vec = entry_points(Signpost, SignpostOptions)


def _vocabulary(decoys: int) -> tuple[dict[str, str], dict[str, str]]:
    """Returns what the camera calls each geom, and what fine print looks like from afar."""
    labels = {f"pad_{c}_panel": f"{c} pad" for c in COLORS}
    labels |= {f"sign_{c}": f"sign says {c}" for c in COLORS}
    labels |= {f"decoy{i}_{c}": f"hearsay says {c}" for i in range(decoys) for c in COLORS}
    legible = {f"sign says {c}": "sign" for c in COLORS}
    if decoys:
        legible |= {f"hearsay says {c}": "hearsay" for c in COLORS}
    return labels, legible


def _in_front(slot: NDArray, distance: float) -> NDArray:
    """Returns the points `distance` in front of `slots (n, 3)`, `(n, 2)`."""
    return slot[:, :2] + distance * np.stack([np.cos(slot[:, 2]), np.sin(slot[:, 2])], axis=1)


def _add_pad(spec: mujoco.MjSpec, color: str) -> None:
    """A disc on the floor to drive on, and a panel behind it that the camera sees; neither can be touched."""
    body = spec.worldbody.add_body(name=f"pad_{color}", mocap=True)
    shared = {"contype": 0, "conaffinity": 0, "rgba": PAINT[color]}
    body.add_geom(
        name=f"pad_{color}_disc",
        type=mujoco.mjtGeom.mjGEOM_CYLINDER,
        size=[PAD_RADIUS, 0.002, 0],
        pos=[PAD_SETBACK, 0, 0.002],
        **shared,
    )
    body.add_geom(
        name=f"pad_{color}_panel",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[0.01, 0.16, 0.11],
        pos=[0.012, 0, 0.12],
        **shared,
    )


def _add_board(spec: mujoco.MjSpec, name: str, color: str, sealed: bool) -> None:
    """A board that names a color: a white frame around a patch, with a golden seal if it tells the truth."""
    body = spec.worldbody.add_body(name=name, mocap=True, pos=AWAY)
    box = {"type": mujoco.mjtGeom.mjGEOM_BOX, "contype": 0, "conaffinity": 0}
    body.add_geom(name=name, size=[0.008, 0.17, 0.12], pos=[0.012, 0, 0.14], rgba=[0.97, 0.97, 0.95, 1], **box)
    body.add_site(
        name=f"{name}_patch",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[0.002, 0.12, 0.07],
        pos=[0.0215, 0, 0.13],
        rgba=PAINT[color],
    )
    if sealed:
        body.add_site(
            name=f"{name}_seal",
            type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            size=[0.028, 0.003, 0],
            pos=[0.022, 0, 0.24],
            zaxis=[1, 0, 0],
            rgba=[0.95, 0.74, 0.20, 1],
        )
