"""A robot's sensors and actuators, as tables and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from rich.console import Console
from rich.table import Table

from embodied.errors import OptionError, UnknownNameError
from embodied.physics.loading import read_model
from embodied.robot.robot import Robot
from embodied.robot.timing import Timing
from embodied.vector.vec import make_vec
from embodied.view.inspection import draw_inspection
from embodied_envs.scout import scout
from embodied_scripts.cli.inspect import Inspect
from embodied_scripts.cli.options import import_module

CONTROL_HZ = 10.0
ROBOTS = {"scout": scout}


def inspect(asked: Inspect) -> None:
    """Prints the tables and writes the picture."""
    console = Console()
    if Path(asked.robot).suffix in (".xml", ".urdf"):
        console.print(_model_table(read_model(Path(asked.robot))))
        return
    robot = robot_of(asked.robot)
    console.print(_sensor_table(robot))
    console.print(_actuator_table(robot))
    if asked.picture is not None:
        if asked.robot not in ROBOTS:
            raise OptionError(f"--picture is for {', '.join(ROBOTS)}, which a task is known for")
        _draw(robot, asked.picture)
        console.print(f"Wrote {asked.picture}", markup=False)


def robot_of(name: str) -> Robot:
    """A robot of this project by its name, or somebody's as `module:name`.

    Raises:
        OptionError: the module cannot be imported, or what it has there is no robot.
        UnknownNameError: there is no such robot.
    """
    if name in ROBOTS:
        return ROBOTS[name](CONTROL_HZ)
    module, colon, attribute = name.rpartition(":")
    if not colon:
        raise UnknownNameError("robot", name, ROBOTS)
    names = vars(import_module(module))
    if attribute not in names:
        raise UnknownNameError(f"object of {module}", attribute, [one for one in names if not one.startswith("_")])
    found = names[attribute]
    robot = found() if callable(found) else found
    if not isinstance(robot, Robot):
        raise OptionError(f"{name} is not a Robot, nor a function without arguments that returns one")
    return robot


def _model_table(model: mujoco.MjModel) -> Table:
    """What stands in a model: joints, actuators, sensors, cameras."""
    kinds = {"joint": model.njnt, "actuator": model.nu, "sensor": model.nsensor, "camera": model.ncam}
    table = Table(title=f"{model.nbody - 1} bodies, {model.nv} degrees of freedom", title_justify="left")
    for column in ("kind", "name", "range"):
        table.add_column(column)
    for kind, count in kinds.items():
        for i in range(count):
            table.add_row(kind, getattr(model, kind)(i).name or f"number {i}", _range_of(model, kind, i))
    return table


def _range_of(model: mujoco.MjModel, kind: str, i: int) -> str:
    limited = {"joint": "jnt_limited", "actuator": "actuator_ctrllimited"}.get(kind)
    if limited is None:
        return "–"
    low, high = (model.jnt_range if kind == "joint" else model.actuator_ctrlrange)[i]
    return f"{low:.4g} … {high:.4g}" if getattr(model, limited)[i] else "unlimited"


def _sensor_table(robot: Robot) -> Table:
    table = Table(title=f"{robot.name}: sensors", title_justify="left")
    for column in ("sensor", "size", "unit", "rate", "latency", "lost", "noise", "bias", "drift", "scale", "limit"):
        table.add_column(column, justify="left" if column == "sensor" else "right")
    for fan in (*robot.line_cameras, *robot.range_finders):
        noise = f"{100 * fan.range_noise:g} %" + (f" + {1e3 * fan.range_floor:g} mm" if fan.range_floor else "")
        table.add_row(fan.name, str(fan.pixels), "m", *_timing(fan.timing), noise, "–", "–", "–", f"{fan.max_range:g}")
    for camera in robot.cameras:
        kind = ("m", f"{camera.image_channels[0].high:g}") if camera.depth else ("color", "–")
        size, nothing = f"{camera.width} × {camera.height}", ["–"] * 4
        table.add_row(camera.name, size, kind[0], *_timing(camera.timing), *nothing, kind[1])
    for sensor in robot.sensors:
        e = sensor.errors
        noise = " + ".join([f"{e.noise:g}"] * bool(e.noise) + [f"{e.noise_density:.2g}/√Hz"] * bool(e.noise_density))
        errors = [f"{value:.2g}" if value else "–" for value in (e.bias, e.drift, e.scale)]
        row = (sensor.name, str(sensor.size), sensor.unit, *_timing(sensor.timing), noise or "–", *errors)
        table.add_row(*row, f"±{sensor.limit:.3g}")
    return table


def _timing(timing: Timing) -> tuple[str, str, str]:
    rate = f"{timing.rate_hz:g} Hz" if timing.rate_hz else "every tick"
    latency = f"{1e3 * timing.latency_s:.3g} ± {1e3 * timing.jitter_s:.2g} ms"
    return rate, latency, f"{100 * timing.dropout:g} %"


def _actuator_table(robot: Robot) -> Table:
    table = Table(title=f"{robot.name}: actuators", title_justify="left")
    for column in ("actuator", "joint", "command 1 means", "taken", "latency", "stall torque", "no-load speed", "part"):
        table.add_column(column, justify="right" if "torque" in column or "speed" in column else "left")
    for actuator in robot.actuators:
        line = actuator.line
        torque, speed = ("–", "–") if line is None else (f"{line[1][0]:.3g} N·m", f"{line[0][1]:.3g} rad/s")
        rate, latency, _ = _timing(actuator.command)
        full = f"{actuator.scale:.3g} {actuator.unit}"
        name = actuator.part.name if actuator.part else "–"
        table.add_row(actuator.name, actuator.joint, full, rate, latency, torque, speed, name)
    return table


def _draw(robot: Robot, path: Path) -> None:
    env: Any = make_vec("embodied/Signpost-v0", 1)
    obs, _ = env.reset(seed=0)
    rng, recording = np.random.default_rng(0), []
    for _ in range(60):
        recording.append(obs[0])
        obs, *_ = env.step(0.6 * rng.uniform(-1, 1, (1, 3)))
    tick_s = env.batch.model.opt.timestep
    draw_inspection(robot, tick_s, np.array(recording), env.layout, CONTROL_HZ, path)
