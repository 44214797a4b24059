"""The baselines of each task: uninformed, heuristic and oracle."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from embodied.agent import Agent, Carry, OptionAgent
from embodied.errors import UnknownNameError
from embodied.evaluation.agents import RandomAgent, RowsAgent
from embodied.nn.agent import NetworkAgent
from embodied.nn.checkpoint import read_card
from embodied.nn.policy import load_policy
from embodied.selfplay.agents import SeatedAgent
from embodied.vector.spec import EnvSpec
from embodied.vector.vec import GymVecEnv
from embodied.world.observation import DictObservation
from embodied.world.problem import TaskProblem
from embodied_envs import feel, heft, lightdark, rummage, search, weigh
from embodied_envs.arm import so101
from embodied_envs.arm.tabletop import OPEN
from embodied_policies.proactive import ProactiveAgent
from embodied_policies.scripted.arm import ArmDriver
from embodied_policies.scripted.feel import ButtonSeeker, FeelWorld
from embodied_policies.scripted.heft import CubeLifter, HeftWorld
from embodied_policies.scripted.lightdark import PoseSeeker
from embodied_policies.scripted.localize import PoseFilter, moved_alike
from embodied_policies.scripted.rummage import Rummager, RummageWorld
from embodied_policies.scripted.search import RowSeeker
from embodied_policies.scripted.signpost import PadSeeker
from embodied_policies.scripted.weigh import BoxPusher
from embodied_policies.tracking import TrackingAgent
from embodied_policies.trained import trained_folder

POSES = 24  # of which a plan in LightDark is made
OPTIONS_AHEAD = {"embodied/LightDark-v0": 4, "embodied/Weigh-v0": 3}  # of a plan, where not to the end of the episode
Player = Callable[..., Agent]  # takes `heuristic` and `truth`


def baselines(env: GymVecEnv) -> dict[str, Agent]:
    """Returns random, uninformed (the best without information), heuristic (gathers it) and oracle (knows the truth).

    For an environment without scripted players, only random; so too for an arm whose actions are no velocities.
    """
    players: dict[str, Agent] = {"random": RandomAgent(env.action_space)}
    about = EnvSpec.of(env)
    make = _PLAYERS.get(about.id)
    if make is None or about.options.get("action", "velocities") != "velocities":
        return players
    player, truth = make(env.gym_env.task)  # type: ignore[attr-defined]
    hidden = lambda: truth(env.privileged["hidden"])  # noqa: E731
    made: dict[str, Agent] = {
        "uninformed": player(),
        "heuristic": player(heuristic=True),
        "oracle": player(truth=hidden),
    }
    form = getattr(env.gym_env, "form", None)
    if isinstance(form, DictObservation):
        made = {name: RowsAgent(one, form.rows) for name, one in made.items()}
    return players | made


def duel_players(env_id: str, duel: Any) -> dict[str, tuple[Agent, Agent]]:
    """Returns the players of a duel, the best first: trained where the package has such, scripted, random."""
    scripted = (duel.task.scripted(duel.seats[0]), duel.task.scripted(duel.seats[1]))
    random = RandomAgent(duel.seats[0].action_space)
    players = {"scripted": scripted, "random": (random, random)}
    folder = trained_folder(env_id.split("/")[-1])
    if folder is None:
        return players
    policy = load_policy(folder)
    return {"trained": (SeatedAgent(policy, 0), SeatedAgent(policy, 1))} | players


def trained_player(env_id: str, env: GymVecEnv) -> dict[str, Agent]:
    """The policy that comes with the package for an environment, if there is one and it sees and does the same."""
    folder = trained_folder(env_id.split("/")[-1])
    if folder is None:
        return {}
    own, other = (made.gym_env for made in (EnvSpec.from_jsonable(read_card(folder)["env"], folder).make(1), env))
    same = own.layout == other.layout and own.action_layout == other.action_layout  # type: ignore[attr-defined]
    policy = load_policy(folder)
    return {"trained": NetworkAgent(policy)} if same and policy.observation_space == env.observation_space else {}


def option_agent(env_id: str, task: Any) -> OptionAgent:
    """The scripted player of a task with options.

    Raises:
        UnknownNameError: nobody has written one for that task.
    """
    if env_id not in OPTION_TASKS:
        raise UnknownNameError("task with options to plan with", env_id, OPTION_TASKS)
    return OPTION_TASKS[env_id](task)


def planning_agent(
    env: GymVecEnv, seconds: float = 0.1, samples: int = 4, ahead: float | None = None
) -> ProactiveAgent | TrackingAgent:
    """The planner as an agent in the worlds of `env`; it imagines in `samples` more for each hidden value.

    A plan looks so many options `ahead` (None: as many as suit the task; `inf`: to the end of the episode).

    It knows where everything stands, the robot included, but for what is hidden. A continuous variable is tracked by a
    filter, and plans are made from values drawn from that (one world each).

    Raises:
        UnknownNameError: the task has no options.
        OptionError: the task cannot imagine, or has no likelihood.
    """
    about = EnvSpec.of(env)
    real: Any = env.gym_env
    player = option_agent(about.id, real.task)
    ahead = OPTIONS_AHEAD.get(about.id, math.inf) if ahead is None else ahead
    if about.id in TRACKED:
        return TRACKED[about.id](about, real, player, seconds, ahead)
    model_env = _worlds_beside(real, about, len(player.options) * len(real.hidden[0].labels), samples)
    agent = ProactiveAgent(
        lambda world, believed, carry: TaskProblem(
            model_env, player, real, world, world, believed=believed, carry=carry, options_ahead=ahead
        ),
        player,
        real.evidence,
        real.task.control_hz,
        seconds,
    )
    agent.effort.worlds = model_env.num_envs
    return agent


def _pose_planner(about: EnvSpec, real: Any, player: OptionAgent, seconds: float, ahead: float) -> TrackingAgent:
    """Plans where its own pose is hidden."""
    model_env = _worlds_beside(real, about, len(player.options) * POSES, 1)
    tracker = pose_filter(real.task)

    def problem_of(world: int, poses: NDArray, carry: Carry) -> TaskProblem:
        def evidence(obs: NDArray, value: NDArray) -> NDArray:
            pose = model_env.task.truth()[:, None]
            return tracker.evidence(moved_alike(pose, poses[value][:, None], poses[None]), obs)

        return TaskProblem(
            model_env, player, real, world, world, hypotheses=poses, evidence=evidence, carry=carry, options_ahead=ahead
        )

    agent = TrackingAgent(problem_of, player, tracker, real.task.control_hz, POSES, seconds)
    agent.effort.worlds = model_env.num_envs
    return agent


def _worlds_beside(real: Any, about: EnvSpec, lanes_per_world: int, samples: int) -> Any:
    """Worlds to imagine in: so many for each course of events, and another number than there are real ones."""
    worlds = (samples + (samples * lanes_per_world == real.num_envs)) * lanes_per_world
    threads = real.batch.threads
    return gym.make_vec(about.id, worlds, threads=threads, autoreset_mode="NextStep", **about.options)


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
    shown = (task.robot.layout, task.robot.line_cameras[0].classes, task.hidden[0].labels)
    return lambda **how: PadSeeker(*shown, **how), _first


def _lightdark(task: Any) -> tuple[Player, Callable[[NDArray], NDArray]]:
    (left, right), _ = lightdark.START
    about = ((left + right) / 2, 0.0, math.pi)
    room = (lightdark.HALF_X, lightdark.HALF_Y)
    shown = (task.robot.layout, room, lightdark.GOAL, about)
    return lambda **how: PoseSeeker(*shown, **how), np.array


def _search(task: Any) -> tuple[Player, Callable[[NDArray], NDArray]]:
    shown = (task.robot.layout, task.robot.line_cameras[0].classes, task.row, search.START)
    return lambda **how: RowSeeker(*shown, **how), _first


def _weigh(task: Any) -> tuple[Player, Callable[[NDArray], NDArray]]:
    shown = (task.robot.layout, task.robot.line_cameras[0].classes, task.row, weigh.LINE, weigh.START)
    return lambda **how: BoxPusher(*shown, **how), _first


def _feel(task: Any) -> tuple[Player, Callable[[NDArray], NDArray]]:
    world = FeelWorld(
        task.places, feel.LOW, feel.HIGH, feel.HEIGHT - feel.TRAVEL, feel.REACH, feel.TOUCH_LOAD, task.height_of,
        lambda height: task.pose(0.0, height, feel.CLOSED, beside=0.0),
    )  # fmt: skip
    return lambda **how: ButtonSeeker(arm_driver(task), world, **how), _first


def _heft(task: Any) -> tuple[Player, Callable[[NDArray], NDArray]]:
    heights = (heft.CARRY + heft.ABOVE, heft.REACHING, heft.CARRY)
    over, reach, lift = (task.pose(0.0, height, OPEN) for height in heights)
    carry, place = (task.pose(0.0, height, OPEN, beside=0.0) for height in (heft.CARRY, heft.REACHING))
    world = HeftWorld(
        np.array(heft.PLACES), heft.PAD, over, reach, lift, carry, place, OPEN, heft.CLOSED, 0.5 * task.heavier_by
    )
    return lambda **how: CubeLifter(arm_driver(task), world, **how), _first


def _rummage(task: Any) -> tuple[Player, Callable[[NDArray], NDArray]]:
    aside, push = (task.pose(0.0, height, rummage.AJAR, beside=0.0) for height in (rummage.HIGH, rummage.PUSHING))
    over, reach = (task.pose(0.0, height, OPEN) for height in (rummage.HIGH, rummage.REACHING))
    world = RummageWorld(task.places, aside, push, over, reach, rummage.CLOSED, task.sightings)
    return lambda **how: Rummager(arm_driver(task), world, **how), _first


def arm_driver(task: Any) -> ArmDriver:
    """What drives the arm of a task on a table."""
    return ArmDriver(task.robot.layout, so101.TOP_SPEED, 1 / task.control_hz)


def _first(hidden: NDArray) -> NDArray:
    return hidden[:, 0]


OPTION_TASKS: dict[str, Callable[[Any], Any]] = {
    "embodied/Signpost-v0": lambda task: _signpost(task)[0](heuristic=True, sure=math.inf),
    "embodied/LightDark-v0": lambda task: _lightdark(task)[0](directed=True),
    "embodied/Search-v0": lambda task: _search(task)[0](directed=True),
    "embodied/Weigh-v0": lambda task: _weigh(task)[0](directed=True),
    "embodied/Feel-v0": lambda task: _feel(task)[0](directed=True),
    "embodied/Heft-v0": lambda task: _heft(task)[0](directed=True),
    "embodied/Rummage-v0": lambda task: _rummage(task)[0](directed=True),
}
TRACKED = {"embodied/LightDark-v0": _pose_planner}  # whose hidden variables are continuous, and need a filter
_PLAYERS = {
    "embodied/Heft-v0": _heft,
    "embodied/Rummage-v0": _rummage,
    "embodied/Feel-v0": _feel,
    "embodied/Signpost-v0": _signpost,
    "embodied/LightDark-v0": _lightdark,
    "embodied/Search-v0": _search,
    "embodied/Weigh-v0": _weigh,
}
