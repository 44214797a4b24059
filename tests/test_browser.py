"""What a person sees in the web viewer."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import gymnasium
import numpy as np
import pytest

pytest.importorskip("rerun")
pytest.importorskip("PIL")

from browser import CHROMIUM, Page

HOPPER = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / "hopper.xml"
PATIENCE_S = 180


def skin(picture: np.ndarray) -> int:
    """Pixels in the colour of Gymnasium's robots, lit from anywhere: red over green over blue."""
    red, green, blue = (picture[..., i].astype(int) for i in range(3))
    return int(np.sum((red > green + 25) & (green > blue + 25) & (red > 90)))


def lines(picture: np.ndarray) -> int:
    """Pixels of strong colour, as traces have and paper has not."""
    return int(np.sum(np.ptp(picture.astype(int), axis=-1) > 60))


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_web_viewer_shows_a_robot_and_its_traces(tmp_path):
    command = [sys.executable, "-m", "embodied_scripts.main", "view", str(HOPPER), "--rerun", "web", "--seconds", "2"]
    server = subprocess.Popen(
        [*command, "--control", "random"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        url = next(line for line in server.stdout if line.startswith("Open ")).split()[1]
        page = Page(url, tmp_path)
        try:
            begun = time.monotonic()
            robot = traces = 0
            while time.monotonic() - begun < PATIENCE_S and not (robot > 600 and traces > 300):
                time.sleep(3)
                picture = page.picture()
                height, width, _ = picture.shape
                robot = skin(picture[50 : height - 40, : width // 2])
                traces = lines(picture[50 : height - 40, width * 3 // 5 :])
            assert robot > 600, "the robot is not there"
            assert traces > 300, "the traces are not there"
        finally:
            page.close()
    finally:
        os.killpg(server.pid, signal.SIGKILL)
