"""What a camera of a twin sees, as motion JPEG on a local port: a network camera, for whoever opens such."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from embodied.errors import DriverError
from embodied.extras import advice
from embodied.physics.batch import Batch
from embodied.physics.render import CameraRenderer

BOUNDARY = "frame"
QUALITY, FIRST_S = 90, 20.0


class TwinCamera:
    """Draws a camera of a twin in a thread of its own, and serves its pictures.

    Args:
        batch: the twin's world; camera: by its name in it.
        port: of this machine; 0 for any that is free.
        hz: pictures per second; height, width: of them [pixels].

    Attributes:
        url: where `cv2.VideoCapture` finds them.

    Raises:
        DriverError: the port is taken.
    """

    def __init__(
        self, batch: Batch, camera: str, port: int = 0, hz: float = 30.0, height: int = 128, width: int = 128
    ) -> None:
        with advice():
            import cv2
        self._cv2, self._batch, self._camera = cv2, batch, batch.model.camera(camera).id
        self._period_s, self._size = 1 / hz, (height, width)
        self._came = threading.Condition()
        self._number, self._jpeg = 0, b""
        self.closed = threading.Event()
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        except (OSError, OverflowError) as error:
            raise DriverError(f"a camera cannot be shown on port {port}: {error}") from error
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/{camera.rpartition('/')[2]}.mjpg"
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._draw, self._server.serve_forever)
        ]
        for thread in self._threads:
            thread.start()
        with self._came:  # to open a renderer holds up everything else for a while
            self._came.wait_for(lambda: self._number > 0 or not self._threads[0].is_alive(), FIRST_S)

    def _draw(self) -> None:
        renderer = CameraRenderer(self._batch, *self._size, depth=False)
        due = time.monotonic()
        while not self.closed.wait(max(due - time.monotonic(), 0.0)):
            due = max(due + self._period_s, time.monotonic())
            picture = np.ascontiguousarray(renderer.draw(0, self._camera)[..., ::-1])
            _, jpeg = self._cv2.imencode(".jpg", picture, [self._cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            with self._came:
                self._number, self._jpeg = self._number + 1, jpeg.tobytes()
                self._came.notify_all()
        renderer.close()

    def after(self, number: int) -> tuple[int, bytes]:
        """Waits for a picture later than that one; returns its number and its JPEG, nothing where the camera closed."""
        with self._came:
            self._came.wait_for(lambda: self._number > number or self.closed.is_set())
            return self._number, b"" if self.closed.is_set() else self._jpeg

    def close(self) -> None:
        """Shows nothing any more."""
        self.closed.set()
        with self._came:
            self._came.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._threads[0].join(2.0)


def _handler(camera: TwinCamera) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
            self.end_headers()
            number = 0
            try:
                while True:
                    number, jpeg = camera.after(number)
                    if not jpeg:
                        return
                    head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    self.wfile.write(head.encode() + jpeg + b"\r\n")
            except OSError:
                return  # who looked has gone

        def log_message(self, *_: Any) -> None:
            return None

    return Handler
