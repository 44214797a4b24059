"""Whether the loop keeps its time: an exported policy on a twin for minutes, beside whatever else the machine does."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from embodied.deploy.loop import Loop
from embodied.deploy.motion import gentle_motion
from embodied.nn.checkpoint import read_card
from embodied.nn.onnx import export_onnx
from embodied.nn.onnx_agent import OnnxAgent
from embodied.nn.policy import load_policy
from embodied_envs.arm.so101 import control_of
from embodied_scripts.deploying.players import player_of
from embodied_scripts.deploying.robots import so101_arm
from embodied_scripts.deploying.twins import TwinProcess
from embodied_scripts.runs import saved_policy


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


def run(policy: str, seconds: float, hz: float) -> None:
    """Runs it and prints how late decisions were."""
    player = player_of(policy)
    folder = saved_policy(policy)
    with tempfile.TemporaryDirectory() as made, TwinProcess(["so101", "--task", policy], Path(made)) as twin:
        agent = OnnxAgent(export_onnx(load_policy(folder), Path(made) / "policy.onnx", read_card(folder)))
        arm = so101_arm(twin.port)
        arm.connect()
        load = os.getloadavg()[0]
        control = control_of("targets", 1 / hz)
        motion = gentle_motion(arm.limits, player.start, seconds, hz)
        busy = Occupied(agent, control.actions(motion))
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
