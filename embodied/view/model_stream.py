"""A bare MuJoCo model in Rerun: its scene, its joints, its commands and its sensors over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
import rerun as rr
from numpy.typing import NDArray

from embodied.physics.names import control_names
from embodied.view.blueprint import bare_model
from embodied.view.scene import Scene
from embodied.view.sink import close_recording, open_recording

TRACES = 24  # at most, of each kind


class ModelStream:
    """One model, live in a viewer, in the browser, or into a file; raises OptionError for another `where`."""

    def __init__(self, where: str, model: mujoco.MjModel, title: str, groups: Sequence[int] | None = None) -> None:
        center, size = model.stat.center, model.stat.extent
        kinds = {"joints": model.njnt, "commands": model.nu, "sensors": model.nsensor}
        blueprint = bare_model(title, center, size, [kind for kind, count in kinds.items() if count])
        self._recording, self.url = open_recording(where, blueprint)
        self._scene = Scene(model, self._recording, contacts=True, groups=groups)
        hinges = np.isin(model.jnt_type, (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE))
        self._joints = {
            _name(model.joint(j), "joint", j): model.jnt_qposadr[j] for j in np.flatnonzero(hinges)[:TRACES]
        }
        self._commands = {_path(name): i for i, name in enumerate(control_names(model)[:TRACES])}
        self._sensors = {
            _name(model.sensor(s), "sensor", s): slice(model.sensor_adr[s], model.sensor_adr[s] + model.sensor_dim[s])
            for s in range(min(model.nsensor, TRACES))
        }

    @property
    def left_out(self) -> list[str]:
        """What of the model is not shown, or not as it is, in words."""
        return self._scene.left_out

    def step(self, data: mujoco.MjData) -> None:
        """Logs everything at the time of `data`."""
        self._recording.set_time("time", duration=data.time)
        self._scene.log(data)
        for name, at in self._joints.items():
            self._trace(f"joints/{name}", data.qpos[at])
        for name, at in self._commands.items():
            self._trace(f"commands/{name}", data.ctrl[at])
        for name, part in self._sensors.items():
            self._trace(f"sensors/{name}", data.sensordata[part])

    def event(self, text: str) -> None:
        """Logs something worth noticing."""
        self._recording.log("events", rr.TextLog(text))

    def close(self) -> None:
        """Writes out what is still buffered; gives up on a viewer that has gone."""
        close_recording(self._recording)

    def _trace(self, path: str, value: float | NDArray) -> None:
        self._recording.log(path, rr.Scalars(np.atleast_1d(value)))


def _name(entry: Any, kind: str, i: int) -> str:
    return _path(entry.name or f"{kind}{i}")


def _path(name: str) -> str:
    return rr.escape_entity_path_part(name.replace("/", "."))
