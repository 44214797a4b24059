"""The one place that loads subcommands lazily, and names what to install where an extra is missing."""

from __future__ import annotations

import importlib
from typing import Any

from embodied.extras import advice


def load(path: str) -> Any:
    """Returns what `module:name` means, a module below `embodied_scripts`.

    Raises:
        MissingExtraError: it needs a library that is not installed.
    """
    module, _, name = path.partition(":")
    with advice():
        return getattr(importlib.import_module(f"embodied_scripts.{module}"), name)
