"""Which OpenGL MuJoCo draws with; decided before MuJoCo is first imported, because it reads `MUJOCO_GL` then."""

from __future__ import annotations

import ctypes
import os
import sys

from embodied.errors import RenderingError

LIBRARIES = {"egl": ("libEGL.so.1",), "osmesa": ("libOSMesa.so.8", "libOSMesa.so.6", "libOSMesa.so")}
PACKAGES = {"egl": "libegl1 libgl1-mesa-dri", "osmesa": "libosmesa6"}


def choose_renderer() -> None:
    """On Linux without a screen, draws with EGL if it is there; checks what the user chose.

    Raises:
        RenderingError: `MUJOCO_GL` names a library that this machine does not have.
    """
    if sys.platform != "linux":
        return
    chosen = os.environ.get("MUJOCO_GL", "").lower()
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if not chosen and not screen and _loads("egl"):
        os.environ["MUJOCO_GL"] = "egl"
    elif chosen in LIBRARIES and not _loads(chosen):
        raise RenderingError(
            f"MUJOCO_GL is {chosen!r}, but {LIBRARIES[chosen][0]} cannot be loaded: install it (Debian packages: "
            f"{PACKAGES[chosen]}), choose another of {', '.join(LIBRARIES)}, or unset MUJOCO_GL to do without pictures"
        )


def _loads(name: str) -> bool:
    for library in LIBRARIES[name]:
        try:
            ctypes.CDLL(library)
        except OSError:
            continue
        return True
    return False
