"""The servos of SO-101, as its logs show them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from rich.console import Console

from embodied.sysid import Fit, Parameter, Recording, ServoPlant, fit
from embodied.sysid.gap import gap
from embodied_envs.arm.so101 import ARM
from embodied_scripts.cli.study_arm import Twin
from embodied_scripts.deploying.identifying import SEGMENT_S, SETTLE_S, servo_plant

JUDGES = ("sinusoidal_sweep", "staircase_motion")
PARAMETERS = (
    Parameter("stiffness", 5.0, 25.0, tied=True, start=10.4),
    Parameter("dof_damping", 0.1, 3.0, tied=True, start=0.58),
    Parameter("dof_frictionloss", 0.0, 0.2, tied=True, start=0.1),
    Parameter("dof_armature", 0.001, 0.06, tied=True, start=0.01),
    Parameter("latency_s", 0.0, 0.03, start=0.008),
    Parameter("load_friction", 0.0, 0.8, tied=True, start=0.3),
    Parameter("back_load_friction", 0.0, 0.8, tied=True, start=0.1),
)
ABOUT = "Servos of the SO-101 (Feetech STS3215, P 16, I 0, D 32), all joints alike; torques at the output shaft."


def fit_twin(asked: Twin) -> None:
    """Fits, judges, prints and writes."""
    console, logs = Console(soft_wrap=True), logs_of(asked.logs)
    plant = plant_of_arm()
    some = [log.part(0, 40) for name, log in logs.items() if name not in JUDGES]
    with console.status("Fitting six motions, from two starts …"):
        found = fit(
            plant, some, PARAMETERS, segment_s=SEGMENT_S, settle_s=SETTLE_S, remove_offset=True, iterations=12, starts=2
        )
    for name, value, (low, high) in zip(found.names, found.estimate, found.interval, strict=True):
        console.print(f"{name} {value:.4g} ({low:.4g} to {high:.4g})", markup=False, highlight=False)
    judged = judge(plant, found, logs)
    told = ", ".join(f"{error:.4f} rad ({name})" for name, error in judged.items())
    console.print(f"held out, first 60 s, around each joint's offset: {told}", highlight=False)
    source = f"`embodied study twin` on {asked.logs.name}: six motions of 40 s; held out: {told}"
    written = {"about": ABOUT, "source": source} | found.jsonable()
    asked.out.write_text(json.dumps(written, indent=1, ensure_ascii=False))


def plant_of_arm() -> ServoPlant:
    """The joints of the arm that were recorded, without the supply, which was not."""
    return servo_plant(ARM, supply=None, threads=None)


def judge(plant: ServoPlant, found: Fit, logs: dict[str, Recording]) -> dict[str, float]:
    """Mean absolute errors on the motions that are held out, without each joint's constant offset [rad]."""
    errors = gap(plant, found.values, [logs[name].part(0, 60) for name in JUDGES]).centered.mean(axis=1)
    return dict(zip(JUDGES, map(float, errors), strict=True))


def logs_of(path: Path) -> dict[str, Recording]:
    """The motions of the five joints that are measured in radians, by name."""
    with np.load(path, allow_pickle=False) as file:
        motions = sorted({name.partition("/")[0] for name in file.files if "/" in name})
        return {
            m: Recording(file[f"{m}/t_us"] * 1e-6, file[f"{m}/cmd"][:, :5], {"position": file[f"{m}/pos"][:, :5]})
            for m in motions
        }
