"""The reference players of each task."""

from __future__ import annotations

from embodied.agent import Agent
from embodied.learn.agents import RandomAgent
from embodied.learn.vec import GymVecEnv, describe_env
from embodied_policies.scripted import PadSeeker


def reference_players(env: GymVecEnv) -> dict[str, Agent]:
    """Returns random, blind (the best without finding out) and oracle (told what is hidden).

    For an environment without scripted players, only random.
    """
    players: dict[str, Agent] = {"random": RandomAgent(env.action_space)}
    if describe_env(env)["id"] == "embodied/Signpost-v0":
        task = env.gym_env.task  # type: ignore[attr-defined]
        arguments = (task.robot.layout, task.robot.cameras[0].classes, task.hidden[0].labels)
        players["blind"] = PadSeeker(*arguments)
        players["oracle"] = PadSeeker(*arguments, told=lambda: env.privileged["hidden"][:, 0])
    return players
