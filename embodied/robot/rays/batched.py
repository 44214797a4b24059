"""Line cameras and range finders in N worlds: rays cast at every decision, read when they have arrived."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embodied.physics.batch import Batch
from embodied.robot.frames import ClockChannel, FrameBuffer
from embodied.robot.rays.spec import RaySensor
from embodied.robot.timing import BEFORE_START
from embodied.seeding import Worlds, WorldStreams

NO_GEOM = -1


class BatchedRays:
    """A line camera or range finder of every world; `seen` and `ranges (N, pixels)` are the frame that was read last.

    `geoms (N, pixels)` is on what its pixels truly rested, −1 for nothing.

    `parameters` holds what may differ per world, `(N, 1)` each (see `RaySensor.VARIES`); a frame is as noisy as they
    say when it is captured, whenever it is read.
    """

    def __init__(
        self, fan: RaySensor, channel: ClockChannel | None, batch: Batch, streams: WorldStreams, prefix: str
    ) -> None:
        self.fan = fan
        self._batch, self._channel = batch, channel
        model, n = batch.model, batch.n
        self._site = model.site(prefix + fan.site).id
        self._body = model.body(prefix + fan.body).id
        self._class_of_geom = fan.class_table([model.geom(i).name for i in range(model.ngeom)])
        self._position = batch.array("site_xpos")
        self._rotation = batch.array("site_xmat")
        self._noise = streams.stream((f"{prefix}{fan.name}/frame", fan.random_values))
        self.parameters = {name: np.full((n, 1), float(getattr(fan, name))) for name in fan.VARIES}
        self._buffer = None if channel is None else FrameBuffer(channel, (2 * fan.pixels + len(fan.VARIES),))
        self._parts = np.cumsum([fan.pixels, fan.pixels, *[1] * (len(fan.VARIES) - 1)])
        self.seen = np.zeros((n, fan.pixels), np.intp)
        self.geoms = np.full((n, fan.pixels), NO_GEOM)
        self.ranges = np.full((n, fan.pixels), fan.max_range)

    def frame(self, step: NDArray, worlds: NDArray[np.intp] | None) -> list[NDArray]:
        """Casts a frame at decision `step (n,)` and reads the newest that has arrived.

        Returns:
            Ranges [m], if it measures them, and what was met, `(n, …)` each; age [s] and whether the frame is new,
            `(n, 1)` each, if frames can be late.
        """
        rows: Worlds = slice(None) if worlds is None else worlds
        distance, geom = self._cast(worlds)
        index, timing = step, []
        now = {name: value[rows] for name, value in self.parameters.items()}
        if self._buffer is not None and self._channel is not None:
            new = self._buffer.exchange(np.concatenate([distance, geom, *now.values()], axis=1), step, rows)
            distance, geom, *then = np.split(self._buffer.held[rows], self._parts, axis=1)
            geom, index, now = geom.astype(np.intp), self._channel.index[rows], dict(zip(now, then, strict=True))
            timing = [self._channel.age(step, rows)[:, None], new[:, None]]
        bits = self._noise.bits(index + BEFORE_START, rows)
        ranges, seen = self.fan.see(distance, self._class_of_geom[geom], bits, now)
        self.ranges[rows], self.seen[rows], self.geoms[rows] = ranges, seen, geom
        return [*([ranges] if self.fan.measures else []), self.fan.encode(seen), *timing]

    def recapture(self) -> None:
        """Replaces the frames that are on their way by ones of how things stand now."""
        if self._buffer is not None:
            self._buffer.refill(np.concatenate([*self._cast(None), *self.parameters.values()], axis=1))

    def _cast(self, worlds: NDArray[np.intp] | None) -> tuple[NDArray, NDArray]:
        """How far each ray goes [m], and what it meets, `(n, pixels)` each."""
        return self._batch.rays(*self.rays(worlds), self._body, worlds, self.fan.groups)

    def rays(self, worlds: NDArray[np.intp] | None = None) -> tuple[NDArray, NDArray]:
        """Returns origins `(n, 1, 3)` [m] and directions `(n, pixels, 3)` in the world frame."""
        rows: Worlds = slice(None) if worlds is None else worlds
        R_wc = self._rotation[rows, self._site].reshape(-1, 1, 3, 3)
        ahead, left = self.fan.directions[:, :1], self.fan.directions[:, 1:2]
        return self._position[rows, self._site][:, None], R_wc[..., 0] * ahead + R_wc[..., 1] * left
