"""Pictures of worlds, rendered off screen by MuJoCo."""

from __future__ import annotations

import weakref

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.errors import RenderingError
from embodied.physics.batch import Batch


class Painter:
    """Renders worlds of a batch through a named camera.

    Raises:
        RenderingError: this machine offers no off-screen OpenGL.
    """

    def __init__(self, batch: Batch, camera: str = "overview", height: int = 480, width: int = 640) -> None:
        self._batch = batch
        self._camera = camera
        try:
            self._renderer = mujoco.Renderer(batch.model, height, width)
        except Exception as error:  # GLFW, EGL and OSMesa each fail with a type of their own
            raise RenderingError(
                "no off-screen renderer could be opened. Without a screen, set the environment variable "
                "MUJOCO_GL=egl (Debian packages: libegl1 libgl1-mesa-dri) or MUJOCO_GL=osmesa (libosmesa6) "
                f"before Python starts. The renderer said: {error}"
            ) from error
        self._free = weakref.finalize(self, self._renderer.close)

    def paint(self, world: int) -> NDArray[np.uint8]:
        """Returns a picture of one world, `(height, width, 3)`."""
        _, data = self._batch.render_pair(world)
        self._renderer.update_scene(data, self._camera)
        return self._renderer.render()

    def close(self) -> None:
        """Frees the renderer's context; also done when Python ends, before OpenGL is gone."""
        self._free()
