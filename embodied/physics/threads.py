"""How many threads step the worlds."""

from __future__ import annotations

import os


def default_threads(worlds: int | None = None) -> int:
    """Returns the number of usable cores, and never more threads than worlds."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return usable if worlds is None else max(1, min(usable, worlds))
