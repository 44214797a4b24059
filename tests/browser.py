"""A headless Chromium, driven through a pair of pipes with nothing but the standard library."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    *("--headless=new", "--no-sandbox", "--remote-debugging-pipe", "--no-first-run", "--window-size=1400,800"),
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"),
)


class Page:
    """One page of a browser of its own; commands are those of the Chrome DevTools protocol."""

    def __init__(self, url: str, profile: Path) -> None:
        told, self._out = os.pipe()
        self._in, answered = os.pipe()
        # Chromium reads commands from descriptor 3 and answers on 4.
        command = f'exec "$0" "$@" 3<&{told} 4>&{answered}'
        self._process = subprocess.Popen(
            ["bash", "-c", command, str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(told, answered),
            stderr=subprocess.DEVNULL,
        )
        os.close(told)
        os.close(answered)
        self._asked, self._heard = 0, b""
        target = self._call("Target.createTarget", url=url)["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def picture(self) -> np.ndarray:
        """`(height, width, 3)`, as a person would see it now."""
        png = base64.b64decode(self._call("Page.captureScreenshot", session=self._session)["data"])
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def _call(self, method: str, session: str | None = None, **parameters) -> dict:
        self._asked += 1
        message = {"id": self._asked, "method": method, "params": parameters} | (
            {"sessionId": session} if session else {}
        )
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = json.loads(self._next())
            if answer.get("id") == self._asked:
                assert "result" in answer, answer
                return answer["result"]

    def _next(self) -> bytes:
        while b"\0" not in self._heard:
            heard = os.read(self._in, 1 << 20)
            assert heard, "the browser has gone"
            self._heard += heard
        line, _, self._heard = self._heard.partition(b"\0")
        return line
