"""What the planner decides, taught to a network: episodes, learning, and how well it agrees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from embodied.agent import Agent
from embodied.errors import OptionError
from embodied.evaluation.loop import play
from embodied.evaluation.observers import Returns
from embodied.learn.distillation import distill
from embodied.mind.options.search_targets import SearchTargets
from embodied.vector.spec import EnvSpec
from embodied.vector.vec import GymVecEnv, make_vec
from embodied.world.problem import labels_of
from embodied_policies.option_policy import OptionPolicy
from embodied_scripts.cli.distill import Distill
from embodied_scripts.cli.options import import_flags
from embodied_scripts.ids import parse_options, resolve_id
from embodied_scripts.planning import option_policy_agent, planning_agent
from embodied_scripts.players import option_agent
from embodied_scripts.records import begun
from embodied_scripts.training.progress import stoppable

POLICY, OUTCOMES = "policy", "outcomes.npz"
HELD_OUT = 0.1  # share of the beliefs that nothing is learned from


def distill_planner(asked: Distill) -> None:
    """Plays, with a bar, learns, and writes network and table."""
    if asked.episodes < 1 or asked.updates < 1 or not asked.seconds > 0:
        raise OptionError("episodes and updates must be at least 1, seconds above 0")
    if asked.out.exists() and (not asked.out.is_dir() or any(asked.out.iterdir())):
        raise OptionError(f"{asked.out} is there already, and not empty: name another folder")
    env = GymVecEnv(make_vec(resolve_id(asked.id), 1, **parse_options(asked.options)))
    network, taught = _untrained(env), list[SearchTargets]()
    agent = planning_agent(env, asked.seconds, taught=taught)
    making = begun("distill", asked, environment=EnvSpec.of(env).jsonable())
    episodes = _play(agent, env, asked.episodes, asked.seed)
    agreement, error = teach(network, taught, asked.updates)
    asked.out.mkdir(parents=True, exist_ok=True)
    network.save(asked.out / POLICY, {"env": EnvSpec.of(env).jsonable()})
    agent.table.save(asked.out / OUTCOMES)
    making.finish(asked.out / POLICY)
    env.close()
    done = (
        f"{len(agent.effort.decided_s)} decisions of {episodes} episodes; of beliefs kept back, the network decides "
        f"{agreement:.0%} as the planner does, and is off by {error:.3f} in what they are worth. Saved in {asked.out}. "
        f"Next: embodied bench think --task {asked.id} --network {asked.out}{import_flags()}"
    )
    Console(soft_wrap=True).print(done, markup=False, highlight=False)


def _untrained(env: GymVecEnv) -> OptionPolicy:
    """A network for what there is to decide; refused before anything is played if it could not act there."""
    real: Any = env.gym_env
    player = option_agent(EnvSpec.of(env).id, getattr(real, "task", None))
    values, _ = labels_of(real)
    network = OptionPolicy.untrained([*player.options], len(values))
    option_policy_agent(env, network)
    return network


def teach(network: OptionPolicy, taught: Sequence[SearchTargets], updates: int, seed: int = 0) -> tuple[float, float]:
    """Teaches a network what plans say.

    Returns:
        Of what was kept back: in which share of the beliefs it decides alike, and the mean error of their values.
    """
    rows, best, value, weight = network.lessons(taught)
    kept = np.random.default_rng(seed).random(len(rows)) < HELD_OUT
    learned = ~kept
    distill(
        network.policy, rows[learned], best[learned], value[learned].astype(np.float32), weight[learned],
        updates=updates, seed=seed,
    )  # fmt: skip
    return _agreement(network, *(array[kept] for array in (rows, best, value, weight)))


def _agreement(
    network: OptionPolicy, rows: NDArray, best: NDArray, value: NDArray, weight: NDArray
) -> tuple[float, float]:
    if not weight.sum() > 0:
        return float("nan"), float("nan")
    chances, judged = network.read(rows)
    share = weight / weight.sum()
    return float(share @ (chances.argmax(axis=1) == best)), float(share @ np.abs(judged - value))


def _play(agent: Agent, env: GymVecEnv, episodes: int, seed: int) -> int:
    """Lets the planner play until all episodes are over or a person stops it; how many there were."""
    played = Returns()
    with stoppable() as stopped, Progress(transient=True) as progress:
        task = progress.add_task("Planning", total=episodes)
        for _ in play(agent, env, seed, [played], episodes):
            progress.update(task, completed=len(played.reward))
            if stopped.is_set():
                break
    return len(played.reward)
