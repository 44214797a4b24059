"""Keys as they are pressed: as an emergency stop, and to lead a robot."""

from __future__ import annotations

import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable
from typing import Any, Self


class Keys:
    """While it is open, tells of every key; where there is no terminal, of none.

    Attributes:
        listens: whether there is a terminal to listen to.
    """

    def __init__(self, pressed: Callable[[str], None]) -> None:
        self._pressed = pressed
        self._ended = threading.Event()
        self.listens = sys.stdin.isatty()
        self._before: list[Any] = []
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self.listens:
            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
            self._thread = threading.Thread(target=self._listen, daemon=True)
            self._thread.start()
        return self

    def _listen(self) -> None:
        while not self._ended.is_set():
            if select.select([sys.stdin], [], [], 0.05)[0]:
                for key in os.read(sys.stdin.fileno(), 64).decode(errors="ignore"):
                    self._pressed(key)

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if self.listens:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)


class KeyStop(Keys):
    """While it is open, any key stops what is going on."""

    def __init__(self, stop: Callable[[str], None]) -> None:
        super().__init__(lambda _: stop("a key was pressed"))
