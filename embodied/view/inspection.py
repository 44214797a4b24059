"""One picture of a body: torque-speed curves, Allan deviations, latencies, and a sample of every sensor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodied.extras import advice
from embodied.layout import Layout
from embodied.robot.robot import Robot
from embodied.robot.sensors.error_model import BatchedErrors
from embodied.robot.sensors.spec import Sensor
from embodied.robot.timing import AGE_LIMIT_S, FrameClock, Timing
from embodied.seeding import WorldStreams

with advice():
    import matplotlib
    from matplotlib.figure import Figure

FRAMES, REPEATS = 4096, 24  # length and number of the recordings behind an Allan deviation
ARRIVALS = 4000  # frames behind a latency histogram
LATENCY_BIN_MS = 0.5


def draw_inspection(robot: Robot, tick_s: float, recording: NDArray, layout: Layout, hz: float, path: Path) -> None:
    """Writes the picture.

    Args:
        tick_s: physics time step [s].
        recording: observations of one world, `(T, dim)`, at `hz`.
    """
    matplotlib.rcParams.update({"font.size": 9, "axes.grid": True, "grid.alpha": 0.3, "axes.axisbelow": True})
    figure = Figure(figsize=(13, 8.5), layout="constrained")
    figure.suptitle(robot.name, fontsize=14, fontweight="bold")
    axes = figure.subplots(2, 2)
    _draw_torque_speed(axes[0, 0], robot)
    _draw_allan(axes[0, 1], robot, tick_s)
    _draw_latencies(axes[1, 0], robot, tick_s, 1 / hz)
    _draw_sample(axes[1, 1], recording, layout, hz)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def allan_deviation(readings: NDArray, size: int) -> float:
    """Allan deviation at an averaging length of `size` frames, over recordings `(frames, n)`."""
    means = readings[: len(readings) // size * size].reshape(-1, size, readings.shape[1]).mean(axis=1)
    return float(np.sqrt(0.5 * (np.diff(means, axis=0) ** 2).mean()))


def resting_readings(sensor: Sensor, tick_s: float) -> tuple[NDArray, float]:
    """What a sensor at rest says, frame after frame, `(frames, repeats)`, and the time between frames [s]."""
    period = 1 / sensor.timing.rate_hz if sensor.timing.rate_hz else tick_s
    streams = _streams(REPEATS)
    lanes = [streams.stream((f"{sensor.name}/{part}", 3)) for part in ("start", "frame")]
    exact = replace(sensor.errors, resolution=0.0)
    errors = BatchedErrors([exact], REPEATS, [np.inf], [period], *lanes)
    errors.begin()
    zero = np.zeros((REPEATS, 1))
    frames = [errors.apply(zero, np.full((REPEATS, 1), k))[:, 0] for k in range(1, FRAMES + 1)]
    return np.array(frames), period


def latencies(timing: Timing, tick_s: float) -> NDArray:
    """Times from capture to arrival of many frames [s]."""
    clock = FrameClock([timing], ARRIVALS, [tick_s], _streams(ARRIVALS).stream(("timing", 2)))
    return clock.latency_and_loss(np.zeros((ARRIVALS, 1), np.int64))[0][:, 0]


def _streams(n: int) -> WorldStreams:
    streams = WorldStreams(n)
    streams.seed(0)
    streams.begin()
    return streams


def _draw_torque_speed(ax: Any, robot: Robot) -> None:
    ax.set(title="Torque and speed at full command", xlabel="speed [rad/s]", ylabel="torque [N·m]")
    for actuator in robot.actuators:
        line = actuator.line
        if line is not None:
            ax.plot(*line, label=actuator.name)
    ax.legend()


def _draw_allan(ax: Any, robot: Robot, tick_s: float) -> None:
    ax.set(title="Allan deviation at rest", xlabel="averaging time [s]", ylabel="deviation [unit of the sensor]")
    sizes = np.unique(np.geomspace(1, FRAMES // 8, 20).astype(int))
    for sensor in robot.sensors:
        readings, period = resting_readings(sensor, tick_s)
        deviations = [allan_deviation(readings, size) for size in sizes]
        if max(deviations) > 0:
            ax.loglog(sizes * period, deviations, marker=".", label=f"{sensor.name} [{sensor.unit}]")
    ax.legend()


def _draw_latencies(ax: Any, robot: Robot, tick_s: float, decision_s: float) -> None:
    ax.set(title="From capture to arrival", xlabel="latency [ms]", ylabel="frames [share of the most frequent]")
    latest = 0.0
    parts = [(s.name, s.timing, tick_s) for s in robot.sensors]
    parts += [(c.name, c.timing, decision_s) for c in robot.optical_sensors]
    for name, timing, tick in parts:
        if not timing.immediate:
            frames, edges = np.histogram(
                1e3 * latencies(timing, tick), np.arange(0.0, 1e3 * AGE_LIMIT_S, LATENCY_BIN_MS)
            )
            ax.stairs(frames / frames.max(), edges, label=name, linewidth=1.6)
            latest = max(latest, edges[np.flatnonzero(frames)[-1] + 1])
    ax.set_xlim(0, 1.1 * latest + LATENCY_BIN_MS)
    ax.legend()


def _draw_sample(ax: Any, recording: NDArray, layout: Layout, hz: float) -> None:
    ax.set(title="A sample of every channel, over its range", xlabel="time [s]")
    time = np.arange(len(recording)) / hz
    for i, channel in enumerate(layout.channels):
        values = recording[:, layout.slice(channel.name)]
        share = (values - channel.low) / (channel.high - channel.low)
        ax.plot(time, 0.9 * share[:, : min(3, channel.size)] - i, color=f"C{i}", linewidth=0.9)
    ax.set_yticks([0.45 - i for i in range(len(layout.channels))], [c.name for c in layout.channels])
