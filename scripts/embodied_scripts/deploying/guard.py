"""A second process that makes a robot safe when the one that runs it dies, whatever killed it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from embodied.deploy.supervision import Supervision, make_safe
from embodied.errors import DriverError
from embodied_scripts.cli.port import OnPort
from embodied_scripts.deploying.robots import robot_on

READY, DISMISSED = "ready", "dismissed"
PATIENCE_S, PAUSE_S = 5.0, 0.05  # to reach a robot whose loop has died


class Guard:
    """While it is open, a process waits for this one to die, and then brings the robot into its safe state.

    A robot that is to hold where it is needs none: its servos keep what they were told last.
    """

    def __init__(self, asked: OnPort, limits: Supervision) -> None:
        self._process: subprocess.Popen[str] | None = None
        if limits.safe == "hold":
            return
        calibration = None if asked.calibration is None else str(asked.calibration)
        arm = {"port": asked.port, "robot": asked.robot, "library": asked.library, "calibration": calibration}
        told = json.dumps({"arm": arm, "limits": asdict(limits)})
        command = [sys.executable, "-m", "embodied_scripts.deploying.guard", told]
        pipe = subprocess.PIPE  # in a session of its own: Ctrl-C is for the loop, which ends by itself
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True)
        assert self._process.stdout is not None
        try:
            ready = self._process.stdout.readline().strip() == READY
        except BaseException:
            self._process.kill()  # it must not act for somebody who has given up
            raise
        if not ready:
            raise DriverError("the guard of the robot could not be started")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Sends it away: the loop has made the robot safe."""
        if self._process is None or self._process.stdin is None:
            return
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{DISMISSED}\n")
            self._process.stdin.close()
        self._process.wait()


def watch(told: str) -> None:
    """Waits to be dismissed; where whoever could do so is gone, makes the robot safe."""
    order = json.loads(told)
    arm, limits = order["arm"], order["limits"]
    calibration = None if arm["calibration"] is None else Path(arm["calibration"])
    robot = robot_on(OnPort(**(arm | {"calibration": calibration})))
    print(READY, flush=True)
    if sys.stdin.readline().strip() == DISMISSED:
        return
    _reached(robot)
    limits |= {name: tuple(limits[name]) for name in ("park", "volts")}
    make_safe(robot, Supervision(**limits))
    robot.close()


def _reached(robot: Any) -> None:
    """Connects to a robot, again and again, as long as it makes sense."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return robot.connect()
        except DriverError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(PAUSE_S)


if __name__ == "__main__":
    watch(sys.argv[1])
