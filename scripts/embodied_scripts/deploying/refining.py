"""A policy that goes on learning what was found out about a robot."""

from __future__ import annotations

from pathlib import Path

from embodied.nn.checkpoint import read_card
from embodied.vector.spec import EnvSpec
from embodied_scripts.cli.train import Train
from embodied_scripts.runs import saved_policy
from embodied_scripts.training.initialization import IMITATION
from embodied_scripts.training.run import train_to_end


def train_on(
    target: str, folder: Path, steps: int, randomize: Path | None, seed: int = 0, threads: int = 0, n_envs: int = 128
) -> Path:
    """Lets a policy imitate its task's scripted player under another randomization; goes on where it stopped.

    Args:
        target: a run, or an environment with a policy; randomize: a file; None for what the task itself has.

    Returns:
        The folder of the run.

    Raises:
        EmbodiedError: a person stopped it.
    """
    spec = EnvSpec.from_jsonable(read_card(saved_policy(target)).get("env"), target)
    settings = Train(
        spec.id,
        steps,
        seed,
        folder,
        n_envs=n_envs,
        options=tuple(f"{name}={value!r}" for name, value in spec.options.items()),
        randomize=None if randomize is None else str(randomize.absolute()),
        start_from=target,
        expert="heuristic",
        threads=threads,
        ppo=IMITATION,
    )
    train_to_end(settings)
    return folder
