"""`embodied inspect`: what a robot senses and how it moves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

if TYPE_CHECKING:
    from embodied.body.robot import Robot
    from embodied.body.timing import Timing

CONTROL_HZ = 10.0


@dataclass
class Inspect:
    """Show a robot's sensors (rates, latencies, errors) and actuators (curves, limits)."""

    robot: Annotated[str, tyro.conf.Positional] = "scout"
    """Name of the robot."""
    picture: Path | None = None
    """Also write one picture: torque-speed curves, Allan deviations, latencies, a sample of every sensor."""

    def run(self) -> None:
        """Prints the tables and writes the picture."""
        from rich.console import Console

        from embodied.errors import UnknownNameError
        from embodied_envs.scout import scout

        robots = {"scout": scout}
        if self.robot not in robots:
            raise UnknownNameError("robot", self.robot, robots)
        robot = robots[self.robot](CONTROL_HZ)
        console = Console()
        console.print(_sensor_table(robot))
        console.print(_actuator_table(robot))
        if self.picture is not None:
            _draw(robot, self.picture)
            console.print(f"Wrote {self.picture}", markup=False)


def _sensor_table(robot: Robot):
    from rich.table import Table

    table = Table(title=f"{robot.name}: sensors", title_justify="left")
    for column in ("sensor", "size", "unit", "rate", "latency", "lost", "noise", "bias", "drift", "scale", "limit"):
        table.add_column(column, justify="left" if column == "sensor" else "right")
    for fan in (*robot.cameras, *robot.rangers):
        noise = f"{100 * fan.range_noise:g} %" + (f" + {1e3 * fan.range_floor:g} mm" if fan.range_floor else "")
        table.add_row(fan.name, str(fan.pixels), "m", *_timing(fan.timing), noise, "–", "–", "–", f"{fan.max_range:g}")
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


def _actuator_table(robot: Robot):
    from rich.table import Table

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
    import numpy as np

    from embodied.learn.vec import make_vec
    from embodied.view.inspection import draw_inspection

    env: Any = make_vec("embodied/Signpost-v0", 1)
    obs, _ = env.reset(seed=0)
    rng, recording = np.random.default_rng(0), []
    for _ in range(60):
        recording.append(obs[0])
        obs, *_ = env.step(0.6 * rng.uniform(-1, 1, (1, 3)))
    tick_s = env.batch.model.opt.timestep
    draw_inspection(robot, tick_s, np.array(recording), env.layout, CONTROL_HZ, path)
