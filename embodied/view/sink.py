"""Where a recording goes: a window, a browser page, or a file."""

from __future__ import annotations

from pathlib import Path

import rerun as rr
import rerun.blueprint as rrb

from embodied.errors import OptionError

SERVER_MEMORY = "512MB"


def open_recording(where: str, blueprint: rrb.Blueprint) -> tuple[rr.RecordingStream, str | None]:
    """Opens "live" (a window), "web" (a browser page) or an `.rrd` file; returns the recording and the page's address.

    Raises:
        OptionError: `where` is none of these.
    """
    if where not in ("live", "web") and Path(where).suffix != ".rrd":
        raise OptionError(f"--rerun is {where!r}; known: live, web, or a file that ends in .rrd")
    recording = rr.RecordingStream("embodied", recording_id=None)
    if where == "live":
        recording.spawn(default_blueprint=blueprint)
        return recording, None
    if where == "web":
        address = recording.serve_grpc(default_blueprint=blueprint, server_memory_limit=SERVER_MEMORY)
        rr.serve_web_viewer(open_browser=False, connect_to=address)
        return recording, f"http://localhost:9090/?url={address}"
    Path(where).parent.mkdir(parents=True, exist_ok=True)
    recording.save(where, default_blueprint=blueprint)
    return recording, None
