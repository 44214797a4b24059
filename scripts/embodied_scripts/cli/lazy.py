"""The one place that loads subcommands lazily, and names what to install where an extra is missing."""

from __future__ import annotations

import importlib
from typing import Any

from embodied.errors import MissingExtraError

EXTRAS = {  # module -> extra that installs it
    "torch": "learn",
    "stable_baselines3": "learn",
    "safetensors": "learn",
    "tensorboard": "learn",
    "openskill": "learn",
    "tyro": "cli",
    "rich": "cli",
    "rerun": "view",
    "PIL": "view",
    "matplotlib": "view",
    "cv2": "camera",
    "pyarrow": "sysid",
    "ray": "ray",
    "onnx": "onnx",
    "onnxscript": "onnx",
    "onnxruntime": "onnx",
    "popgym": "bench",
    "sb3_contrib": "bench",
    "imageio": "bench",
}


def load(path: str) -> Any:
    """Returns what `module:name` means, a module below `embodied_scripts`.

    Raises:
        MissingExtraError: it needs a library that is not installed.
    """
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(f"embodied_scripts.{module}"), name)
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in EXTRAS:
            raise
        raise MissingExtraError(library, EXTRAS[library]) from error
