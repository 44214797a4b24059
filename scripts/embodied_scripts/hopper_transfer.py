"""`embodied hopper`: a public check of transfer, from a Hopper whose torso is too light to the Hopper as it is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import tyro

from embodied.distributions import Choice, Uniform
from embodied.randomisation import Randomisation, Vary, Widening
from embodied_scripts.rows import Row, by_condition, complete, mean_and_error, print_table

if TYPE_CHECKING:
    from embodied.learn.policy import SequencePolicy
    from embodied.learn.vec import GymVecEnv

CONDITIONS = ("naive", "uniform", "widened", "target", "memory", "told")
TORSO_KG, MISSING_KG = 3.66519, 1.0  # of Gymnasium's Hopper, and how much lighter it is thought to be
LIGHTER = 1 - MISSING_KG / TORSO_KG
JUDGES = {"source": "naive", "target": "target"}  # where policies are judged, and as whose training that is
ABOUT = 0.5  # masses differ by so much of what they are thought to be
WORLDS, STEPS, LEARNING_RATE = 16, 128, 3e-4


def worlds_of(condition: str) -> Randomisation:
    """What each trains under; where masses differ, that of the torso does so about what it is thought to be."""
    thought = Randomisation((Vary("density[*torso]", Choice((LIGHTER,))),))
    if condition == "naive":
        return thought
    if condition == "target":
        return Randomisation()  # as Gymnasium has it
    torso = Vary("density[*torso]", Uniform((1 - ABOUT) * LIGHTER, (1 + ABOUT) * LIGHTER))
    rest = [Vary(f"density[*{part}]", Uniform(1 - ABOUT, 1 + ABOUT)) for part in ("thigh", "leg", "foot")]
    return Randomisation((torso, *rest), Widening() if condition == "widened" else None)


@dataclass
class HopperTransfer:
    """Train Gymnasium's Hopper with its torso 1 kg lighter (naive, and with masses that differ from world to world),
    and as it is; judge all on the Hopper as it is. Beside the network without memory, one with memory, which can find
    the masses out, and one that is told them.

    Finished rows are kept in the folder, so an interrupted study goes on.
    """

    steps: int = 1_000_000
    """Of every training."""
    seeds: int = 5
    """Trainings of each kind."""
    episodes: int = 128
    """Judged on, by each policy."""
    only: tuple[str, ...] = CONDITIONS
    """Which kinds."""
    jobs: int = 0
    """Trainings at once, on one core each (0: one per core)."""
    out: Annotated[Path, tyro.conf.arg(name="run")] = Path("runs/hopper")
    """Folder of the study."""

    def run(self) -> None:
        """Trains and judges what is missing, and prints the table."""
        train = partial(_row, self.steps, self.episodes)
        settings = {"steps": self.steps, "episodes": self.episodes}
        rows = complete(self.out / "table.jsonl", self.only, CONDITIONS, self.seeds, self.jobs, train, **settings)
        show(rows)


def _row(steps: int, episodes: int, condition: str, seed: int) -> Row:
    """Trains one policy and judges it on both Hoppers; runs in a process of its own."""
    import torch

    from embodied.learn.ppo import SequencePPO
    from embodied_policies import GRUPolicy, MLPPolicy

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    make = partial(_worlds, condition)
    model = SequencePPO(
        GRUPolicy if condition == "memory" else MLPPolicy,
        make(WORLDS, worlds_of(condition)),
        seed=seed,
        learning_rate=lambda left: LEARNING_RATE * (0.1 + 0.9 * left),
        n_steps=STEPS,
        minibatches=WORLDS if condition == "memory" else 2 * WORLDS,
        n_epochs=10,
        normalise=True,
        policy_kwargs={"initial_std": 1.0},
        device="cpu",
    )
    model.learn(steps)
    judged = {
        where: _mean_return(model.policy, make(64, worlds_of(world)), episodes) for where, world in JUDGES.items()
    }
    return {"condition": condition, "seed": seed, "steps": steps, "episodes": episodes} | judged


def _worlds(condition: str, n: int, randomise: Randomisation) -> GymVecEnv:
    """Worlds as a condition observes them; who is told is told of all that may differ, even where it does not."""
    from embodied.learn.told import Told
    from embodied.learn.vec import GymVecEnv
    from embodied_scripts.hopper import make_vec

    if condition != "told":
        return GymVecEnv(make_vec(n, threads=1, autoreset_mode="SameStep", randomise=randomise))
    given = {vary.what: vary for vary in randomise.vary}
    every = [given.get(vary.what, Vary(vary.what, Choice((1.0,)))) for vary in worlds_of("told").vary]
    return GymVecEnv(Told(make_vec(n, threads=1, autoreset_mode="SameStep", randomise=Randomisation(tuple(every)))))


def _mean_return(policy: SequencePolicy, env: GymVecEnv, episodes: int) -> float:
    from embodied.learn.agents import NetworkAgent
    from embodied.learn.evaluate import evaluate

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
