"""What a training begins with: the policy of another run, an expert, or demonstrations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from embodied.agent import Agent
from embodied.errors import OptionError, UnknownNameError
from embodied.learn.cloning import Demonstrations
from embodied.learn.learner import SequenceLearner
from embodied.learn.ppo import SequencePPO
from embodied.nn.policy import SequencePolicy, load_policy
from embodied.vector.vec import GymVecEnv
from embodied_scripts.baselines import baselines
from embodied_scripts.cli.train import MANY_WORLDS, Train
from embodied_scripts.runs import saved_agent, saved_policy

# An expert is imitated alone, with noise on its actions in every other world (DART; Laskey et al. 2017).
IMITATION = replace(MANY_WORLDS, dagger_share=1.0, dagger_learner_share=0.0, dagger_noise=0.3, dagger_spread=0.05)


def start_of(settings: Train) -> SequencePolicy | None:
    """The policy whose weights are the start; when resuming, the run's own, which is of the same size."""
    if settings.start_from is None:
        return None
    return load_policy(saved_policy(str(settings.run_dir) if settings.resume else settings.start_from))


def expert_of(name: str, env: GymVecEnv) -> Agent:
    """The scripted player of the environment that gathers information, the policy of a run, or one over options.

    Raises:
        UnknownNameError: there is neither.
    """
    players = baselines(env)
    if name == "heuristic" and name in players:
        return players[name]
    if not (Path(name) / "policy").is_dir():
        raise UnknownNameError("expert, player or run,", name, {"heuristic"} & {*players})
    return saved_agent(Path(name) / "policy", env)


def clone_demonstrations(model: SequenceLearner, settings: Train) -> None:
    """Behavior cloning, if there are demonstrations."""
    if settings.demonstrations is None:
        return
    if settings.cloning_epochs < 1:
        raise OptionError(f"demonstrations are gone through at least once, not {settings.cloning_epochs} times")
    assert isinstance(model, SequencePPO)
    data = Demonstrations.load(Path(settings.demonstrations))
    with Progress(transient=True) as progress:
        bar = progress.add_task("Cloning", total=settings.cloning_epochs)
        nats = model.clone(data, settings.cloning_epochs, lambda epoch: progress.update(bar, completed=epoch))
    last = float(np.mean(nats[-len(nats) // settings.cloning_epochs :]))
    done = f"Imitated {len(data)} episodes of {settings.demonstrations}: {nats[0]:.2f} to {last:.2f} nats a decision"
    Console(soft_wrap=True).print(done, markup=False, highlight=False)
