"""A twin in real time behind a pseudo-terminal: whoever opens it talks to six servos on a line."""

from __future__ import annotations

import errno
import heapq
import os
import select
import time
import tty
from collections.abc import Callable
from pathlib import Path

import numpy as np

from embodied.deploy.log import Rows
from embodied.deploy.twin.body import TICK_S
from embodied.deploy.twin.bus import Bus
from embodied.deploy.twin.firmware import Firmware
from embodied.errors import DriverError
from embodied.sysid.recording import Recording

SAMPLE_S = 0.02  # between two rows of what the twin remembers of itself
BEHIND_S = 0.25  # by which the physics may fall behind before the twin gives time up


class TwinServer:
    """Moves a firmware's body in real time and answers on a pseudo-terminal.

    Args:
        bus: of the servos.
        link: where the terminal is to be found; replaced if it is a link already.

    Attributes:
        port: the path to open.
        watch: is called with every row of the twin's own recording, every 20 ms; None for nobody.
        late_s: the longest by which the physics was behind the clock.

    Raises:
        DriverError: `link` is a file that is not a link, or its folder cannot be written to.
    """

    def __init__(self, bus: Bus, link: Path | str | None = None) -> None:
        self.bus = bus
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.port = os.ttyname(self._slave)
        self._link = None if link is None else Path(link)
        if self._link is not None:
            self._publish(self._link)
        self._replies: list[tuple[float, int, bytes]] = []
        self._order, self._switched_on = 0, time.monotonic()
        self._rows = Rows(units={"angle": "rad", "speed": "rad/s", "current": "A", "volts": "V"})
        self._sampled = -1.0
        self.plugged = True
        self.watch: Callable[[], None] | None = None
        self.late_s = 0.0
        self.closed = False

    def _publish(self, link: Path) -> None:
        try:
            if link.is_symlink():
                link.unlink()
            link.symlink_to(self.port)
        except OSError as error:
            raise DriverError(f"no port can be made at {link}: {error.strerror}") from error
        self.port = str(link)

    @property
    def firmware(self) -> Firmware:
        return self.bus.firmware

    def run(self, seconds: float = np.inf, control: int | None = None) -> None:
        """Serves for so long; or until `control`, a file descriptor, has something to be read.

        Physics follow the clock from the moment that this is called.
        """
        began = time.monotonic()
        self._switched_on = began - self.firmware.time_s
        while not self.closed and time.monotonic() - began < seconds:
            self._catch_up()
            self._send(time.monotonic())
            if self._wait(control):
                return

    def _catch_up(self) -> None:
        """Moves the physics on to this moment."""
        firmware = self.firmware
        until_s = time.monotonic() - self._switched_on
        behind = until_s - firmware.time_s
        if behind > BEHIND_S:
            self.late_s = max(self.late_s, behind)
            self._switched_on += behind - BEHIND_S  # time that is given up
            until_s -= behind - BEHIND_S
        while firmware.time_s + TICK_S <= until_s:
            self.bus.tick()
            if self.bus.unplugged and self.plugged:
                self.unplug()
            if firmware.time_s >= self._sampled + SAMPLE_S:
                self._sample(firmware.time_s)
                if self.watch is not None:
                    self.watch()

    def unplug(self) -> None:
        """Pulls the cable: the port is gone, the servos go on with what they were told last."""
        self.plugged = False
        os.close(self._slave)
        os.close(self._master)
        if self._link is not None:
            self._link.unlink(missing_ok=True)

    def _wait(self, control: int | None) -> bool:
        """Waits for bytes, the next answer or the next tick; returns whether there is something on `control`."""
        due = self._replies[0][0] - time.monotonic() if self._replies else TICK_S
        watched = [*([self._master] if self.plugged else []), *([control] if control is not None else [])]
        ready, _, _ = select.select(watched, [], [], min(max(due, 0.0), TICK_S))
        if self.plugged and self._master in ready:
            self._receive()
        return control is not None and control in ready

    def _receive(self) -> None:
        try:
            data = os.read(self._master, 4096)
        except OSError as error:
            if error.errno not in (errno.EIO, errno.EAGAIN):
                raise
            return
        self._catch_up()
        now = time.monotonic()
        for after, packet in self.bus.receive(data):
            self._order += 1
            heapq.heappush(self._replies, (now + after, self._order, packet))

    def _send(self, now: float) -> None:
        while self._replies and self._replies[0][0] <= now:
            packet = heapq.heappop(self._replies)[2]
            if self.plugged:
                try:
                    os.write(self._master, packet)
                except BlockingIOError:
                    return  # nobody reads

    def _sample(self, now: float) -> None:
        self._sampled = now
        firmware = self.firmware
        body = firmware.body
        self._rows.add(
            now,
            [memory["goal_position"] for memory in firmware.memories],
            angle=body.true_angles,
            speed=body.speeds,
            load=firmware.load,
            current=body.current,
            temperature=body.temperature,
            volts=body.volts,
            torque_enable=[memory["torque_enable"] for memory in firmware.memories],
            flags=firmware.flags,
        )

    def recording(self) -> Recording:
        """What the twin remembers of itself: the truth, every 20 ms."""
        return self._rows.recording()

    def close(self) -> None:
        """Takes the port away."""
        self.closed = True
        if self.plugged:
            self.unplug()
