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
from embodied.mind.options.outcome_table import OutcomeTable
from embodied.nn.agent import NetworkAgent
from embodied.nn.checkpoint import read_card
from embodied.nn.policy import load_policy
from embodied.selfplay.agents import SeatedAgent
from embodied.vector.spec import EnvSpec
from embodied.vector.vec import GymVecEnv
from embodied.world.evidence import Evidence
from embodied.world.imagination import Imagination
from embodied.world.observation import DictObservation
from embodied.world.problem import TaskProblem
from embodied_envs import feel, heft, lightdark, rummage, search, weigh
from embodied_envs.arm import so101
from embodied_envs.arm.tabletop import OPEN
from embodied_policies.proactive import ProactiveAgent
from embodied_policies.scripted.arm import ArmDriver
from embodied_policies.scripted.feel import ButtonSeeker, FeelWorld
from embodied_policies.scripted.heft import CubeLifter, HeftWorld
from embodied_policies.scripted.landmarks import LandmarkDriver
from embodied_policies.scripted.lightdark import PoseSeeker
from embodied_policies.scripted.localize import PoseFilter, moved_alike
from embodied_policies.scripted.rummage import Rummager, RummageWorld
from embodied_policies.scripted.search import RowSeeker
from embodied_policies.scripted.signpost import PadSeeker
from embodied_policies.scripted.weigh import BoxPusher
from embodied_policies.tracking import TrackingAgent
from embodied_policies.trained import trained_folder

POSES = 16  # of which a plan in LightDark is made
IMAGINED = 48  # worlds in which the planner tries options
MEANWHILE = 0.2  # of the time in which the robot acts, spent on thinking ahead
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
    """The scripted player of a task with options, or one that goes to the task's landmarks and looks at them.

    Raises:
        UnknownNameError: nobody has written one for that task, and it names no landmarks.
    """
    if env_id in OPTION_TASKS:
        return OPTION_TASKS[env_id](task)
    if task is None or not task.landmarks():
        raise UnknownNameError("task with options or landmarks to plan with", env_id, OPTION_TASKS)
    return LandmarkDriver(task.robot.layout, list(task.landmarks()))


def planning_agent(
    env: GymVecEnv,
    seconds: float = 0.9,
    samples: int | None = None,
    worlds: int = IMAGINED,
    meanwhile: float = MEANWHILE,
    options: OptionAgent | None = None,
    table: OutcomeTable | None = None,
) -> ProactiveAgent | TrackingAgent:
    """The planner as an agent in the worlds of `env`; it tries options in `worlds` beside these.

    It knows where everything stands, the robot included, but for what is hidden. A continuous variable is tracked by a
    filter, and plans are made from values drawn from that.

    Args:
        seconds: of thought for each decision, at most; meanwhile: share of the time in which the robot acts that is
            spent on thinking ahead.
        samples: of what an option leads to, for each hidden value; None for as many as it takes to judge by them.
        table: of what options lead to, from earlier episodes (`OutcomeTable.load`); it goes on with it.
        options: who acts, with options to plan with; None for the player of the task (see `option_agent`).

    Raises:
        UnknownNameError: the task has neither options nor landmarks.
        OptionError: the task cannot imagine, or has no likelihood.
    """
    about = EnvSpec.of(env)
    real: Any = env.gym_env
    player = options or option_agent(about.id, getattr(real, "task", None))
    imagination = Imagination(_worlds_beside(real, about, worlds), player)
    if about.id in TRACKED:
        return TRACKED[about.id](real, imagination, seconds, table)
    evidence = Evidence.through(real)
    times = samples or _samples(evidence)
    return ProactiveAgent(
        lambda world, believed, carry: TaskProblem(
            imagination, real, world, world, times, believed=believed, carry=carry
        ),
        player,
        evidence,
        real.task.control_hz,
        imagination,
        _whereabouts(real) if isinstance(player, LandmarkDriver) else None,
        seconds,
        meanwhile,
        table,
    )


def _samples(evidence: Evidence) -> int:
    """Where evidence is exact, one is enough; else their spread counts; and of pictures, what differs by chance."""
    if evidence.exact:
        return 1
    return 2 if evidence.declared else 6


def _whereabouts(real: Any) -> Callable[[], NDArray]:
    """Where robots stand, and the landmarks of their worlds, `(N, 3 + 2 L)`."""

    def estimate() -> NDArray[np.float64]:
        return np.column_stack([real.body.xy, real.body.heading, *real.task.landmarks().values()])

    return estimate


def _pose_planner(real: Any, imagination: Imagination, seconds: float, table: OutcomeTable | None) -> TrackingAgent:
    """Plans where its own pose is hidden."""
    tracker = pose_filter(real.task)

    def problem_of(world: int, poses: NDArray, carry: Carry) -> TaskProblem:
        def evidence(obs: NDArray, worlds: NDArray, value: NDArray) -> NDArray:
            pose = imagination.env.task.truth()[worlds, None]
            return tracker.evidence(moved_alike(pose, poses[value][:, None], poses[None]), obs)

        return TaskProblem(imagination, real, world, world, hypotheses=poses, evidence=evidence, carry=carry)

    return TrackingAgent(
        problem_of, imagination.agent, tracker, real.task.control_hz, imagination, POSES, seconds, table
    )


def _worlds_beside(real: Any, about: EnvSpec, worlds: int) -> Any:
    """Worlds to imagine in, another number than there are real ones."""
    worlds += worlds == real.num_envs
    return gym.make_vec(about.id, worlds, autoreset_mode="NextStep", **about.options)


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
    light = ((lightdark.EDGE - lightdark.HALF_X) / 2, 0.0)
    shown = (task.robot.layout, room, lightdark.GOAL, about, light)
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
