"""Identification against truth: synthetic robots whose parameters are known, and a real servo bench."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import mujoco
import numpy as np
from rich.console import Console

from embodied.sysid import Fit, Limits, Parameter, Recording, Servo, ServoPlant, fit, propose
from embodied.sysid.excite import gains, prior_precision, random_command
from embodied.sysid.gap import gap
from embodied_envs.arm.so101 import ARM
from embodied_scripts.studies.arm import JUDGES, logs_of

PENDULUM = """
<mujoco><option timestep="{tick}" integrator="implicitfast"/><worldbody><body name="arm">
<joint name="hinge" type="hinge" axis="0 1 0" damping="0.02" armature="0.002" frictionloss="0.01"/>
<geom name="load" type="sphere" size="0.001" pos="0 0 -0.1" mass="0.49"/></body></worldbody></mujoco>"""
RANGES = {
    "stiffness[hinge]": (1.0, 10.0),
    "dof_damping[hinge]": (0.005, 0.3),
    "dof_frictionloss[hinge]": (0.0, 0.1),
    "dof_armature[hinge]": (0.0005, 0.01),
    "latency_s": (0.0, 0.03),
}
NOISE = 0.002  # rad
LIMITS = Limits((-0.8,), (0.8,), (8.0,), reach=0.6)
SECONDS, HERTZ = 6.0, 100.0
SERVO = (
    Parameter("limit", 0.2, 3.0),
    Parameter("back_emf", 0.0, 0.15),
    Parameter("dof_armature", 0.0, 0.01),
    Parameter("dof_frictionloss", 0.0, 0.1),
    Parameter("dof_damping", 0.0, 0.05),
    Parameter("offset", -0.1, 0.1),
    Parameter("latency_s", 0.0, 0.03),
)
ARM_PARAMETERS = (
    Parameter("stiffness", 3.0, 60.0, tied=True, start=11.7),  # where a servo bench puts them
    Parameter("dof_damping", 0.1, 5.0, tied=True, start=1.38),
    Parameter("dof_frictionloss", 0.0, 0.3, tied=True),
    Parameter("dof_armature", 0.001, 0.1, tied=True),
    Parameter("latency_s", 0.0, 0.1),
    Parameter("command_offset", -0.15, 0.15),
    Parameter("load_friction", 0.0, 0.8, tied=True),
    Parameter("back_load_friction", 0.0, 0.8, tied=True),
)
BENCH_VALUES = {
    "stiffness": 11.73, "limit": 4.446, "dof_damping": 1.384, "dof_frictionloss": 0.0528, "dof_armature": 0.0278,
    "load_friction": 0.0, "back_load_friction": 0.0,
}  # fmt: skip
FRICTIONS = {
    "coulomb": (),
    "stribeck": (Parameter("stribeck", 0.0, 0.1), Parameter("stribeck_speed", 0.05, 5.0)),
    "load": (Parameter("load_friction", 0.0, 0.8), Parameter("back_load_friction", 0.0, 0.8)),
}


def show_sim2real(small: bool = False) -> dict[str, list[float]]:
    """Prints coverage of intervals, what proposals are worth, and fits of real robots; returns the first two."""
    console = Console(soft_wrap=True)
    figures = {
        "share of truth within its interval": _show_coverage(console, 1 if small else 40),
        "volume after a proposal, beside random": _show_proposals(console, 1 if small else 20),
    }
    shared = Path(__file__).parents[3] / "shared"
    data = Path(os.environ.get("EMBODIED_REALDATA", shared / "realdata"))
    arm = Path(os.environ.get("SO101_MJCF", shared / "menagerie" / "robotstudio_so101" / "so101.xml"))
    shown: dict[tuple[Path, ...], Callable[..., None]] = {
        (data / "bam_xl330",): _show_servo_bench,
        (data / "so101_sage", arm): _show_arm,
    }
    for needed, show in shown.items():
        missing = [path for path in needed if not path.exists()]
        if missing or small:
            console.print(f"left out: {missing[0] if missing else needed[0]}", highlight=False)
        else:
            show(console, *needed)
    return figures


def _robot() -> ServoPlant:
    return ServoPlant(
        mujoco.MjSpec.from_string(PENDULUM.format(tick=0.004)), ["hinge"], Servo(stiffness=4.0, limit=2.0)
    )


def _truth(rng: np.random.Generator) -> dict[str, float]:
    """A robot somewhere in the inner three quarters of the ranges."""
    return {name: low + (high - low) * rng.uniform(0.1, 0.85) for name, (low, high) in RANGES.items()}


def _measured(plant: ServoPlant, truth: dict[str, float], command: Recording, rng: np.random.Generator) -> Recording:
    angle = plant.simulate({name: np.array([value]) for name, value in truth.items()}, [command])[0][0]
    return Recording(command.time_s, command.command, {"position": angle + rng.normal(0, NOISE, angle.shape)})


def _fitted(plant: ServoPlant, recordings: list[Recording], seed: int) -> Fit:
    return fit(plant, recordings, [Parameter(name, *ends) for name, ends in RANGES.items()], starts=2, seed=seed)


def _show_coverage(console: Console, robots: int) -> list[float]:
    """Shares of the true parameters that lie within their intervals, by robot."""
    plant, inside = _robot(), {name: np.zeros(robots, bool) for name in RANGES}
    for robot in range(robots):
        rng = np.random.default_rng(robot)
        truth = _truth(rng)
        logs = [_measured(plant, truth, random_command(LIMITS, SECONDS, HERTZ, rng), rng) for _ in range(3)]
        found = _fitted(plant, logs, robot)
        for name, (low, high) in zip(found.names, found.interval, strict=True):
            inside[name][robot] = low <= truth[name] <= high
    shares = ", ".join(f"{name} {hits.mean():.0%}" for name, hits in inside.items())
    by_robot = np.mean(list(inside.values()), axis=0)
    summary = f"truth within its 95 % interval: {by_robot.mean():.1%} of {robots} robots ({shares})"
    console.print(summary, markup=False, highlight=False)
    return by_robot.tolist()


def _show_proposals(console: Console, seeds: int) -> list[float]:
    """Volumes of the posterior at the truth after one more recording, proposed or random, from one short first log."""
    plant, ratios = _robot(), []
    for seed in range(seeds):
        rng = np.random.default_rng(1000 + seed)
        truth = _truth(rng)
        found = _fitted(plant, [_measured(plant, truth, random_command(LIMITS, 2.0, HERTZ, rng), rng)], seed)
        proposed = propose(plant, found, LIMITS, SECONDS, HERTZ, NOISE, seed).recording
        chance = [random_command(LIMITS, SECONDS, HERTZ, rng) for _ in range(8)]
        prior = prior_precision(found)
        known = Fit(**{**vars(found), "estimate": np.array([truth[name] for name in found.names])})
        after = gains(plant, known, [proposed, *chance], LIMITS, NOISE, prior)
        ratios.append(np.exp((np.median(after[1:]) - after[0]) / 2))
    wins = sum(ratio < 1 for ratio in ratios)
    low, middle, high = np.quantile(ratios, (0.1, 0.5, 0.9))
    console.print(
        f"a proposed recording leaves a smaller posterior than the median of random ones in {wins} of {seeds} robots; "
        f"its volume is {middle:.2f} times theirs (80 % of robots: {low:.2f}–{high:.2f})",
        highlight=False,
    )
    return [float(ratio) for ratio in ratios]


def _show_servo_bench(console: Console, data: Path) -> None:
    """Fits on the logs of one firmware gain, judged on those of the other."""
    logs = {gain: _servo_logs(data, gain) for gain in (100, 400)}
    published = _published(data, logs)
    for here, there in ((100, 400), (400, 100)):
        for name, more in FRICTIONS.items():
            drive = Servo(
                limit=0.5, back_emf=0.02, gain="duty_per_rad", supply="volts", volts=7.4, enabled="on",
                load_friction=0.2 if name == "load" else 0.0,
            )  # fmt: skip
            plant = ServoPlant(mujoco.MjSpec.from_string(PENDULUM.format(tick=0.002)), ["hinge"], drive)
            found = fit(plant, logs[here], [*SERVO, *more], starts=2)
            error = gap(plant, found.values, logs[there]).replayed.mean()
            console.print(
                f"XL330, fitted on gain {here} with {name} friction: error {found.errors[:, 1].mean():.4f}; on gain "
                f"{there} {error:.4f} rad, {error / published[there]:.2f} of {published[there]:.4f} as published",
                highlight=False,
            )


def _show_arm(console: Console, data: Path, model: Path) -> None:
    """Fits an SO-101 on six motions, and judges it on two others, around each joint's constant offset."""
    logs = logs_of(data / "so101.npz")
    drive = Servo(stiffness=12.0, limit=4.446, load_friction=0.1, back_load_friction=0.05)
    plant = ServoPlant(model, ARM, drive, tick_s=0.005)
    some = [log.part(0, 40) for name, log in logs.items() if name not in JUDGES]
    found = fit(plant, some, ARM_PARAMETERS, segment_s=10, settle_s=0.3, remove_offset=True, iterations=10)
    judges = [logs[name].part(0, 60) for name in JUDGES]
    bench = {f"{name}[{joint}]": value for name, value in BENCH_VALUES.items() for joint in ARM}
    for name, values in (("servo bench values, replayed", bench), ("fitted", found.values)):
        errors = ", ".join(
            f"{judge} {error:.4f}"
            for judge, error in zip(JUDGES, gap(plant, values, judges).centered.mean(1), strict=True)
        )
        console.print(f"SO-101, {name}: {errors} rad", highlight=False)
    latency = found.names.index("latency_s")
    low, high = 1000 * found.interval[latency]
    console.print(
        f"SO-101: latency {1000 * found.estimate[latency]:.1f} ms ({low:.1f}–{high:.1f})", markup=False, highlight=False
    )
    for name, value, (low, high) in zip(found.names, found.estimate, found.interval, strict=True):
        console.print(f"  {name} {value:.4g} ({low:.4g} to {high:.4g})", markup=False, highlight=False)


