"""Whether the loop keeps its time: an exported policy on a twin for minutes, beside whatever else the machine does."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from embodied.deploy.drivers.cameras import SeeingRobot, VideoCamera
from embodied.deploy.loop import Loop
from embodied.deploy.motion import gentle_motion
from embodied.nn.checkpoint import policy_folder, read_card
from embodied.nn.onnx import export_onnx
from embodied.nn.onnx_agent import OnnxAgent
from embodied.nn.policy import load_policy
from embodied_envs.arm.so101 import control_of
from embodied_scripts.cli.train import Train
from embodied_scripts.deploying.players import player_of
from embodied_scripts.deploying.robots import so101_arm
from embodied_scripts.deploying.twins import TwinProcess
from embodied_scripts.ids import resolve_id
from embodied_scripts.runs import saved_policy
from embodied_scripts.training.run import train_one


class Occupied:
    """A policy that decides every time while the arm plays a motion: pressing for minutes would overload servos."""

    def __init__(self, agent: OnnxAgent, actions: NDArray) -> None:
        self._agent, self._actions, self._k = agent, actions, 0

    def initial(self, n: int, seed: int) -> Any:
        return self._agent.initial(n, seed)

    def act(self, carry: Any, obs: NDArray, first: NDArray) -> tuple[Any, NDArray]:
        carry, _ = self._agent.act(carry, obs, first)
        self._k += 1
        return carry, self._actions[min(self._k, len(self._actions)) - 1][None]


def _that_looks(task: str, folder: Path) -> Path:
    """A policy that sees the wrist's pictures; hardly trained, as it only has to take its time."""
    settings = Train(resolve_id(task), 64, run_dir=folder, n_envs=2, options=("camera='rgb'",), threads=1)
    train_one(replace(settings, ppo=replace(settings.ppo, n_steps=16)))
    return policy_folder(folder)


def run(policy: str, seconds: float, hz: float, camera: bool) -> None:
    """Runs it and prints how late decisions were."""
    with tempfile.TemporaryDirectory() as made:
        folder = _that_looks(policy, Path(made) / "run") if camera else saved_policy(policy)
        player = player_of(str(folder))
        agent = OnnxAgent(export_onnx(load_policy(folder), Path(made) / "policy.onnx", read_card(folder)))
        with TwinProcess(["so101", "--task", policy, *(["--camera-port", "0"] if camera else [])], Path(made)) as twin:
            arm: Any = so101_arm(twin.port)
            if camera:
                arm = SeeingRobot(arm, {"wrist": VideoCamera(twin.order()["camera"])})
            arm.connect()
            load = os.getloadavg()[0]
            control = control_of("targets", 1 / hz)
            busy = Occupied(agent, control.actions(gentle_motion(arm.limits, player.start, seconds, hz)))
            report = Loop(arm, busy, player.contract, control, player.start, hz=hz).run(seconds)
            behind = twin.order()["late_s"]
            arm.close()
    late, took = report.late_s * 1e3, report.took_s * 1e3
    console = Console(width=120)
    console.print(str(report), markup=False)
    for name, values in (("began late [ms]", late), ("took [ms]", took)):
        spread = "  ".join(f"{q} %: {np.percentile(values, q):.2f}" for q in (50, 95, 99, 99.9, 100))
        console.print(f"{name}  {spread}", markup=False)
    console.print(f"load of the machine {load:.1f} before, {os.getloadavg()[0]:.1f} after, on {os.cpu_count()} cores")
    console.print(f"the twin was behind its clock by up to {1e3 * behind:.0f} ms; repeated exchanges: {arm.retried}")
