"""N worlds of one model, moved by MuJoCo's thread pool behind a handful of verbs.

The verbs are what a GPU engine could implement as well: named arrays with a leading N, `step`, `reset`,
`forward`, `rays`, `snapshot` and `restore`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import mujoco
import mujoco.batch
import numpy as np
from numpy.typing import NDArray

from embodied.errors import ModelError, OptionError, UnknownNameError
from embodied.physics.threads import default_threads

VISIBLE_GROUPS = (0, 1, 2)  # geom groups that MuJoCo draws by default; Menagerie's collision shapes are in 3
VISIBLE = ("geom_", "site_", "light_", "cam_", "mat_", "tendon_", "flex_")  # model fields that a picture shows
UNSCALED = "unscaled/"  # before the names of fields of unit vectors as they are before they are normalized
STABLE_SPEED = 1e4  # rad/s or m/s; beyond it a simulation has diverged


@cache
def group_mask(groups: tuple[int, ...]) -> NDArray[np.uint8]:
    """MuJoCo's flags of geom groups.

    Raises:
        ModelError: a group that MuJoCo does not have.
    """
    if not groups or any(group not in range(mujoco.mjNGROUP) for group in groups):
        raise ModelError(f"groups are numbers from 0 to {mujoco.mjNGROUP - 1}, at least one, not {groups}")
    return np.isin(np.arange(mujoco.mjNGROUP), groups).astype(np.uint8)


class Batch:
    """`n` worlds of `model`, stepped on `threads` threads (None: one per usable core).

    Bit-identical to a loop of `mj_step` over one `MjData` per world, at any number of threads.

    Raises:
        ModelError: no worlds, or no threads, were asked for.
    """

    def __init__(self, model: mujoco.MjModel, n: int, threads: int | None = None) -> None:
        if n < 1 or (threads is not None and threads < 1):
            raise ModelError(f"a batch needs at least one world and one thread, not {n} and {threads}")
        model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET  # a failure is reported, not repaired
        self.model = model
        self.n = n
        self.threads = threads or default_threads(n)
        self._engine = mujoco.batch.Batch(model, n, self.threads, persistent=True)
        self._own: dict[str, NDArray] = {}  # model fields that each world has for itself
        self._unscaled: dict[str, NDArray] = {}
        self._moving = self._engine.bind("qvel")
        self._placed = self._engine.bind("qpos")

    def array(self, name: str) -> NDArray:
        """Returns the live `(N, …)` array of a data field; writing to a state field sets the worlds' state.

        Raises:
            UnknownNameError: MuJoCo has no such field.
        """
        if name not in mujoco.batch.DATA_FIELDS:
            raise UnknownNameError("data field", name, mujoco.batch.DATA_FIELDS)
        return self._engine.bind(name)

    def field(self, name: str) -> NDArray:
        """Returns the live `(N, …)` array of a model field, so that each world has its own values.

        Call `derive` after writing one on which other constants depend (masses, inertias, stiffnesses …).

        Raises:
            UnknownNameError: MuJoCo has no such field.
        """
        if name not in mujoco.batch.MODEL_FIELDS:
            raise UnknownNameError("model field", name, mujoco.batch.MODEL_FIELDS)
        self._own[name] = self._engine.expand(name)
        return self._own[name]

    def unscaled(self, name: str) -> NDArray:
        """Returns the live `(N, rows, columns)` array of a field of unit vectors before they are normalized.

        Frames and axes of worlds are made of it when they take effect (see `embodied.physics.targets`).
        """
        if name not in self._unscaled:
            own = self.field(name)
            self._unscaled[name] = np.array(own).reshape(self.n, -1, own.shape[-1])
        return self._unscaled[name]

    def derive(self, worlds: NDArray[np.intp] | None = None, strict: bool = True) -> None:
        """Recomputes the model constants that follow from fields (`mj_setConst`).

        Args:
            strict: whether values that MuJoCo refuses are an error; else such a world fails when it moves.

        Raises:
            OptionError: MuJoCo cannot, with the values that fields have.
        """
        try:
            self._engine.set_const(worlds)
        except mujoco.batch.SimulationError as error:
            if not strict:
                return
            raise OptionError(f"fields of worlds {list(error.ids)} have values that MuJoCo refuses: {error}") from error

    def sensor(self, name: str) -> NDArray:
        """Returns the live `(N, dim)` array of one sensor.

        Raises:
            UnknownNameError: the model has no such sensor.
        """
        names = [self.model.sensor(i).name for i in range(self.model.nsensor)]
        if name not in names:
            raise UnknownNameError("sensor", name, names)
        i = names.index(name)
        start = self.model.sensor_adr[i]
        return self.array("sensordata")[:, start : start + self.model.sensor_dim[i]]

    def step(self, substeps: int, worlds: NDArray[np.intp] | None = None) -> NDArray[np.intp]:
        """Advances `worlds` by `substeps` and makes poses, velocities and their sensors current.

        Returns:
            The worlds that failed: MuJoCo raised an error in them, or their state is no longer finite.
        """
        errors = self._guarded(lambda: self._engine.step(worlds, nstep=substeps, stage=mujoco.mjtStage.mjSTAGE_VEL))
        return np.union1d(errors, self._diverged(worlds))

    def run(self, substeps: int, worlds: NDArray[np.intp] | None = None) -> NDArray[np.intp]:
        """Advances as `step` does, as a part of a decision: `update` must follow. Returns worlds with errors."""
        return self._guarded(lambda: self._engine.step(worlds, nstep=substeps))

    def record(
        self,
        substeps: int,
        fields: dict[str, NDArray],
        worlds: NDArray[np.intp] | None = None,
        control: NDArray | None = None,
    ) -> NDArray[np.intp]:
        """Advances as `run` does, and writes what each tick computed into `fields`, `(n, substeps, …)` by name.

        Args:
            control: controls of the actuators at each tick, `(n, substeps, nu)`; None for the last ones.
        """
        names = list(fields)
        return self._guarded(lambda: self._engine.rollout(substeps, control, record=names, ids=worlds, out=fields))

    def update(self, worlds: NDArray[np.intp] | None = None) -> NDArray[np.intp]:
        """Makes poses, velocities and their sensors current after `run` or `record`; returns who failed."""
        errors = self._guarded(lambda: self._engine.forward(worlds, stage=mujoco.mjtStage.mjSTAGE_VEL))
        return np.union1d(errors, self._diverged(worlds))

    def reset(self, worlds: NDArray[np.intp] | None = None) -> None:
        """Puts `worlds` into the model's default state without computing anything from it."""
        self._engine.reset(worlds, stage=mujoco.mjtStage.mjSTAGE_NONE)

    def forward(self, worlds: NDArray[np.intp] | None = None) -> NDArray[np.intp]:
        """Computes everything that follows from the state of `worlds`; returns those that failed."""
        return self._guarded(lambda: self._engine.forward(worlds))

    def rays(
        self,
        origin: NDArray,
        direction: NDArray,
        ignore_body: int = -1,
        worlds: NDArray[np.intp] | None = None,
        groups: tuple[int, ...] = VISIBLE_GROUPS,
    ) -> tuple[NDArray, NDArray]:
        """Casts rays in every world; sites, and geoms that are fully transparent, are not met.

        Args:
            origin: `(n, 1 or rays, 3)` [m], world frame.
            direction: `(n, rays, 3)`, unit vectors.
            ignore_body: a body that rays pass through.
            groups: groups of the geoms that rays meet.

        Returns:
            Distance [m] and geom id, `(n, rays)` each; −1 and −1 where nothing was hit, or where the world's numbers
            are none.
        """
        how: dict[str, Any] = {"geomgroup": group_mask(groups), "bodyexclude": ignore_body}
        try:
            return self._engine.ray(origin, direction, ids=worlds, **how)
        except mujoco.batch.SimulationError as error:  # a world has diverged, and with it what is looked along
            ids = np.arange(self.n) if worlds is None else worlds
            distance, geom = np.full(direction.shape[:2], -1.0), np.full(direction.shape[:2], -1, np.int32)
            sound = ~np.isin(ids, error.ids)
            if sound.any():
                distance[sound], geom[sound] = self.rays(
                    origin[sound], direction[sound], ignore_body, ids[sound], groups
                )
            return distance, geom

    def snapshot(self) -> NDArray:
        """Returns the physical state of all worlds, `(N, …)`, to be given back to `restore`.

        Per-world model fields are parameters, not state; what sensors remember outside MuJoCo is not in it either.
        """
        specs = mujoco.batch._STATE_FIELDS
        return np.concatenate([self._engine.bind(f).reshape(self.n, -1) for f in specs], axis=1)

    def restore(self, snapshot: NDArray, worlds: NDArray[np.intp] | None = None) -> None:
        """Puts `worlds` (None: all) back into a snapshot of all worlds, and recomputes what follows."""
        rows = np.arange(self.n) if worlds is None else worlds
        start = 0
        for name in mujoco.batch._STATE_FIELDS:
            view = self._engine.bind(name)
            width = int(np.prod(view.shape[1:], dtype=int))
            view[rows] = snapshot[rows, start : start + width].reshape(len(rows), *view.shape[1:])
            start += width
        self.forward(worlds)

    def own_fields(self) -> dict[str, NDArray]:
        """Returns copies of the model fields that worlds have for themselves, by name."""
        kept = {name: values.copy() for name, values in self._own.items()}
        return kept | {f"{UNSCALED}{name}": values.copy() for name, values in self._unscaled.items()}

    def set_own_fields(self, fields: dict[str, NDArray]) -> None:
        """Gives worlds the model fields of `own_fields`, and recomputes the constants that follow from them."""
        for name, values in fields.items():
            if name.startswith(UNSCALED):
                self.unscaled(name.removeprefix(UNSCALED))[:] = values
            else:
                self.field(name)[:] = values
        if fields:
            self.derive()

    def render_pair(self, world: int) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """Returns one world's model and data, current, for a renderer or for any `mj_` function."""
        model = self._engine.get_model(world)
        data = self._engine.get_data(world)
        mujoco.mj_forward(model, data)
        return model, data

    def dress(self, model: mujoco.MjModel, world: int) -> None:
        """Gives a renderer's copy of the model what looks different in one world: colors, sizes, lights, cameras."""
        for name, values in self._own.items():
            if name.startswith(VISIBLE):
                getattr(model, name)[:] = values[world].reshape(getattr(model, name).shape)

    def current_data(self, world: int, out: mujoco.MjData) -> mujoco.MjData:
        """Copies one world, with what its last call computed, into `out` for a renderer; cheaper than `render_pair`."""
        return self._engine.get_data(world, out)

    def _guarded(self, call: Callable[[], Any]) -> NDArray[np.intp]:
        """Runs an engine call and returns the worlds in which it raised; the others completed it."""
        try:
            call()
        except mujoco.batch.SimulationError as error:
            return np.asarray(error.ids, np.intp)
        return np.empty(0, np.intp)

    def _diverged(self, worlds: NDArray[np.intp] | None) -> NDArray[np.intp]:
        speed = self._moving if worlds is None else self._moving[worlds]
        place = self._placed if worlds is None else self._placed[worlds]
        sound = (np.abs(speed) < STABLE_SPEED).all(axis=1) & np.isfinite(place).all(axis=1)
        lost = np.flatnonzero(~sound)
        return lost if worlds is None else worlds[lost]
