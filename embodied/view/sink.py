"""Where a recording goes: a window, a browser page, a viewer elsewhere, or a file."""

from __future__ import annotations

import os
import socket
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import rerun as rr
import rerun.blueprint as rrb

from embodied.errors import MissingExtraError, OptionError

SERVER_MEMORY, VIEWER_MEMORY = "256MB", "1GB"  # the oldest is dropped when more would be held
SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")
REMOTE = "rerun+http"
GRPC_PORT, PAGE_PORT = 9876, 9090  # if nobody else has them
PATIENCE_S = 10.0  # at the end, for a viewer that does not answer


def check_destination(where: str) -> None:
    """Raises OptionError unless `open_recording` understands `where`."""
    if where not in ("live", "web") and Path(where).suffix != ".rrd" and not where.startswith(REMOTE):
        raise OptionError(
            f"the view is to go to {where!r}; known: live, web, or a file that ends in .rrd; or the address of a "
            f"viewer elsewhere, {REMOTE}://host:port/proxy"
        )
    if where == "live" and sys.platform == "linux" and not any(os.environ.get(name) for name in SCREENS):
        raise OptionError("a window needs a screen, and there is none here; known beside live: web, or a file.rrd")


def open_recording(
    where: str, blueprint: rrb.Blueprint, unhurried: bool = False
) -> tuple[rr.RecordingStream, str | None]:
    """Opens "live" (a window), "web" (a browser page), an `.rrd` file or a viewer at an address (`rerun+http://…`).

    Returns the recording, and for "web" the page's address. What is logged to an unhurried one is sent in larger
    pieces, a fifth of a second late, which costs much less.

    Raises:
        OptionError: `where` is none of these.
    """
    check_destination(where)
    pieces = rr.ChunkBatcherConfig.DEFAULT() if unhurried else None
    recording = rr.RecordingStream("embodied", recording_id=None, batcher_config=pieces)
    if where == "live":
        program = str(rerun_binary())
        rr.spawn(executable_path=program, memory_limit=VIEWER_MEMORY, default_blueprint=blueprint, recording=recording)
    elif where == "web":
        port, page = free_port(GRPC_PORT), free_port(PAGE_PORT)
        address = recording.serve_grpc(grpc_port=port, default_blueprint=blueprint, server_memory_limit=SERVER_MEMORY)
        rr.serve_web_viewer(web_port=page, open_browser=False, connect_to=address)
        return recording, f"http://localhost:{page}/?url={address}"
    elif where.startswith(REMOTE):
        recording.connect_grpc(where, default_blueprint=blueprint)
    else:
        Path(where).parent.mkdir(parents=True, exist_ok=True)
        recording.save(where, default_blueprint=blueprint)
    return recording, None


def rerun_binary() -> Path:
    """Rerun itself, wherever `PATH` leads; the command of that name is a script that leaves it behind when killed.

    Raises:
        MissingExtraError: it did not come with the library.
    """
    spec = find_spec("rerun_cli")
    if spec is None or spec.origin is None:
        raise MissingExtraError("rerun", "view")
    return Path(spec.origin).with_name("rerun")


def free_port(preferred: int = 0) -> int:
    """The preferred port of this machine, or another where that is taken."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise OptionError("this machine has no free port")


def close_recording(recording: rr.RecordingStream) -> None:
    """Writes out what is still buffered; a viewer that has gone is only reported."""
    try:
        recording.flush(timeout_sec=PATIENCE_S)
    except (RuntimeError, ValueError) as error:
        warnings.warn(f"the viewer did not take everything: {error}", stacklevel=2)
    recording.disconnect()
