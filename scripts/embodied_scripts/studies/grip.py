"""What holds a cube: settings of solver and contacts, beside each other."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import mujoco
import numpy as np
from rich.console import Console

from embodied.randomization.spec import Randomization
from embodied.world.env import BatchEnv
from embodied_envs import heft
from embodied_envs.arm.so101 import JOINTS
from embodied_envs.arm.tabletop import BASE, OPEN
from embodied_scripts.baselines import arm_driver
from embodied_scripts.cli.study_arm import Grip

WORLDS = 16
HELD = 0.035  # m, between hand and cube
SHAKING = (np.array([0.6, 0.2, 0.0, 0.4, 0.4, 0.0]), np.array([0.2, 0.3, 0.0, 0.4, 0.25, 0.0]))  # speeds, and Hz
STIFF, SOFT = [0.9999, 0.9999, 0.001, 0.5, 2.0], [0.9, 0.95, 0.001, 0.5, 2.0]


@dataclass(frozen=True)
class Setting:
    """What is changed of the arena's solver, of the arm's joints, and of its fingers."""

    name: str
    solver: dict[str, Any] = field(default_factory=dict)
    joints: dict[str, Any] = field(default_factory=dict)
    fingers: dict[str, Any] = field(default_factory=dict)


SETTINGS = (
    Setting("as shipped"),
    Setting("impratio 1", {"impratio": 1.0}),
    Setting("impratio 1, 2 iterations against slip", {"noslip_iterations": 2, "impratio": 1.0}),
    Setting("pyramidal cone", {"cone": mujoco.mjtCone.mjCONE_PYRAMIDAL}),
    Setting("stiffer contacts (solimp 0.98 0.99)", {}, {}, {"solimp": [0.98, 0.99, 0.001, 0.5, 2.0]}),
    Setting("softer contacts (solref 0.02)", {}, {}, {"solref": [0.02, 1.0]}),
    Setting("joint friction as stiff as in identification (0.9999)", {}, {"solimp_friction": STIFF}),
    Setting("joint friction as soft as usual (0.9 0.95)", {}, {"solimp_friction": SOFT}),
)


class _Heft(heft.Heft):
    """The task with other settings."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(heft.HeftOptions(episode_s=600.0))
        self._setting = setting

    def compose(self) -> mujoco.MjSpec:
        spec = super().compose()
        for name, value in self._setting.solver.items():
            setattr(spec.option, name, value)
        return spec


def compare_grips(asked: Grip) -> None:
    """Prints the table."""
    console = Console(soft_wrap=True)
    console.print(
        "| setting | lifted | held after 10 s still | after shaking | deepest [mm] | µs per step |", markup=False
    )
    console.print("|---|---|---|---|---|---|")
    for setting in SETTINGS:
        console.print(f"| {setting.name} | {_row(setting, asked.seconds)} |", highlight=False, markup=False)


def _row(setting: Setting, seconds: float) -> str:
    env = BatchEnv(_Heft(setting), WORLDS, randomize=Randomization())
    _apply(setting, env)
    env.reset(seed=1)
    lifted = _lift(env)
    begun, steps = time.perf_counter(), round(10 * (10 + seconds))
    still, deepest = 0, 0.0
    for step in range(steps):
        amplitude, hertz = SHAKING
        wave = amplitude * np.cos(2 * np.pi * hertz * step / 10) * (step >= 100)
        env.step(np.tile(wave, (WORLDS, 1)))
        still = _held(env) if step == 99 else still
        deepest = min(deepest, _deepest(env) if step % 20 == 0 else 0.0)
    ticks = steps * env.substeps * WORLDS
    speed = 1e6 * (time.perf_counter() - begun) / ticks
    return f"{lifted} | {still} | {_held(env)} of {WORLDS} | {-1000 * deepest:.1f} | {speed:.0f}"


def _apply(setting: Setting, env: BatchEnv) -> None:
    """Writes what is changed of joints and fingers into all worlds."""
    model = env.batch.model
    pads = [i for i in range(model.ngeom) if any(part in model.geom(i).name for part in ("finger", "jaw"))]
    fields = {"solimp": "geom_solimp", "solref": "geom_solref"}
    for name, value in setting.fingers.items():
        env.batch.field(fields[name])[:, pads] = value
    arm = [int(model.joint(f"robot/{joint}").dofadr[0]) for joint in JOINTS]
    for value in setting.joints.values():
        env.batch.field("dof_solimp")[:, arm] = value


def _lift(env: BatchEnv) -> int:
    """Grips the first cube of every world and lifts it; returns in how many it hangs in the hand."""
    task: Any = env.task
    places = task._places[:, 0]
    angles = np.arctan2(-places[:, 1], places[:, 0] - BASE[0])
    driver = arm_driver(task)
    above, around = heft.CARRY + heft.ABOVE, heft.REACHING
    for height, fingers in ((above, OPEN), (around, OPEN), (around, heft.CLOSED), (above, heft.CLOSED)):
        wanted = np.stack([task.pose(angle, height, fingers) for angle in angles])
        for _ in range(15):
            env.step(driver.drive(env.last_obs, wanted))
    return _held(env)


def _held(env: BatchEnv) -> int:
    task: Any = env.task
    hand = task.chain.forward(task.angles[:, :-1])[0]
    return int((np.linalg.norm(task._places[:, 0] - hand, axis=1) < HELD).sum())


def _deepest(env: BatchEnv) -> float:
    """The deepest penetration of a contact in the first world [m], negative."""
    data = mujoco.MjData(env.batch.model)
    data.qpos[:] = env.batch.array("qpos")[0]
    mujoco.mj_forward(env.batch.model, data)
    return min((float(contact.dist) for contact in data.contact[: data.ncon]), default=0.0)
