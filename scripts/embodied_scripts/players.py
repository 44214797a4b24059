"""The reference players of each task: blind, curious and oracle."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

import embodied_policies
from embodied.agent import Agent, Carry, Skilled
from embodied.errors import UnknownNameError
from embodied.learn.agents import RandomAgent
from embodied.learn.opponents import SeatedAgent
from embodied.learn.policy import load_policy
from embodied.learn.vec import GymVecEnv, describe_env
from embodied.world.problem import TaskProblem
from embodied_envs import lightdark, search, weigh
from embodied_policies.proactive import ProactiveAgent
from embodied_policies.scripted.lightdark import PoseSeeker
from embodied_policies.scripted.localise import PoseFilter, moved_alike
from embodied_policies.scripted.search import RowSeeker
from embodied_policies.scripted.signpost import PadSeeker
from embodied_policies.scripted.weigh import BoxPusher
from embodied_policies.tracking import TrackingAgent
from embodied_policies.trained import trained_folder

POSES = 24  # of which a plan in LightDark is made
SKILLS_AHEAD = {"embodied/LightDark-v0": 4, "embodied/Weigh-v0": 3}  # of a plan, where not to the end of the episode
Player = Callable[..., Agent]  # takes `curious` and `told`


def reference_players(env: GymVecEnv) -> dict[str, Agent]:
    """Returns random, blind (the best without finding out), curious (finds out by itself) and oracle (told).

    For an environment without scripted players, only random.
    """
    players: dict[str, Agent] = {"random": RandomAgent(env.action_space)}
    make = _PLAYERS.get(describe_env(env)["id"])
    if make is None:
        return players
    player, truth = make(env.gym_env.task)  # type: ignore[attr-defined]
    told = lambda: truth(env.privileged["hidden"])  # noqa: E731
    return players | {"blind": player(), "curious": player(curious=True), "oracle": player(told=told)}


def duel_players(env_id: str, duel: Any) -> dict[str, tuple[Agent, Agent]]:
    """Returns the players of a duel, the best first: trained where the package has such, scripted, random."""
    scripted = (duel.task.scripted(duel.seats[0]), duel.task.scripted(duel.seats[1]))
    random = RandomAgent(duel.seats[0].action_space)
    players = {"scripted": scripted, "random": (random, random)}
    folder = trained_folder(env_id.split("/")[-1])
    if folder is None:
        return players
    embodied_policies.register()
    policy = load_policy(folder)
    return {"trained": (SeatedAgent(policy, 0), SeatedAgent(policy, 1))} | players


def skilled_player(env_id: str, task: Any) -> Skilled:
    """The scripted player of a task that can be told what to set out for.

    Raises:
        UnknownNameError: nobody has written one for that task.
    """
    if env_id not in SKILLED:
        raise UnknownNameError("task with skills to plan with", env_id, SKILLED)
    return SKILLED[env_id](task)


def planning_agent(
    env: GymVecEnv, seconds: float = 0.1, samples: int = 4, ahead: float | None = None
) -> ProactiveAgent | TrackingAgent:
    """The planner as an agent in the worlds of `env`; it imagines in `samples` more for each hidden value.

    A plan looks so many skills `ahead` (None: as many as suit the task; `inf`: to the end of the episode).

    It knows where everything stands, the robot included, but for what is hidden. A continuous variable is tracked by a
    filter, and plans are made from values drawn from that (one world each).

    Raises:
        UnknownNameError: the task has no skills.
        OptionError: the task cannot imagine, or has no likelihood.
    """
    about = describe_env(env)
    real: Any = env.gym_env
    player = skilled_player(about["id"], real.task)
    ahead = SKILLS_AHEAD.get(about["id"], math.inf) if ahead is None else ahead
    if about["id"] in TRACKED:
        return TRACKED[about["id"]](about, real, player, seconds, ahead)
    imagined = _worlds_beside(real, about, len(player.skills) * len(real.hidden[0].labels), samples)
    agent = ProactiveAgent(
        lambda world, believed, carry: TaskProblem(
            imagined, player, real, world, world, believed=believed, carry=carry, skills_ahead=ahead
        ),
        player,
        real.evidence,
        real.task.control_hz,
        seconds,
    )
    agent.effort.worlds = imagined.num_envs
    return agent


def _pose_planner(about: dict[str, Any], real: Any, player: Skilled, seconds: float, ahead: float) -> TrackingAgent:
    """Plans where its own pose is hidden."""
    imagined = _worlds_beside(real, about, len(player.skills) * POSES, 1)
    tracker = pose_filter(real.task)

    def problem_of(world: int, poses: NDArray, carry: Carry) -> TaskProblem:
        def evidence(obs: NDArray, value: NDArray) -> NDArray:
            pose = imagined.task.truth()[:, None]
            return tracker.evidence(moved_alike(pose, poses[value][:, None], poses[None]), obs)

        return TaskProblem(
            imagined, player, real, world, world, supposed=poses, evidence=evidence, carry=carry, skills_ahead=ahead
        )

    agent = TrackingAgent(problem_of, player, tracker, real.task.control_hz, POSES, seconds)
    agent.effort.worlds = imagined.num_envs
    return agent


def _worlds_beside(real: Any, about: dict[str, Any], courses: int, samples: int) -> Any:
    """Worlds to imagine in: so many for each course of events, and another number than there are real ones."""
    worlds = (samples + (samples * courses == real.num_envs)) * courses
    threads = real.batch.threads
    return gym.make_vec(about["id"], worlds, threads=threads, autoreset_mode="NextStep", **about["options"])


def pose_filter(task: Any, particles: int = 1000) -> PoseFilter:
    """A filter of the robot's pose in LightDark, from the declared sensors and the declared darkness."""
    lit, dark = 1 - lightdark.LOST_IN_LIGHT, (1 - lightdark.LOST_IN_LIGHT) * task.options.glimmer
    return PoseFilter(
        task.robot.layout,
        (lightdark.HALF_X, lightdark.HALF_Y),
        np.array([*lightdark.START, (math.pi - lightdark.ABOUT, math.pi + lightdark.ABOUT)]),
        lightdark.brightness,
        (task.options.light_noise, lightdark.DARK_NOISE),
        (lit, dark),
        particles,
    )


