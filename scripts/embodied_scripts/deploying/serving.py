"""Runs a twin for the command line."""

from __future__ import annotations

import math
import signal
import sys

from embodied.deploy.priority import without_long_pauses
from embodied.deploy.twin.bus import Faults
from embodied_scripts.cli.twin import Twin
from embodied_scripts.deploying.twins import RunningTwin, TwinOptions


def serve(options: Twin) -> None:
    """Serves until Ctrl-C, or the end of the orders."""
    faults = Faults(
        corrupted=options.corrupted,
        lost=options.lost,
        dies_s=dict([options.dies] if options.dies else []),
        unplugged_s=math.inf if options.unplug is None else options.unplug,
        sag=options.sag,
    )
    twin = RunningTwin(
        TwinOptions(
            options.robot,
            options.task,
            options.mystery,
            None if options.latency is None else 1e-3 * options.latency,
            None if options.jitter is None else 1e-3 * options.jitter,
            camera_port=options.camera_port,
            faults=faults,
            seed=options.seed,
        ),
        options.port,
    )
    sees = "" if twin.camera is None else f", its wrist's camera at {twin.camera.url}"
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with without_long_pauses():  # before others are told where it is: preparing takes longer than they wait
        print(f"{options.robot} is at {twin.server.port}{sees}; Ctrl-C ends it", flush=True)
        twin.serve(options.log, sys.stdin if options.orders else None)
