"""Memory identifies what a robot is like; beside a policy with privileged observations, and one that cannot know."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from embodied.evaluation.report import evaluate
from embodied.learn.ppo import SequencePPO
from embodied.nn.agent import NetworkAgent
from embodied.randomization.distributions import Choice
from embodied.randomization.spec import Randomization, RandomizationTerm
from embodied.vector.previous_action import PreviousAction
from embodied.vector.privileged import PrivilegedObs
from embodied.vector.vec import GymVecEnv
from embodied_scripts.cli.study_adaptation import CONDITIONS, Adaptation
from embodied_scripts.cli.train import MANY_WORLDS
from embodied_scripts.studies.balance import make_vec
from embodied_scripts.studies.results import Row, by_condition, complete, mean_and_error, print_table

JUDGES = ("steady", "rewired")


WORLDS, STEPS, LEARNING_RATE, REWIRED_S = 32, 64, 1e-3, 2.0


def motors(every_s: float | None = None) -> Randomization:
    """Motors that are wired either way, and half to twice as strong as thought; drawn anew within an episode, too.

    Every world keeps its motor: drawn for each episode, those in which the pole falls would hardly be met.
    """
    strengths = np.geomspace(0.5, 2.0, 9)
    either_way = Choice((*(-strengths).tolist(), *strengths.tolist()))
    return Randomization((RandomizationTerm("actuator_gear[*drive][0]", either_way, when="build", every_s=every_s),))


def adapt(asked: Adaptation) -> None:
    """Trains and judges what is missing, and prints the table."""
    show(complete(asked, CONDITIONS, _row))


def _row(steps: int, episodes: int, condition: str, seed: int) -> Row:
    """Trains one policy and judges it; runs in a process of its own."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    policy = {"gru": "GRUPolicy", "transformer": "TransformerPolicy"}.get(condition, "MlpPolicy")
    make = partial(_worlds, condition)
    model = SequencePPO(
        policy,
        make(WORLDS, None),
        MANY_WORLDS,
        seed=seed,
        learning_rate=LEARNING_RATE,
        learning_rate_end=0.1 * LEARNING_RATE,
        n_steps=STEPS,
        minibatches=WORLDS // 4,
        policy_kwargs={"context": 32} if condition == "transformer" else {},
        normalize=True,
        device="cpu",
    )
    model.learn(steps)
    judged = {}
    for where, every_s in zip(JUDGES, (None, REWIRED_S), strict=True):
        env = GymVecEnv(make(64, every_s))
        report = evaluate(NetworkAgent(model.policy, deterministic=True), env, episodes)
        judged[where] = report.success
        env.close()
    return {"condition": condition, "seed": seed, "steps": steps, "episodes": episodes} | judged


def _worlds(condition: str, n: int, every_s: float | None) -> VectorEnv:
    """Worlds as a condition observes them.

    Nothing can be identified without knowing what was done; who sees that beside the speeds that it led to has one step
    of memory already.
    """
    env: VectorEnv = make_vec(n, threads=1, autoreset_mode="SameStep", randomize=motors(every_s))
    if condition in ("one step", "privileged"):  # who has a memory reads what it did of itself
        env = PreviousAction(env, ("action",))
    return PrivilegedObs(env) if condition == "privileged" else env


def show(rows: list[Row]) -> None:
    """Prints how many episodes ended with the pole still up, by kind of policy."""
    lines = [
        [name, str(len(mine)), *(mean_and_error([row[where] for row in mine]) for where in JUDGES)]
        for name, mine in by_condition(rows, CONDITIONS).items()
        if mine
    ]
    columns = ("policy", "seeds", "one motor", f"another every {REWIRED_S:.0f} s")
    print_table("poles still up after 8 s ± standard error over seeds", columns, lines)