def _servo_logs(data: Path, gain: int) -> list[Recording]:
    logs = []
    for path in sorted((data / "raw").glob("*.json")):
        log = json.loads(path.read_text())
        if log["kp"] == gain:
            column = {key: np.array([entry[key] for entry in log["entries"]], float) for key in log["entries"][0]}
            signals = {"position": column["position"], "volts": column["input_volts"], "on": column["torque_enable"]}
            about = {"duty_per_rad": gain * 4096 / (2 * np.pi) / (256 * 885), "name": log["trajectory"]}
            logs.append(Recording(column["timestamp"], column["goal_position"], signals, metadata=about))
    return logs


def _published(data: Path, logs: dict[int, list[Recording]]) -> dict[int, float]:
    """Errors of the published Coulomb model of the recordings' date, replayed here."""
    fitted = json.loads((data / "params" / "commit_af22604_m1.json").read_text())
    drive = Servo(gain="duty_per_rad", supply="volts", volts=7.4, enabled="on")
    plant = ServoPlant(mujoco.MjSpec.from_string(PENDULUM.format(tick=0.002)), ["hinge"], drive)
    values = {
        "limit": fitted["kt"] * 7.4 / fitted["R"], "back_emf": fitted["kt"] ** 2 / fitted["R"],
        "offset": -fitted["q_offset"],
        "dof_armature": fitted["armature"], "dof_damping": fitted["friction_viscous"],
        "dof_frictionloss": fitted["friction_base"],
    }  # fmt: skip
    values = {f"{name}[hinge]": value for name, value in values.items()}
    return {gain: float(gap(plant, values, some).replayed.mean()) for gain, some in logs.items()}
