"""Cameras that OpenCV can open, and robots that have some."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodied.deploy.driver import Driver, Reading
from embodied.errors import DriverError
from embodied.extras import advice
from embodied.layout import SHARE_OF_WHITE, Channel, Layout

FIRST_S = 10.0  # to wait for the first frame
PAUSE_S = 0.01  # after a frame that could not be read
Picture = NDArray[np.uint8]


class VideoCamera:
    """The newest picture of a camera, which a thread of its own reads as they come.

    Args:
        source: number of a device, path of a device or a film, or address of a stream, as OpenCV takes them.
        height, width: of the pictures that are handed out: the middle of the camera's, where they are of another shape.
        latency_s: from exposure to arrival, which nobody here can see [s].
    """

    def __init__(self, source: int | str, height: int = 64, width: int = 64, latency_s: float = 0.0) -> None:
        self.source, self.height, self.width, self._latency_s = source, height, width, latency_s
        self._newest: tuple[Picture, float] | None = None
        self._came = threading.Condition()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Opens it, and waits for the first picture.

        Raises:
            MissingExtraError: OpenCV is not installed; DriverError: there is no such camera, or nothing comes.
        """
        with advice():
            import cv2
        capture = cv2.VideoCapture(self.source)
        if not capture.isOpened():
            raise DriverError(f"no camera {self.source!r} can be opened")
        self._newest = None
        self._ended.clear()
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # old pictures are of no use
        self._thread = threading.Thread(target=self._watch, args=(cv2, capture), name="camera", daemon=True)
        self._thread.start()
        with self._came:
            if not self._came.wait_for(lambda: self._newest is not None, FIRST_S):
                self._ended.set()
                raise DriverError(f"no picture has come from camera {self.source!r} for {FIRST_S:g} s")

    def _watch(self, cv2: Any, capture: Any) -> None:
        while not self._ended.is_set():
            good, frame = capture.read()
            if not good:
                time.sleep(PAUSE_S)
                continue
            at = time.monotonic() - self._latency_s
            picture = cv2.cvtColor(self._fitted(cv2, frame), cv2.COLOR_BGR2RGB)
            with self._came:
                self._newest = picture, at
                self._came.notify_all()
        capture.release()

    def _fitted(self, cv2: Any, frame: Picture) -> Picture:
        """The middle of a picture, in the wanted size."""
        height, width = frame.shape[:2]
        scale = min(height / self.height, width / self.width)
        tall, wide = round(self.height * scale), round(self.width * scale)
        top, left = (height - tall) // 2, (width - wide) // 2
        middle = frame[top : top + tall, left : left + wide]
        return cv2.resize(middle, (self.width, self.height), interpolation=cv2.INTER_AREA)

    def newest(self) -> tuple[Picture, float]:
        """The newest picture, `(height, width, 3)` RGB, and when it was exposed, by the monotonic clock [s].

        Raises:
            DriverError: before `open`.
        """
        if self._newest is None:
            raise DriverError(f"camera {self.source!r} is not open")
        return self._newest

    def close(self) -> None:
        """Lets go of it."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(1.0)


class SeeingRobot:
    """A robot with cameras: the channels of both, `<camera>/rgb` as shares of white.

    Args:
        robot: that moves; cameras: by name.
    """

    def __init__(self, robot: Driver, cameras: Mapping[str, VideoCamera]) -> None:
        self._robot, self._cameras = robot, dict(cameras)
        self.joints, self.limits = robot.joints, robot.limits
        pictures = [
            Channel(f"{name}/rgb", c.height * c.width * 3, 0.0, 1.0, SHARE_OF_WHITE, (c.height, c.width, 3))
            for name, c in self._cameras.items()
        ]
        self.layout = Layout((*robot.layout.channels, *pictures))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_robot"], name)  # what only this robot can, such as to read one joint

    def connect(self) -> None:
        self._robot.connect()
        try:
            for camera in self._cameras.values():
                camera.open()
        except BaseException:
            self.close()
            raise

    def read(self) -> Reading:
        reading = self._robot.read()
        seen = {name: camera.newest() for name, camera in self._cameras.items()}
        pictures = {f"{name}/rgb": picture.reshape(-1).astype(np.float64) / 255 for name, (picture, _) in seen.items()}
        captured = {name: at for name, (_, at) in seen.items()}
        return Reading(reading.time_s, {**reading.values, **pictures}, reading.faults, reading.took_s, captured)

    def write(self, targets: NDArray) -> None:
        self._robot.write(targets)

    def engage(self) -> None:
        self._robot.engage()

    def hold(self) -> None:
        self._robot.hold()

    def relax(self) -> None:
        self._robot.relax()

    def close(self) -> None:
        for camera in self._cameras.values():
            camera.close()
        self._robot.close()
