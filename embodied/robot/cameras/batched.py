"""Rendered cameras in N worlds: MuJoCo renders, the declared image pipeline processes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embodied.physics.batch import Batch
from embodied.physics.render import CameraRenderer
from embodied.robot.cameras.spec import Camera
from embodied.robot.frames import ClockChannel, FrameBuffer
from embodied.robot.timing import BEFORE_START
from embodied.seeding import Worlds, WorldStreams


class BatchedCamera:
    """One rendered camera of every world; `frames (N, …)` are what was read last, as the camera keeps them.

    Raises:
        RenderingError: at the first frame, on a machine without off-screen OpenGL.
    """

    def __init__(
        self, camera: Camera, channel: ClockChannel | None, batch: Batch, streams: WorldStreams, prefix: str
    ) -> None:
        self.camera = camera
        self._batch, self._channel = batch, channel
        self._camera = batch.model.camera(prefix + camera.camera).id
        self._noise = streams.stream((f"{prefix}{camera.name}/frame", camera.random_values))
        self._renderer: CameraRenderer | None = None
        self._captures = np.empty(batch.n, object)  # renderings of this decision, of each world
        self._captures[:] = [[] for _ in range(batch.n)]
        self._buffer: FrameBuffer | None = None
        self._latest: NDArray = np.zeros((batch.n, 0))
        self.frames: NDArray = self._latest

    def due_ticks(self, ticks: int) -> list[int]:
        """Ticks of a decision after which renderings towards the frame at its end are taken."""
        return [round(k * ticks / self.camera.renders) for k in range(1, self.camera.renders)]

    def capture(self, rows: Worlds) -> None:
        """Takes a rendering of `rows` now, towards the frame at the end of this decision."""
        for world in np.arange(self._batch.n)[rows]:
            self._captures[world].append(self._draw(world))

    def frame(self, step: NDArray, rows: Worlds) -> list[NDArray]:
        """Captures a frame at decision `step (n,)` where one is due, and reads the newest; as `BatchedRays`."""
        worlds = np.arange(self._batch.n)[rows]
        due = np.ones(len(worlds), bool) if self._channel is None else self._channel.captures(step, rows) | (step == 0)
        bits = self._noise.bits(step + BEFORE_START, rows)
        for i in np.flatnonzero(due):
            frame = self._frame_of(worlds[i], bits[i])
            if self._latest.dtype != frame.dtype or self._latest.shape[1:] != frame.shape:
                self._latest = np.zeros((self._batch.n, *frame.shape), frame.dtype)
            self._latest[worlds[i]] = frame
        if self._channel is None:
            self.frames = self._latest
            return self.camera.encode(self._latest[rows])
        if self._buffer is None:
            self._buffer = FrameBuffer(self._channel, self._latest.shape[1:], self._latest.dtype)
            self.frames = self._buffer.held
        new = self._buffer.exchange(self._latest[rows], step, rows)
        return [*self.camera.encode(self._buffer.held[rows]), self._channel.age(step, rows)[:, None], new[:, None]]

    def _frame_of(self, world: int, bits: NDArray[np.uint64]) -> NDArray:
        """One world's frame, from the renderings of this decision and one now; at the start, from that alone."""
        missing = self.camera.renders - 1 - len(self._captures[world])
        now = self._draw(world)
        rendered = [now] * max(missing, 0) + self._captures[world] + [now]
        self._captures[world] = []
        return self.camera.process(rendered[-self.camera.renders :], bits)

    def _draw(self, world: int) -> NDArray:
        if self._renderer is None:
            self._renderer = CameraRenderer(
                self._batch, self.camera.height, self.camera.width, self.camera.depth, self.camera.groups
            )
        return self._renderer.draw(world, self._camera)

    def close(self) -> None:
        """Frees the renderer."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
