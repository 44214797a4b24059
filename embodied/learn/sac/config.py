"""The settings of `SequenceSAC`, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from embodied.errors import OptionError
from embodied.learn.config import LearnerConfig


@dataclass(frozen=True)
class SACConfig(LearnerConfig):
    """Hyperparameters of `SequenceSAC`. Names are those of Stable-Baselines3's SAC where it has them.

    Raises:
        OptionError: a value outside what is possible, or settings that do not fit each other.
    """

    learner: ClassVar[str] = "SequenceSAC"

    learning_rate: float = 1e-3
    """Of Adam, at the start."""
    n_steps: int = 64
    """Steps per environment and sequence; what is replayed is whole sequences, with the memory before them."""
    batch_size: int = 1024
    """Steps in a minibatch; it holds whole sequences, at least one."""
    max_grad_norm: float = 10.0
    """Norm at which gradients are clipped."""
    buffer_size: int = 300_000
    """Steps that are kept, over all environments together."""
    learning_starts: int = 2_000
    """Steps that are kept before the first update, also after a training was resumed."""
    gradient_steps: int = 96
    """Updates after each rollout."""
    burn_in: int = 1
    """Sequences before each one by which memory is brought up to date, and from which nothing is learned but where an
    episode begins within them. 0: memory is taken as it was."""
    tau: float = 0.005
    """Share by which target networks follow, per update."""
    n_critics: int = 2
    """Value networks; a target is the least of two of them, drawn by chance (REDQ; Chen et al. 2021)."""
    ent_coef_start: float = 0.005
    """Worth of a nat of entropy at first, in sizes of returns (root mean squares); it is learned."""
    target_entropy: float | None = None
    """Entropy that is kept [nats]. None: minus one per number of an action."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.buffer_size, self.gradient_steps) < 1 or self.n_critics < 2 or self.n_steps < 2:
            raise OptionError("buffer_size and gradient_steps are at least 1, n_critics and n_steps at least 2")
        if self.burn_in < 0:
            raise OptionError("burn_in is a number of sequences: 0 or more")
        if self.compile or self.shaping_curriculum:
            raise OptionError("compile and shaping_curriculum are for SequencePPO")
        if not 0 < self.tau <= 1 or not self.ent_coef_start > 0:
            raise OptionError("tau is above 0 and at most 1, and ent_coef_start above 0")
