"""Rendered cameras in N worlds: MuJoCo draws, the declared camera develops."""

from __future__ import annotations

import copy
import weakref

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.body.cameras import Eye
from embodied.body.timing import BEFORE_START
from embodied.physics.batch import Batch
from embodied.seeding import Worlds, WorldStreams
from embodied.world.frames import FrameBuffer, Line
from embodied.world.picture import open_renderer


class Darkroom:
    """Draws small pictures of any world, fast: without shadows and multisampling, which cost fifty times the rest."""

    def __init__(self, batch: Batch, height: int, width: int, depth: bool) -> None:
        self._batch = batch
        self._model = copy.copy(batch.model)
        self._model.vis.quality.shadowsize = self._model.vis.quality.offsamples = 0
        self._renderer = open_renderer(self._model, height, width)
        self._renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False
        self._renderer.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        if depth:
            self._renderer.enable_depth_rendering()
        self._data = mujoco.MjData(batch.model)
        self.close = weakref.finalize(self, self._renderer.close)  # also before OpenGL is gone, when Python ends

    def draw(self, world: int, camera: int) -> NDArray:
        """Returns what a camera sees now: colours `(height, width, 3)`, or distances `(height, width)` [m]."""
        data = self._batch.current_data(world, self._data)
        self._batch.dress(self._model, world)
        self._renderer.update_scene(data, camera)
        return self._renderer.render()


class EyesInWorlds:
    """One rendered camera of every world; `frames (N, …)` are what was read last, as the camera keeps them.

    Raises:
        RenderingError: at the first frame, on a machine without off-screen OpenGL.
    """

    def __init__(self, eye: Eye, line: Line | None, batch: Batch, streams: WorldStreams, prefix: str) -> None:
        self.eye = eye
        self._batch, self._line = batch, line
        self._camera = batch.model.camera(prefix + eye.camera).id
        self._noise = streams.stream((f"{prefix}{eye.name}/frame", eye.lanes))
        self._darkroom: Darkroom | None = None
        self._exposed = np.empty(batch.n, object)  # renderings of this decision, of each world
        self._exposed[:] = [[] for _ in range(batch.n)]
        self._buffer: FrameBuffer | None = None
        self._latest: NDArray = np.zeros((batch.n, 0))
        self.frames: NDArray = self._latest

    def due_ticks(self, ticks: int) -> list[int]:
        """Ticks of a decision after which renderings towards the frame at its end are taken."""
        return [round(k * ticks / self.eye.exposures) for k in range(1, self.eye.exposures)]

    def expose(self, rows: Worlds) -> None:
        """Takes a rendering of `rows` now, towards the frame at the end of this decision."""
        for world in np.arange(self._batch.n)[rows]:
            self._exposed[world].append(self._draw(world))

    def frame(self, step: NDArray, rows: Worlds) -> list[NDArray]:
        """Captures a frame at decision `step (n,)` where one is due, and reads the newest; as `BeamsInWorlds`."""
        worlds = np.arange(self._batch.n)[rows]
        due = np.ones(len(worlds), bool) if self._line is None else self._line.captures(step, rows) | (step == 0)
        bits = self._noise.bits(step + BEFORE_START, rows)
        for i in np.flatnonzero(due):
            frame = self._captured(worlds[i], bits[i])
            if self._latest.dtype != frame.dtype or self._latest.shape[1:] != frame.shape:
                self._latest = np.zeros((self._batch.n, *frame.shape), frame.dtype)
            self._latest[worlds[i]] = frame
        if self._line is None:
            self.frames = self._latest
            return self.eye.encode(self._latest[rows])
        if self._buffer is None:
            self._buffer = FrameBuffer(self._line, self._latest.shape[1:], self._latest.dtype)
            self.frames = self._buffer.held
        new = self._buffer.exchange(self._latest[rows], step, rows)
        return [*self.eye.encode(self._buffer.held[rows]), self._line.age(step, rows)[:, None], new[:, None]]

    def _captured(self, world: int, bits: NDArray[np.uint64]) -> NDArray:
        """One world's frame, of what was exposed for it and what is seen now; at the start, of what is seen alone."""
        missing = self.eye.exposures - 1 - len(self._exposed[world])
        now = self._draw(world)
        rendered = [now] * max(missing, 0) + self._exposed[world] + [now]
        self._exposed[world] = []
        return self.eye.develop(rendered[-self.eye.exposures :], bits)

    def _draw(self, world: int) -> NDArray:
        if self._darkroom is None:
            self._darkroom = Darkroom(self._batch, self.eye.height, self.eye.width, self.eye.depth)
        return self._darkroom.draw(world, self._camera)

    def close(self) -> None:
        """Frees the renderer."""
        if self._darkroom is not None:
            self._darkroom.close()
            self._darkroom = None
