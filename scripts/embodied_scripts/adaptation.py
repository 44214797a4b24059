"""`embodied adapt`: memory identifies what a robot is like; beside a policy that is told, and one that cannot know."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import tyro

from embodied.distributions import Choice
from embodied.randomisation import Randomisation, Vary
from embodied_scripts.rows import Row, by_condition, complete, mean_and_error, print_table

if TYPE_CHECKING:
    from gymnasium.vector import VectorEnv

CONDITIONS = ("no memory", "one step", "gru", "transformer", "told")
JUDGES = ("steady", "rewired")
WORLDS, STEPS, LEARNING_RATE, REWIRED_S = 32, 64, 1e-3, 2.0


def motors(every_s: float | None = None) -> Randomisation:
    """Motors that are wired either way, and half to twice as strong as thought; drawn anew within an episode, too.

    Every world keeps its motor: drawn for each episode, those in which the pole falls would hardly be met.
    """
    strengths = np.geomspace(0.5, 2.0, 9)
    either_way = Choice((*(-strengths).tolist(), *strengths.tolist()))
    return Randomisation((Vary("actuator_gear[*drive][0]", either_way, when="build", every_s=every_s),))


@dataclass
class Adaptation:
    """Balance a pole with a motor that may be wired either way: without memory, with memory, and told how it is.

    "no memory" sees what is measured now, "one step" also what it did last, and the networks with memory ("gru",
    "transformer") all of that since the episode began; "told" is as "one step", and is told the motor. They are trained
    where each world has a motor of its own (steady), and judged there and where it is drawn anew every 2 s (rewired),
    which none of them has met. Finished rows are kept, so an interrupted study goes on.
    """

    steps: int = 300_000
    """Of every training."""
    seeds: int = 3
    """Trainings of each kind."""
    episodes: int = 256
    """Judged on, by each policy."""
    only: tuple[str, ...] = CONDITIONS
    """Which kinds."""
    jobs: int = 0
    """Trainings at once, on one core each (0: one per core)."""
    out: Annotated[Path, tyro.conf.arg(name="run")] = Path("runs/adapt")
    """Folder of the study."""

    def run(self) -> None:
        """Trains and judges what is missing, and prints the table."""
        train = partial(_row, self.steps, self.episodes)
        settings = {"steps": self.steps, "episodes": self.episodes}
        rows = complete(self.out / "table.jsonl", self.only, CONDITIONS, self.seeds, self.jobs, train, **settings)
        show(rows)


def _row(steps: int, episodes: int, condition: str, seed: int) -> Row:
    """Trains one policy and judges it; runs in a process of its own."""
    import torch

    from embodied.learn.agents import NetworkAgent
    from embodied.learn.evaluate import evaluate
    from embodied.learn.ppo import SequencePPO
    from embodied.learn.vec import GymVecEnv
    from embodied_policies import GRUPolicy, MLPPolicy, TransformerPolicy

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    policy = {"gru": GRUPolicy, "transformer": TransformerPolicy}.get(condition, MLPPolicy)
    make = partial(_worlds, condition)
    model = SequencePPO(
        policy,
        make(WORLDS, None),
        seed=seed,
        learning_rate=lambda left: LEARNING_RATE * (0.1 + 0.9 * left),
        n_steps=STEPS,
        minibatches=WORLDS // 4,
        policy_kwargs={"context": 32} if condition == "transformer" else {},
        normalise=True,
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
    from embodied.learn.recall import Recall
    from embodied.learn.told import Told
    from embodied_scripts.balance import make_vec

    env: VectorEnv = make_vec(n, threads=1, autoreset_mode="SameStep", randomise=motors(every_s))
    if condition != "no memory":
        env = Recall(env, ("action",))
    return Told(env) if condition == "told" else env


def show(rows: list[Row]) -> None:
    """Prints how many episodes ended with the pole still up, by kind of policy."""
    lines = [
        [name, str(len(mine)), *(mean_and_error([row[where] for row in mine]) for where in JUDGES)]
        for name, mine in by_condition(rows, CONDITIONS).items()
        if mine
    ]
    columns = ("policy", "seeds", "one motor", f"another every {REWIRED_S:.0f} s")
    print_table("poles still up after 8 s ± standard error over seeds", columns, lines)
