"""What a training begins with: the policy of another run, a teacher, or demonstrations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from embodied.errors import OptionError

if TYPE_CHECKING:
    from embodied.agent import Agent
    from embodied.learn.policy import SequencePolicy
    from embodied.learn.ppo import SequencePPO
    from embodied.learn.vec import GymVecEnv
    from embodied_scripts.train import Train


def start_of(settings: Train) -> SequencePolicy | None:
    """The policy whose weights are the start; when resuming, the run's own, which is of the same size."""
    import embodied_policies
    from embodied.learn.policy import load_policy

    if settings.start_from is None:
        return None
    embodied_policies.register()
    return load_policy(Path(str(settings.run_dir) if settings.resume else settings.start_from) / "policy")


def teacher_of(name: str, env: Any) -> Agent:
    """The scripted player of the environment that finds out, or the policy of a run.

    Raises:
        UnknownNameError: there is neither.
    """
    import embodied_policies
    from embodied.errors import UnknownNameError
    from embodied.learn.agents import NetworkAgent
    from embodied.learn.policy import load_policy
    from embodied.learn.vec import as_vec_env
    from embodied_scripts.players import reference_players

    players = reference_players(cast("GymVecEnv", as_vec_env(env, None)))
    if name == "curious" and name in players:
        return players[name]
    if not (Path(name) / "policy").is_dir():
        raise UnknownNameError("teacher, player or run,", name, {"curious"} & {*players})
    embodied_policies.register()
    return NetworkAgent(load_policy(Path(name) / "policy"))


def study(model: SequencePPO, settings: Train) -> None:
    """Imitates demonstrations, if there are any."""
    from rich.console import Console

    from embodied.learn.demonstrations import Demonstrations

    if settings.demonstrations is None:
        return
    if settings.epochs < 1:
        raise OptionError(f"demonstrations are gone through at least once, not {settings.epochs} times")
    shown = Demonstrations.load(Path(settings.demonstrations))
    nats = model.study(shown, settings.epochs)
    last = float(np.mean(nats[-len(nats) // settings.epochs :]))
    said = f"Imitated {len(shown)} episodes of {settings.demonstrations}: {nats[0]:.2f} to {last:.2f} nats a decision"
    Console(soft_wrap=True).print(said, markup=False, highlight=False)
