"""What a person sees in the web viewer."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import gymnasium
import numpy as np
import pytest

pytest.importorskip("rerun")
pytest.importorskip("PIL")

from browser import CHROMIUM, Page

HOPPER = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / "hopper.xml"
PATIENCE_S = 180
BELOW_TITLE = slice(50, -40)  # rows of the page
LEFT, RIGHT = (0.0, 0.5), (0.6, 1.0)  # shares of its width


def skin(picture: np.ndarray) -> int:
    """Pixels in the color of Gymnasium's robots, lit from anywhere: red over green over blue."""
    red, green, blue = (picture[..., i].astype(int) for i in range(3))
    return int(np.sum((red > green + 25) & (green > blue + 25) & (red > 90)))


def lines(picture: np.ndarray) -> int:
    """Pixels of strong color, as traces have and paper has not."""
    return int(np.sum(np.ptp(picture.astype(int), axis=-1) > 60))


def red(picture: np.ndarray) -> int:
    """Pixels as red as a pad."""
    r, g, b = (picture[..., i].astype(int) for i in range(3))
    return int(np.sum((r > 130) & (r > g + 90) & (r > b + 90)))


def blue(picture: np.ndarray) -> int:
    """Pixels as blue as a pad."""
    r, g, b = (picture[..., i].astype(int) for i in range(3))
    return int(np.sum((b > 130) & (b > r + 90) & (b > g + 50)))


def pale_or_grey(picture: np.ndarray) -> int:
    """Pixels that are neither paper nor text, as those of a camera's picture of walls."""
    mean, spread = picture.mean(axis=-1), np.ptp(picture.astype(int), axis=-1)
    return int(np.sum((mean > 60) & (mean < 225) & (spread < 60)))


@contextmanager
def page_of(profile: Path, *arguments: object) -> Iterator[Page]:
    """The web viewer of a command, opened in a browser."""
    command = [sys.executable, "-m", "embodied_scripts.cli.main", *map(str, arguments), "--rerun", "web"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        url = next(line for line in server.stdout if line.startswith("Open ")).split()[1]
        page = Page(url, profile)
        try:
            yield page
        finally:
            page.close()
    finally:
        os.killpg(server.pid, signal.SIGKILL)


def await_sight(
    page: Page, wanted: dict[str, tuple[Callable[[np.ndarray], int], slice, tuple[float, float], int]]
) -> None:
    """Looks until each part of the page shows enough of what it should."""
    begun, found = time.monotonic(), dict.fromkeys(wanted, 0)
    while time.monotonic() - begun < PATIENCE_S:
        time.sleep(3)
        picture = page.picture()
        width = picture.shape[1]
        found = {
            name: count(picture[rows, int(width * begin) : int(width * end)])
            for name, (count, rows, (begin, end), _) in wanted.items()
        }
        if all(found[name] > least for name, (*_, least) in wanted.items()):
            return
    raise AssertionError(f"this much of it is there: {found}")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_web_viewer_shows_a_robot_and_its_traces(tmp_path):
    with page_of(tmp_path, "view", HOPPER, "--seconds", "2", "--control", "random") as page:
        await_sight(page, {"robot": (skin, BELOW_TITLE, LEFT, 600), "traces": (lines, BELOW_TITLE, RIGHT, 300)})


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_web_viewer_shows_a_task_its_camera_and_what_is_believed(tmp_path):
    with page_of(tmp_path, "play", "Signpost-v0", "--player", "heuristic", "--episodes", "40") as page:
        top, rest = slice(60, 160), slice(170, -40)
        wanted = {
            "red pad": (red, BELOW_TITLE, LEFT, 600),
            "blue pad": (blue, BELOW_TITLE, LEFT, 600),
            "line camera": (pale_or_grey, top, RIGHT, 2_000),
            "traces": (lines, rest, RIGHT, 300),
        }
        await_sight(page, wanted)
