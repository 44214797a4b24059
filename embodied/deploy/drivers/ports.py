"""Ports that one program at a time may use."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import time
from pathlib import Path

from embodied.errors import DriverError

PAUSE_S = 0.05


class PortLock:
    """Keeps other programs of this toolkit from a port; the system lets go of it when the process ends, however.

    A file beside is locked, not the port: some libraries lock that for themselves.

    Args:
        port: such as /dev/ttyACM0; patience_s: how long to wait for whoever has it [s].

    Raises:
        DriverError: somebody else uses it.
    """

    def __init__(self, port: str, patience_s: float = 0.0) -> None:
        name = hashlib.sha256(os.path.realpath(port).encode()).hexdigest()[:16]
        path = Path(tempfile.gettempdir()) / f"embodied-port-{name}.lock"
        self._file = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
        deadline = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError:
                if time.monotonic() >= deadline:
                    os.close(self._file)
                    raise DriverError(f"another program uses {port}: end it first") from None
                time.sleep(PAUSE_S)

    def release(self) -> None:
        """Lets others use it."""
        os.close(self._file)
