"""`embodied train-sac`: a policy learns an environment off policy."""

from __future__ import annotations

from dataclasses import dataclass, field

import tyro

from embodied.learn.config import PPOConfig
from embodied.learn.sac.config import SACConfig
from embodied_scripts.cli.train import MANY_WORLDS, Train


@dataclass(frozen=True)
class TrainSAC(Train):
    """Train a policy with continuous actions by soft actor-critic: fewer steps than `embodied train`, more time for
    each. Ctrl-C saves and stops; `--resume` goes on, with an empty replay."""

    n_envs: int = 16
    """Worlds that move at once."""
    ppo: tyro.conf.SuppressFixed[tyro.conf.Fixed[PPOConfig]] = MANY_WORLDS
    """Hyperparameters of another algorithm."""
    sac: SACConfig = field(default_factory=SACConfig)
    """Hyperparameters of soft actor-critic."""
