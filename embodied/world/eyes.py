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
from embodied.seeding import WorldStreams
from embodied.world.frames import FrameBuffer, Line, Rows
from embodied.world.picture import open_renderer


class Darkroom:
    """Draws small pictures of any world, fast: without shadows and multisampling, which cost fifty times the rest."""

    def __init__(self, batch: Batch, height: int, width: int, depth: bool) -> None:
        self._batch = batch
        plain = copy.copy(batch.model)
        plain.vis.quality.shadowsize = plain.vis.quality.offsamples = 0
        self._renderer = open_renderer(plain, height, width)
        self._renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False
        self._renderer.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        if depth:
            self._renderer.enable_depth_rendering()
        self._data = mujoco.MjData(batch.model)
        self.close = weakref.finalize(self, self._renderer.close)  # also before OpenGL is gone, when Python ends

    def draw(self, world: int, camera: int) -> NDArray:
        """Returns what a camera sees now: colours `(height, width, 3)`, or distances `(height, width)` [m]."""
        data = self._batch.current_data(world, self._data)
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
        self._exposed: list[list[NDArray]] = [[] for _ in range(batch.n)]
        self._buffer: FrameBuffer | None = None
        self.frames = np.zeros((batch.n, 0))

    def expose(self, rows: Rows) -> None:
        """Takes a rendering of `rows` now, towards the frame at the end of this decision."""
        for world in np.arange(self._batch.n)[rows]:
            self._exposed[world].append(self._draw(world))

    def frame(self, step: NDArray, rows: Rows) -> list[NDArray]:
        """Captures a frame at decision `step (n,)` and reads the newest that has arrived; as `BeamsInWorlds`."""
        worlds = np.arange(self._batch.n)[rows]
        bits = self._noise.bits(step + BEFORE_START, rows)
        captured = np.stack([self._captured(world, bits[i]) for i, world in enumerate(worlds)])
        if self.frames.shape[1:] != captured.shape[1:]:
            self.frames = np.zeros((self._batch.n, *captured.shape[1:]), captured.dtype)
        if self._line is None:
            self.frames[rows] = captured
            return self.eye.encode(captured)
        if self._buffer is None:
            self._buffer = FrameBuffer(self._line, captured.shape[1:], captured.dtype)
        new = self._buffer.exchange(captured, step, rows)
        self.frames[rows] = self._buffer.held[rows]
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
