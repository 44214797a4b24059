"""Pictures of worlds, rendered off screen by MuJoCo."""

from __future__ import annotations

import copy
import weakref
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.errors import RenderingError
from embodied.physics.batch import Batch

BEAM_RADIUS = 0.004  # m


@dataclass(frozen=True)
class Beams:
    """Lines from one point [m] to many `(n, 3)` [m], each in its colour, RGBA in [0, 1], `(n, 4)`."""

    origin: NDArray[np.float64]
    ends: NDArray[np.float64]
    colours: NDArray[np.float32]


def open_renderer(model: mujoco.MjModel, height: int, width: int) -> mujoco.Renderer:
    """Opens MuJoCo's off-screen renderer.

    Raises:
        RenderingError: this machine offers no off-screen OpenGL.
    """
    try:
        return mujoco.Renderer(model, height, width)
    except Exception as error:  # GLFW, EGL and OSMesa each fail with a type of their own
        raise RenderingError(
            "no off-screen renderer could be opened. Without a screen, set the environment variable "
            "MUJOCO_GL=egl (Debian packages: libegl1 libgl1-mesa-dri) or MUJOCO_GL=osmesa (libosmesa6) "
            f"before Python starts. The renderer said: {error}"
        ) from error


class Painter:
    """Renders worlds of a batch through a named camera.

    Raises:
        RenderingError: this machine offers no off-screen OpenGL.
    """

    def __init__(self, batch: Batch, camera: str = "overview", height: int = 480, width: int = 640) -> None:
        self._batch = batch
        self._camera = camera
        self._model = copy.copy(batch.model)
        self._renderer = open_renderer(self._model, height, width)
        self._free = weakref.finalize(self, self._renderer.close)

    def paint(self, world: int, beams: Beams | None = None) -> NDArray[np.uint8]:
        """Returns a picture of one world, `(height, width, 3)`, with the beams of a camera drawn in."""
        _, data = self._batch.render_pair(world)
        self._batch.dress(self._model, world)
        self._renderer.update_scene(data, self._camera)
        if beams is not None:
            self._draw_beams(beams)
        return self._renderer.render()

    def _draw_beams(self, beams: Beams) -> None:
        scene = self._renderer.scene
        for end, colour in zip(beams.ends, beams.colours, strict=True):
            if scene.ngeom == scene.maxgeom:
                return
            geom = scene.geoms[scene.ngeom]
            mujoco.mjv_initGeom(geom, mujoco.mjtGeom.mjGEOM_CAPSULE, np.zeros(3), np.zeros(3), np.zeros(9), colour)
            mujoco.mjv_connector(geom, mujoco.mjtGeom.mjGEOM_CAPSULE, BEAM_RADIUS, beams.origin, end)
            scene.ngeom += 1

    def close(self) -> None:
        """Frees the renderer's context; also done when Python ends, before OpenGL is gone."""
        self._free()
