"""The planner as an agent in the worlds of a task, and a policy over options that was learned from it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from embodied.agent import Carry, OptionAgent
from embodied.mind.options.outcome_table import OutcomeTable
from embodied.mind.options.search_targets import SearchTargets
from embodied.vector.spec import EnvSpec
from embodied.vector.vec import GymVecEnv
from embodied.world.evidence import Evidence
from embodied.world.imagination import Imagination
from embodied.world.problem import TaskProblem, labels_of
from embodied_envs import lightdark
from embodied_policies.option_policy import OptionPolicy, OptionPolicyAgent
from embodied_policies.proactive import ProactiveAgent
from embodied_policies.scripted.landmarks import LandmarkDriver
from embodied_policies.scripted.localize import PoseFilter, moved_alike
from embodied_policies.tracking import TrackingAgent
from embodied_scripts.players import option_agent

POSES = 16  # of which a plan in LightDark is made
IMAGINED = 48  # worlds in which the planner tries options
MEANWHILE = 0.2  # of the time in which the robot acts, spent on thinking ahead


def planning_agent(
    env: GymVecEnv,
    seconds: float = 0.9,
    samples: int | None = None,
    worlds: int = IMAGINED,
    meanwhile: float = MEANWHILE,
    options: OptionAgent | None = None,
    table: OutcomeTable | None = None,
    network: OptionPolicy | None = None,
    taught: list[SearchTargets] | None = None,
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
        network: what is known of beliefs from earlier plans; taught: to which is added what a network can learn.

    Raises:
        UnknownNameError: the task has neither options nor landmarks.
        OptionError: the task cannot imagine, or has no likelihood; or the network is for something else.
    """
    about = EnvSpec.of(env)
    real: Any = env.gym_env
    player = options or option_agent(about.id, getattr(real, "task", None))
    if network is not None or taught is not None:
        values, _ = labels_of(real)
        if network is not None:
            network.check(player.options, len(values))
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
        network,
        taught,
    )


def option_policy_agent(env: GymVecEnv, network: OptionPolicy, options: OptionAgent | None = None) -> OptionPolicyAgent:
    """A policy over options as an agent in the worlds of `env`.

    Raises:
        UnknownNameError: the task has neither options nor landmarks.
        OptionError: it was learned for other options, or what is seen there is no likelihood of labels.
    """
    real: Any = env.gym_env
    player = options or option_agent(EnvSpec.of(env).id, getattr(real, "task", None))
    _, prior = labels_of(real)
    whereabouts = _whereabouts(real) if isinstance(player, LandmarkDriver) else None
    return OptionPolicyAgent(network, player, Evidence.through(real), prior, real.task.control_hz, whereabouts)


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
        [(*lightdark.LAMP_AT, lightdark.LAMP)],
    )


TRACKED = {"embodied/LightDark-v0": _pose_planner}  # whose hidden variables are continuous, and need a filter
