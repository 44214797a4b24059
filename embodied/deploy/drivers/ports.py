"""Ports that one program at a time may use."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from pathlib import Path

from embodied.errors import DriverError


class PortLock:
    """Keeps other programs of this toolkit from a port; the system lets go of it when the process ends, however.

    A file beside is locked, not the port: some libraries lock that for themselves.

    Raises:
        DriverError: somebody else uses it.
    """

    def __init__(self, port: str) -> None:
        name = hashlib.sha256(os.path.realpath(port).encode()).hexdigest()[:16]
        path = Path(tempfile.gettempdir()) / f"embodied-port-{name}.lock"
        self._file = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise DriverError(f"another program uses {port}: end it first") from None

    def release(self) -> None:
        """Lets others use it."""
        os.close(self._file)
