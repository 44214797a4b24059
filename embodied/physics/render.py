"""Pictures of worlds, rendered off screen by MuJoCo."""

from __future__ import annotations

import atexit
import copy
import importlib
import os
import sys
import weakref
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from embodied.errors import RenderingError
from embodied.physics.batch import VISIBLE_GROUPS, Batch, group_mask
from embodied.renderer import LIBRARIES

BEAM_RADIUS = 0.004  # m
_OPEN: weakref.WeakSet[mujoco.Renderer] = weakref.WeakSet()


@dataclass(frozen=True)
class DrawnRays:
    """Lines from one point [m] to many `(n, 3)` [m], each in its color, RGBA in [0, 1], `(n, 4)`."""

    origin: NDArray[np.float64]
    ends: NDArray[np.float64]
    colors: NDArray[np.float32]


def open_renderer(model: mujoco.MjModel, height: int, width: int) -> mujoco.Renderer:
    """Opens MuJoCo's off-screen renderer.

    Raises:
        RenderingError: this machine offers no off-screen OpenGL.
    """
    try:
        _use_chosen_back_end()
        renderer = mujoco.Renderer(model, height, width)
    except Exception as error:  # GLFW, EGL and OSMesa each fail with a type of their own
        raise RenderingError(
            "no off-screen renderer could be opened. Without a screen, set the environment variable "
            "MUJOCO_GL=egl (Debian packages: libegl1 libgl1-mesa-dri) or MUJOCO_GL=osmesa (libosmesa6) "
            f"before Python starts. The renderer said: {error}"
        ) from error
    if not _OPEN:
        atexit.register(_close_all)  # after MuJoCo's own, and so before it: OpenGL is still there
    _OPEN.add(renderer)
    return renderer


def _close_all() -> None:
    """Frees what is still open when Python ends."""
    for renderer in list(_OPEN):
        renderer.close()


def _use_chosen_back_end() -> None:
    """Lets MuJoCo draw off screen although it was imported first, when it chose to draw on a screen."""
    contexts = sys.modules[mujoco.Renderer.__module__].gl_context
    chosen, context = os.environ.get("MUJOCO_GL", "").lower(), getattr(contexts, "GLContext", None)
    if chosen in LIBRARIES and context is not None and context.__module__ != f"mujoco.{chosen}":
        contexts.GLContext = importlib.import_module(f"mujoco.{chosen}").GLContext


class CameraRenderer:
    """Draws small pictures of any world, fast: without shadows and multisampling, which cost fifty times the rest."""

    def __init__(
        self, batch: Batch, height: int, width: int, depth: bool, groups: tuple[int, ...] = VISIBLE_GROUPS
    ) -> None:
        self._batch = batch
        self._model = copy.copy(batch.model)
        self._model.vis.quality.shadowsize = self._model.vis.quality.offsamples = 0
        self._renderer = open_renderer(self._model, height, width)
        self._renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False
        self._renderer.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        if depth:
            self._renderer.enable_depth_rendering()
        self._data = mujoco.MjData(batch.model)
        self._option = mujoco.MjvOption()
        self._option.geomgroup[:] = group_mask(groups)
        self.close = weakref.finalize(self, self._renderer.close)

    def draw(self, world: int, camera: int) -> NDArray:
        """Returns what a camera sees now: colors `(height, width, 3)`, or distances `(height, width)` [m]."""
        data = self._batch.current_data(world, self._data)
        self._batch.dress(self._model, world)
        self._renderer.update_scene(data, camera, self._option)
        return self._renderer.render()


class WorldRenderer:
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

    def render(self, world: int, beams: DrawnRays | None = None) -> NDArray[np.uint8]:
        """Returns a picture of one world, `(height, width, 3)`, with the beams of a camera drawn in."""
        _, data = self._batch.render_pair(world)
        self._batch.dress(self._model, world)
        self._renderer.update_scene(data, self._camera)
        if beams is not None:
            self._draw_beams(beams)
        return self._renderer.render()

    def _draw_beams(self, beams: DrawnRays) -> None:
        scene = self._renderer.scene
        for end, color in zip(beams.ends, beams.colors, strict=True):
            if scene.ngeom == scene.maxgeom:
                return
            geom = scene.geoms[scene.ngeom]
            mujoco.mjv_initGeom(geom, mujoco.mjtGeom.mjGEOM_CAPSULE, np.zeros(3), np.zeros(3), np.zeros(9), color)
            mujoco.mjv_connector(geom, mujoco.mjtGeom.mjGEOM_CAPSULE, BEAM_RADIUS, beams.origin, end)
            scene.ngeom += 1

    def close(self) -> None:
        """Frees the renderer's context; also done when Python ends, before OpenGL is gone."""
        self._free()
