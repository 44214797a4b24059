"""What a robot does, senses and believes, logged to Rerun beside the scene. An observer: nothing depends on it."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np
import rerun as rr
from numpy.typing import NDArray

from embodied.view.blueprint import overview
from embodied.view.palette import beam_colours, colour_of
from embodied.view.scene import Scene
from embodied.view.sink import open_recording

TILE = 12  # screen pixels per camera pixel
PALE, DEEP = np.array([247, 250, 255]), np.array([8, 48, 107])  # no attention, and a head's most


class Stream:
    """One world of a task, live in a viewer, in the browser, or into a file.

    Args:
        where: "live" (a window), "web" (a browser page), or the name of an `.rrd` file.
        classes: the line camera's classes, in order.
        beliefs: the labels of the hidden variable.
        attention: whether attention will be logged, and wants a place.

    Raises:
        OptionError: `where` is none of these.
    """

    def __init__(
        self,
        where: str,
        model: mujoco.MjModel,
        title: str,
        classes: Sequence[str],
        beliefs: Sequence[str],
        actions: Sequence[str],
        attention: bool = False,
    ) -> None:
        self._recording, self.url = open_recording(where, overview(title, attention))
        self._scene = Scene(model, self._recording)
        self._beliefs, self._actions = list(beliefs), list(actions)
        self._classes = classes
        self._colours = np.array([colour_of(name) for name in classes], np.uint8)
        self._name_series()

    def step(
        self,
        time_s: float,
        data: mujoco.MjData,
        rays: tuple[NDArray, NDArray],
        ranges: NDArray,
        seen: NDArray,
        action: NDArray,
        belief: NDArray | None,
        observer: NDArray | None,
        reward: float,
    ) -> None:
        """Logs one decision.

        Args:
            time_s: time since the recording began [s].
            data: the world, current.
            rays: origins `(1, 3)` and directions `(pixels, 3)` of the line camera, world frame.
            ranges, seen: what the camera returned, `(pixels,)` each.
            belief: the agent's own probabilities, `(k,)`, if it has them.
            observer: the exact filter's probabilities, `(k,)`, if the task has one.
        """
        self._recording.set_time("time", duration=time_s)
        self._scene.log(data)
        self._log_camera(rays, ranges, seen)
        for name, value in zip(self._actions, action, strict=True):
            self._scalar(f"actions/{name}", value)
        for who, probabilities in (("agent", belief), ("observer", observer)):
            if probabilities is not None:
                for name, p in zip(self._beliefs, probabilities, strict=True):
                    self._scalar(f"belief/{who}/{name}", p)
        self._scalar("reward/return", reward)

    def entropy(self, who: str, bits: float) -> None:
        """Logs how uncertain somebody is, at the time of the last step [bits]."""
        self._scalar(f"entropy/{who}", bits)

    def attention(self, weights: NDArray) -> None:
        """Logs where each head looks back to, `(heads, decisions so far)`, at the time of the last step."""
        shares = weights / np.maximum(weights.max(axis=1, keepdims=True), 1e-12)
        tall = np.repeat(np.repeat(shares, TILE, axis=0), TILE, axis=1)[..., None]
        self._recording.log("attention/heads", rr.Image((PALE + (DEEP - PALE) * tall).astype(np.uint8)))

    def end(self, time_s: float, text: str, total: float) -> None:
        """Logs how an episode ended, and its whole return."""
        self.event(time_s, text)
        self._scalar("reward/return", total)

    def event(self, time_s: float, text: str) -> None:
        """Logs something worth noticing."""
        self._recording.set_time("time", duration=time_s)
        self._recording.log("events", rr.TextLog(text))

    def close(self) -> None:
        """Writes out what is still buffered."""
        self._recording.flush()
        self._recording.disconnect()

    def _name_series(self) -> None:
        """Gives every trace a name and a colour once."""
        for i, name in enumerate(self._beliefs):
            colour = colour_of(name, i)
            line = rr.SeriesLines(names=f"agent: {name}", colors=[colour], widths=2.5)
            self._recording.log(f"belief/agent/{name}", line, static=True)
            line = rr.SeriesLines(names=f"ideal observer: {name}", colors=[(*colour, 90)], widths=1.5)
            self._recording.log(f"belief/observer/{name}", line, static=True)
        for who, colour in (("agent", (40, 60, 90)), ("observer", (150, 160, 175))):
            self._recording.log(f"entropy/{who}", rr.SeriesLines(names=who, colors=[colour]), static=True)
        for name in self._actions:
            self._recording.log(f"actions/{name}", rr.SeriesLines(names=name.replace("_", " ")), static=True)
        self._recording.log("reward/return", rr.SeriesLines(names="return", colors=[(60, 160, 90)]), static=True)

    def _log_camera(self, rays: tuple[NDArray, NDArray], ranges: NDArray, seen: NDArray) -> None:
        origin, directions = rays
        colours = self._colours[seen]
        ends = origin + directions * ranges[:, None]
        strips = np.stack([np.broadcast_to(origin, ends.shape), ends], axis=1)
        beams = beam_colours(self._classes, seen)
        self._recording.log("world/rays", rr.LineStrips3D(strips, colors=beams, radii=0.003))
        strip = np.repeat(np.repeat(colours[None], TILE * 2, axis=0), TILE, axis=1)
        depth = np.clip(255 * (1 - ranges / max(ranges.max(), 1e-6)), 0, 255).astype(np.uint8)
        near = np.repeat(np.repeat(depth[None, :, None], TILE * 2, axis=0), TILE, axis=1).repeat(3, axis=2)
        self._recording.log("camera/line", rr.Image(np.concatenate([strip, near])))

    def _scalar(self, path: str, value: float) -> None:
        self._recording.log(path, rr.Scalars(float(value)))
