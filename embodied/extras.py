"""Optional libraries: which extra installs each, and exports that say so where one is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lazy_loader

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
    "h5py": "logs",
    "rosbags": "logs",
    "mcap": "logs",
    "mcap_ros2": "logs",
    "ray": "ray",
    "onnx": "onnx",
    "onnxscript": "onnx",
    "onnxruntime": "onnx",
    "model_signing": "signing",
    "cryptography": "signing",
    "OpenSSL": "signing",
    "prov": "signing",
    "popgym": "bench",
    "sb3_contrib": "bench",
    "imageio": "bench",
    "pomdp_py": "pomdp",
    "mujoco_menagerie": "menagerie",
    "scservo_sdk": "robots",
    "rustypot": "robots",
    "lerobot": "lerobot",
}


@contextmanager
def advice() -> Iterator[None]:
    """Within it, an import that fails for want of an optional library says what to install.

    Raises:
        MissingExtraError: an import needed a library that is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in EXTRAS:
            raise
        raise MissingExtraError(library, EXTRAS[library]) from None


def attach_stub(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Returns `__getattr__`, `__dir__` and `__all__` of a package whose stub beside `file` says what it exports.

    What is exported is imported when it is first asked for; if that needs an optional library that is missing, the
    error names it (`advice`).
    """
    attribute, names, exported = lazy_loader.attach_stub(package, file)

    def get(name: str) -> Any:
        with advice():
            return attribute(name)

    return get, names, exported