def _signpost(task: Any) -> tuple[Player, Callable[[NDArray], NDArray]]:
    shown = (task.robot.layout, task.robot.cameras[0].classes, task.hidden[0].labels)
    return lambda **how: PadSeeker(*shown, **how), _first


def _lightdark(task: Any) -> tuple[Player, Callable[[NDArray], NDArray]]:
    (left, right), _ = lightdark.START
    about = ((left + right) / 2, 0.0, math.pi)
    room = (lightdark.HALF_X, lightdark.HALF_Y)
    shown = (task.robot.layout, room, lightdark.GOAL, about)
    return lambda **how: PoseSeeker(*shown, **how), np.array


def _search(task: Any) -> tuple[Player, Callable[[NDArray], NDArray]]:
    shown = (task.robot.layout, task.robot.cameras[0].classes, task.row, search.START)
    return lambda **how: RowSeeker(*shown, **how), _first


def _weigh(task: Any) -> tuple[Player, Callable[[NDArray], NDArray]]:
    shown = (task.robot.layout, task.robot.cameras[0].classes, task.row, weigh.LINE, weigh.START)
    return lambda **how: BoxPusher(*shown, **how), _first


def _first(hidden: NDArray) -> NDArray:
    return hidden[:, 0]


SKILLED: dict[str, Callable[[Any], Any]] = {
    "embodied/Signpost-v0": lambda task: _signpost(task)[0](curious=True, sure=math.inf),
    "embodied/LightDark-v0": lambda task: _lightdark(task)[0](directed=True),
    "embodied/Search-v0": lambda task: _search(task)[0](directed=True),
    "embodied/Weigh-v0": lambda task: _weigh(task)[0](directed=True),
}
TRACKED = {"embodied/LightDark-v0": _pose_planner}  # whose hidden variables are continuous, and need a filter
_PLAYERS = {
    "embodied/Signpost-v0": _signpost,
    "embodied/LightDark-v0": _lightdark,
    "embodied/Search-v0": _search,
    "embodied/Weigh-v0": _weigh,
}
