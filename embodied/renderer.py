"""Which OpenGL MuJoCo draws with; decided before MuJoCo is first imported, because it reads `MUJOCO_GL` then."""

from __future__ import annotations

import ctypes
import os
import sys
import warnings

LIBRARIES = {"egl": ("libEGL.so.1",), "osmesa": ("libOSMesa.so.8", "libOSMesa.so.6", "libOSMesa.so")}
PACKAGES = {"egl": "libegl1 libgl1-mesa-dri", "osmesa": "libosmesa6"}


def choose_renderer() -> None:
    """On Linux without a screen, draws with EGL if it is there; goes without pictures where it is missing."""
    if sys.platform != "linux":
        return
    chosen = os.environ.get("MUJOCO_GL", "").lower()
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if not chosen and not screen and _loads("egl"):
        os.environ["MUJOCO_GL"] = "egl"
    elif chosen in LIBRARIES and not _loads(chosen):
        os.environ["MUJOCO_GL"] = "disable"
        warnings.warn(
            f"MUJOCO_GL is {chosen!r}, but {LIBRARIES[chosen][0]} cannot be loaded, so there will be no pictures: "
            f"install it (Debian packages: {PACKAGES[chosen]})",
            RuntimeWarning,
            stacklevel=3,
        )


def _loads(name: str) -> bool:
    for library in LIBRARIES[name]:
        try:
            ctypes.CDLL(library)
        except OSError:
            continue
        return True
    return False
