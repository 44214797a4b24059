"""Policies as they go onto a robot: who decides, what it was promised, what its actions mean, where it begins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodied.agent import Agent
from embodied.contract import Contract
from embodied.errors import CheckpointError, OptionError
from embodied.lineage.trust import Trust
from embodied.nn.agent import NetworkAgent
from embodied.nn.checkpoint import read_card
from embodied.nn.onnx_agent import OnnxAgent
from embodied.nn.policy import load_policy
from embodied.vector.spec import EnvSpec
from embodied.world.env import BatchEnv
from embodied_scripts.runs import saved_policy


@dataclass(frozen=True)
class Player:
    """A policy, ready for a robot.

    Attributes:
        env: one simulated world of its task, for its control and its layout; start: its usual first posture [rad].
    """

    name: str
    agent: Agent
    contract: Contract
    env: BatchEnv
    start: NDArray[np.float64]

    @property
    def control(self) -> Any:
        """What its actions mean."""
        return self.env.task.control  # type: ignore[attr-defined]


def player_of(target: str, trust: Trust | None = None) -> Player:
    """The policy of a run, of an exported file (.onnx), or the one that comes with the package for an environment.

    Args:
        trust: who must have signed it; an exported file, with the folder that it lies in.

    Raises:
        CheckpointError: there is none, or nothing says what it was promised.
        LineageError: it is not signed by whom it must be, or is not what they signed.
        OptionError: what it was trained on is no task of an arm.
    """
    path = Path(target)
    folder = path.parent if path.suffix == ".onnx" else saved_policy(target)
    if trust is not None:
        trust.verify(folder)
    if path.suffix == ".onnx":
        agent: Agent = (exported := OnnxAgent(path))
        card = exported.card
    else:
        card = read_card(folder)
        agent = NetworkAgent(load_policy(folder), reuse_memory=True)
    spec = EnvSpec.from_jsonable(card.get("env"), target)
    if spec.previous or spec.observe:
        raise OptionError(f"{target} observes more than a robot shows: its own actions or a choice of keys")
    env = spec.make(1).gym_env.unwrapped
    if not isinstance(env, BatchEnv) or not hasattr(env.task, "control"):
        raise OptionError(f"{target} was trained on {spec.id}, which is no task of an arm")
    if "contract" not in card:
        raise CheckpointError(f"{target} does not say what it was promised: train or export it with this version")
    obs, _ = env.reset(seed=0)
    start = env.form.rows(obs)[0, env.layout.slice("angle")].astype(np.float64)
    return Player(spec.id, agent, Contract.from_jsonable(card["contract"], target), env, start)
