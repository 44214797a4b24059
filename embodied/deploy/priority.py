"""Running before others: what a loop that must keep its time asks of the operating system."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

FIRM = 20  # of 1 to 99: before everything that is not in real time


@contextmanager
def real_time_priority() -> Iterator[bool]:
    """Lets the calling thread run whenever it can (SCHED_FIFO), where the system allows it; yields whether it does.

    Linux allows it to root, and to those whom `/etc/security/limits.conf` gives `rtprio`.
    """
    try:
        before = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(FIRM))
    except (AttributeError, OSError):  # another system; or it does not allow it
        yield False
        return
    try:
        yield True
    finally:
        os.sched_setscheduler(0, *before)


@contextmanager
def without_long_pauses() -> Iterator[None]:
    """Keeps the garbage collector from going through all that is there already, which takes longer than a decision,
    and longer than a driver waits for an answer."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
