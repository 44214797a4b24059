"""A real robot in Rerun while a policy runs on it: its posture, what it was told, what it reads, what is believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import mujoco
import numpy as np
import rerun as rr
from numpy.typing import NDArray

from embodied.layout import Layout
from embodied.view.blueprint import real_robot
from embodied.view.scene import Scene
from embodied.view.sink import close_recording, open_recording

TRACED = ("load", "current", "volts", "temperature")


class RobotStream:
    """One robot, live in a viewer, in the browser, or into a file; raises OptionError for another `where`.

    Args:
        model: of the robot alone; joints: names, in the order of targets.
        layout: what the robot reads; believed: what beliefs are about, one name for each of their numbers.
    """

    def __init__(
        self,
        where: str,
        model: mujoco.MjModel,
        joints: Sequence[str],
        layout: Layout,
        title: str,
        believed: Sequence[str] = (),
    ) -> None:
        self._pictures = {c.name: c.shape for c in layout.channels if c.is_color}
        traced = [c.name for c in layout.channels if c.name in TRACED]
        cameras = [name.partition("/")[0] for name in self._pictures]
        center, extent = model.stat.center, model.stat.extent
        blueprint = real_robot(title, center, extent, traced, cameras, bool(believed))
        self._recording, self.url = open_recording(where, blueprint, unhurried=True)
        self._model, self._data = model, mujoco.MjData(model)
        self._places = [int(model.joint(joint).qposadr[0]) for joint in joints]
        self._joints, self._believed, self._traced = tuple(joints), tuple(believed), traced
        self._scene = Scene(model, self._recording, contacts=False)

    def step(
        self,
        time_s: float,
        told: NDArray,
        values: Mapping[str, NDArray],
        belief: NDArray | None = None,
    ) -> None:
        """Logs a decision: targets `(joints,)` [rad], what was read, by channel, and what is believed, `(k,)`."""
        self._recording.set_time("time", duration=time_s)
        self._data.qpos[self._places] = values["angle"]
        mujoco.mj_kinematics(self._model, self._data)
        self._scene.log(self._data)
        for joint, read, target in zip(self._joints, values["angle"], told, strict=True):
            self._trace(f"angles/{joint}/read", float(read))
            self._trace(f"angles/{joint}/told", float(target))
        for name in self._traced:
            numbers = np.atleast_1d(values[name])
            labels = self._joints if len(numbers) == len(self._joints) else [name]
            for label, number in zip(labels, numbers.tolist(), strict=False):
                self._trace(f"readings/{name}/{label}", number)
        for name, shape in self._pictures.items():
            picture = np.clip(np.reshape(values[name], shape) * 255, 0, 255).astype(np.uint8)
            self._recording.log(f"pictures/{name.partition('/')[0]}", rr.Image(picture))
        for label, share in zip(self._believed, [] if belief is None else belief.tolist(), strict=False):
            self._trace(f"belief/{label}", share)

    def event(self, text: str) -> None:
        """Logs something worth noticing."""
        self._recording.log("events", rr.TextLog(text))

    def close(self) -> None:
        """Writes out what is still buffered; gives up on a viewer that has gone."""
        close_recording(self._recording)

    def _trace(self, path: str, value: float) -> None:
        self._recording.log(path, rr.Scalars(value))
