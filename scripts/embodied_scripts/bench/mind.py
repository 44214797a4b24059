"""How fast the mind thinks, and whether it knows what it knows."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from embodied.mind.particles import ParticleBelief
from embodied.mind.problem import Simulator
from embodied.mind.rollouts import Rollouts, draw_scenarios
from embodied.mind.solver.explicit import ExplicitModel
from embodied.mind.solver.values import Values
from embodied.mind.states import StateSet
from embodied.world.imagination import Imagination
from embodied.world.problem import TaskProblem
from embodied_scripts.bench.beliefs import pose_coverage
from embodied_scripts.bench.rounds import take_turns
from embodied_scripts.players import option_agent
from embodied_scripts.studies.classics import SimpleLightDark


def mind_rates(rounds: int, worlds: int = 256, steps: int = 40) -> dict[str, list[float]]:
    """Particle steps per second: what the planner's policies simulate, and bare simulation of as many particles."""
    problem = SimpleLightDark()
    rng = np.random.default_rng(0)
    simulator = Simulator(problem, rng)
    listed = StateSet(simulator, 20_000, 2000, rng)
    values = Values.of(simulator, listed, ExplicitModel.of(simulator, listed, rng), rng)
    policies = Rollouts(simulator, values, 2000, rng).policies
    beliefs = draw_scenarios(ParticleBelief(problem, 2000, rng), worlds)
    k, m = beliefs.weights.shape
    flat = beliefs.states.reshape(k * m).copy()

    def thinking() -> int:
        now = beliefs
        for t in range(steps):
            now, _, _ = policies.step(now, np.full(k, 1 + 2 * (t % 2)), rng)  # never the action that ends it
            policies.choose(now, np.zeros(k, np.intp))
        return steps * k * (m + 1)

    def bare() -> int:
        states = flat
        for t in range(steps):
            states, _, _, _ = problem.step(states, problem.actions[1 + 2 * (t % 2)], rng)
        return steps * k * m

    return take_turns({"the planner's policies": thinking, "the problem alone": bare}, rounds)


def imagination_rates(rounds: int, worlds: int = 48, steps: int = 0) -> dict[str, list[float]]:
    """Decisions of a world per second: as the planner imagines options in Signpost, and bare physics of as many worlds.

    `steps` is as long as options take.
    """
    env_id = "embodied/Signpost-v0"
    here: Any = gym.make_vec(env_id, 1)
    bare: Any = gym.make_vec(env_id, worlds)
    for env in (here, bare):
        env.reset(seed=0)
    model_env: Any = gym.make_vec(env_id, worlds, autoreset_mode="NextStep")
    imagination = Imagination(model_env, option_agent(env_id, here.task))
    many = worlds // len(here.hidden[0].labels)

    def playing_options() -> int:
        before = imagination.simulated_s
        TaskProblem(imagination, here, samples=many).outcome(0, "look")
        return round((imagination.simulated_s - before) * here.task.control_hz)

    def stepping() -> int:
        for _ in range(20):
            bare.batch._engine.step(nstep=bare.substeps)
        return 20 * worlds

    rates = take_turns({"playing options": playing_options, "bare physics": stepping}, rounds)
    for env in (here, bare, model_env):
        env.close()
    return rates


def show_coverage(episodes: int) -> None:
    """Prints how well the particle filter knows what it knows."""
    inside, at_end = pose_coverage(episodes)
    print(
        f"LightDark-v0, {episodes} episodes: the true pose lies in the 90 % region of the particle filter at "
        f"{100 * inside:.1f} % of all decisions, and at {100 * at_end:.1f} % of the last ones"
    )
