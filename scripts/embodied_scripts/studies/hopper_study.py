"""A public check of transfer: from a Hopper whose torso is too light to the Hopper as it is."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from embodied.evaluation.report import evaluate
from embodied.learn.ppo import SequencePPO
from embodied.nn.agent import NetworkAgent
from embodied.nn.policy import SequencePolicy
from embodied.randomization.distributions import Choice, Uniform
from embodied.randomization.spec import ADR, Randomization, RandomizationTerm
from embodied.vector.privileged import PrivilegedObs
from embodied.vector.vec import GymVecEnv
from embodied_scripts.cli.study_hopper_transfer import CONDITIONS, HopperTransfer
from embodied_scripts.cli.train import MANY_WORLDS
from embodied_scripts.studies.hopper import make_vec
from embodied_scripts.studies.results import Row, by_condition, complete, mean_and_error, print_table

TORSO_KG, MISSING_KG = 3.66519, 1.0  # of Gymnasium's Hopper, and how much lighter it is thought to be


LIGHTER = 1 - MISSING_KG / TORSO_KG


JUDGES = {"source": "naive", "target": "target"}  # where policies are judged, and as whose training that is


ABOUT = 0.5  # masses differ by so much of what they are thought to be


WORLDS, STEPS, LEARNING_RATE = 16, 128, 3e-4


def worlds_of(condition: str) -> Randomization:
    """What each trains under; where masses differ, that of the torso does so about what it is thought to be."""
    thought = Randomization((RandomizationTerm("density[*torso]", Choice((LIGHTER,))),))
    if condition == "naive":
        return thought
    if condition == "target":
        return Randomization()  # as Gymnasium has it
    torso = RandomizationTerm("density[*torso]", Uniform((1 - ABOUT) * LIGHTER, (1 + ABOUT) * LIGHTER))
    rest = [RandomizationTerm(f"density[*{part}]", Uniform(1 - ABOUT, 1 + ABOUT)) for part in ("thigh", "leg", "foot")]
    return Randomization((torso, *rest), ADR() if condition == "widened" else None)


def transfer_hopper(asked: HopperTransfer) -> None:
    """Trains and judges what is missing, and prints the table."""
    show(complete(asked, CONDITIONS, _row))


def _row(steps: int, episodes: int, condition: str, seed: int) -> Row:
    """Trains one policy and judges it on both Hoppers; runs in a process of its own."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    make = partial(_worlds, condition)
    model = SequencePPO(
        "GRUPolicy" if condition == "memory" else "MlpPolicy",
        make(WORLDS, worlds_of(condition)),
        MANY_WORLDS,
        seed=seed,
        learning_rate=LEARNING_RATE,
        learning_rate_end=0.1 * LEARNING_RATE,
        n_steps=STEPS,
        minibatches=WORLDS if condition == "memory" else 2 * WORLDS,
        n_epochs=10,
        normalize=True,
        policy_kwargs={"initial_std": 1.0},
        device="cpu",
    )
    model.learn(steps)
    judged = {
        where: _mean_return(model.policy, make(64, worlds_of(world)), episodes) for where, world in JUDGES.items()
    }
    return {"condition": condition, "seed": seed, "steps": steps, "episodes": episodes} | judged


def _worlds(condition: str, n: int, randomize: Randomization) -> GymVecEnv:
    """Worlds as a condition observes them; privileged observations hold all that may differ, even where it does not."""
    if condition != "privileged":
        return GymVecEnv(make_vec(n, threads=1, autoreset_mode="SameStep", randomize=randomize))
    given = {term.what: term for term in randomize.terms}
    every = [
        given.get(term.what, RandomizationTerm(term.what, Choice((1.0,)))) for term in worlds_of("privileged").terms
    ]
    return GymVecEnv(
        PrivilegedObs(make_vec(n, threads=1, autoreset_mode="SameStep", randomize=Randomization(tuple(every))))
    )


def _mean_return(policy: SequencePolicy, env: GymVecEnv, episodes: int) -> float:
    report = evaluate(NetworkAgent(policy, deterministic=True), env, episodes)
    env.close()
    return report.reward


def show(rows: list[Row]) -> None:
    """Prints returns by condition, and how they compare with those of the naive on its own Hopper."""
    by = by_condition(rows, CONDITIONS)
    at_home = np.mean([row["source"] for row in by["naive"]]) if by["naive"] else np.nan
    lines = [
        [
            name,
            str(len(mine)),
            *(mean_and_error([row[where] for row in mine], ",.0f") for where in JUDGES),
            f"{np.mean([row['target'] for row in mine]) / at_home:.0%}",
        ]
        for name, mine in by.items()
        if mine
    ]
    columns = ("trained", "seeds", "on the lighter", "on the Hopper as it is", "÷ naive on the lighter")
    print_table("return ± standard error over seeds", columns, lines)
