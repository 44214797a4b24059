"""Any MJCF or URDF in Rerun, moving."""

from __future__ import annotations

import time

import mujoco
import numpy as np
from rich.console import Console

from embodied.errors import OptionError
from embodied.physics.loading import packages_of, read_model
from embodied.view.model_stream import ModelStream
from embodied_scripts.cli.view import View


def view(asked: View) -> None:
    """Simulates and logs; live and web keep real time, and web goes on serving until Ctrl-C."""
    if asked.seconds < 0 or not 0 < asked.hz <= 1000:
        raise OptionError("seconds must not be negative, and hz must be in 0–1000")
    model = read_model(asked.model, packages_of(asked.package))
    if asked.control == "random" and not model.nu:
        raise OptionError(f"{asked.model} has no actuators to give commands to; leave out --control random")
    console = Console(soft_wrap=True)
    stream = ModelStream(asked.rerun, model, asked.model.stem, asked.groups or None)
    if stream.left_out:
        console.print(f"Not shown as in MuJoCo: {'; '.join(stream.left_out)}.")
    if stream.url:
        console.print(f"Open {stream.url}")
    _simulate(model, stream, asked)
    if asked.rerun == "web":
        console.print("Still serving; Ctrl-C ends it.")
        wait()
    stream.close()
    if asked.rerun.endswith(".rrd"):
        console.print(f"Wrote {asked.rerun}. Open it with: rerun {asked.rerun}")


def wait() -> None:
    """Until Ctrl-C."""
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        return


def _simulate(model: mujoco.MjModel, stream: ModelStream, asked: View) -> None:
    """Steps the model with commands that change twice a second, and stops where it diverges."""
    bad = mujoco.mjtWarning
    diverged = (bad.mjWARN_BADQPOS, bad.mjWARN_BADQVEL, bad.mjWARN_BADQACC)
    data = mujoco.MjData(model)
    if model.nkey:
        mujoco.mj_resetDataKeyframe(model, data, min(max(asked.keyframe, 0), model.nkey - 1))
    mujoco.mj_forward(model, data)
    rng = np.random.default_rng(asked.seed)
    limited = model.actuator_ctrllimited.astype(bool)[:, None]
    low, high = np.where(limited, model.actuator_ctrlrange, [-1.0, 1.0]).T
    begun, target = time.monotonic(), data.ctrl.copy()
    frames = int(asked.seconds * asked.hz) + 1
    for frame in range(frames):
        stream.step(data)
        if not asked.rerun.endswith(".rrd"):
            time.sleep(max(0.0, begun + data.time - time.monotonic()))
        if asked.control == "random":
            if frame % max(int(asked.hz / 2), 1) == 0:
                target = rng.uniform(low, high)
            data.ctrl += (target - data.ctrl) * min(4 / asked.hz, 1.0)
        while data.time < (frame + 1) / asked.hz and frame + 1 < frames:
            reached = data.time
            mujoco.mj_step(model, data)
            if any(data.warning[kind].number for kind in diverged):  # MuJoCo then begins anew by itself
                stream.event(f"diverged at {reached:.2f} s")
                return
