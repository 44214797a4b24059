"""Ports that one program at a time may use."""

from __future__ import annotations

import fcntl
import os
import time

from embodied.errors import DriverError

PAUSE_S = 0.05


class PortLock:
    """Keeps other programs of this toolkit from a port; the system lets go of it when the process ends, however.

    Args:
        port: such as /dev/ttyACM0; patience_s: how long to wait for whoever has it [s].

    Raises:
        DriverError: there is no such port, or somebody else uses it.
    """

    def __init__(self, port: str, patience_s: float = 0.0) -> None:
        try:
            self._file = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError as error:
            raise DriverError(f"no robot at {port}: {error.strerror}") from error
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
