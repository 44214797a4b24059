"""The settings of learners, as data: written whole into checkpoints, embedded by the command line."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar, Literal, Self

from embodied.errors import OptionError

Schedule = Callable[[float], float]  # of the progress that remains, from 1 to 0


@dataclass(frozen=True)
class LearnerConfig:
    """What all learners of sequences have in common. Names are those of Stable-Baselines3 where it has them.

    Raises:
        OptionError: a value outside what is possible, or settings that do not fit each other.
    """

    learner: ClassVar[str]

    learning_rate: float = 3e-4
    """Of Adam, at the start."""
    learning_rate_end: float | None = None
    """Of Adam, at the end of the training; it falls linearly. None: constant."""
    n_steps: int = 2048
    """Steps per environment and rollout."""
    batch_size: int = 64
    """Steps in a minibatch; it holds whole sequences, at least one."""
    gamma: float = 0.99
    """Discount of reward, per step."""
    max_grad_norm: float = 0.5
    """Norm at which gradients are clipped."""
    stats_window_size: int = 100
    """Episodes over which the logged return and success are averaged."""
    belief_coef: float = 0.1
    """Weight of the loss of the belief head, which predicts the hidden variables."""
    state_coef: float = 0.0
    """Weight of the loss of a head that predicts the privileged state, by which features come to tell where things
    are; 0: no such head."""
    forward_model_coef: float = 0.0
    """Weight of the loss of the forward model, which predicts the next observation; 0: no such head."""
    intrinsic_coef: float = 0.0
    """Weight of the intrinsic reward: prediction error of the forward model, in units of its standard deviation."""
    information_coef: float = 0.0
    """Reward per nat by which the belief about the hidden variables becomes more certain; potential-based."""
    reward_coef: float = 1.0
    """Weight of the environment's reward; 0: learn from intrinsic reward alone."""
    privileged_critic: bool = True
    """Let the critic see `info["state"]` and `info["hidden"]` where the environment has them; the policy never does."""
    shaping: bool = True
    """Add the environment's potential-based shaping, which leaves the optimal policy unchanged."""
    shaping_curriculum: float | None = None
    """Share of the training during which the potential at the end of an episode counts as reward, and failures are
    bootstrapped as if the episode went on, annealed to neither. None: what the environment recommends, else 0."""
    normalize: bool = False
    """Normalize observations by their running mean and standard deviation: for infinite or very wide bounds."""
    bad_numbers: Literal["stop", "drop"] = "stop"
    """What an observation or a reward that is no number, or beyond 1e12, does: end the training with an error ("stop"),
    or leave out the steps that it touches ("drop")."""
    bfloat16: bool = False
    """Let encoder and core calculate in bfloat16; worth it on a GPU."""
    compile: bool = False
    """Fuse the network's operations with `torch.compile`; needs a minute and a C++ compiler (GPU: Triton)."""

    def __post_init__(self) -> None:
        if min(self.n_steps, self.batch_size) < 1:
            raise OptionError("n_steps and batch_size must be at least 1")
        if not 0 <= self.gamma <= 1:
            raise OptionError(f"gamma is from 0 to 1, not {self.gamma}")
        if self.belief_coef < 0:
            raise OptionError("belief_coef is at least 0")
        if self.state_coef < 0 or (self.state_coef and not self.privileged_critic):
            raise OptionError("state_coef is at least 0, and needs privileged_critic, which reads the state")
        if self.bad_numbers not in ("stop", "drop"):
            raise OptionError(f"bad_numbers is 'stop' or 'drop', not {self.bad_numbers!r}")
        if self.intrinsic_coef and (not self.forward_model_coef or self.n_steps < 2):
            raise OptionError("intrinsic_coef needs a forward model: give forward_model_coef, too, and n_steps above 1")

    def with_settings(self, settings: Mapping[str, Any]) -> Self:
        """Returns this configuration with other values of some settings.

        Raises:
            OptionError: there is no such setting; the message names the nearest.
        """
        known = [one.name for one in fields(self)]
        for name in settings:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                raise OptionError(f"{self.learner} has no setting {name!r}{hint} Known: {', '.join(known)}")
        return replace(self, **settings)

    @property
    def learning_rate_schedule(self) -> Schedule:
        """The learning rate as a function of the progress that remains."""
        return linear(self.learning_rate, self.learning_rate_end)

    def jsonable(self) -> dict[str, Any]:
        """Every setting as JSON; a schedule that is a function becomes None."""
        return {name: None if callable(value) else value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class PPOConfig(LearnerConfig):
    """Hyperparameters of `SequencePPO`. Names and defaults are those of Stable-Baselines3's PPO where it has them.

    Its defaults suit one to a few environments. For a hundred worlds at once, `n_steps=64`, `n_epochs=4`,
    `batch_size=512` and `learning_rate=5e-4` are what this project measures with.

    Raises:
        OptionError: a value outside what is possible, or settings that do not fit each other.
    """

    learner: ClassVar[str] = "SequencePPO"

    minibatches: int | None = None
    """Number of minibatches per epoch, in place of `batch_size`."""
    n_epochs: int = 10
    """Passes over a rollout."""
    gae_lambda: float = 0.95
    """Lambda of generalized advantage estimation."""
    clip_range: float = 0.2
    """By how much the probability ratio may differ from 1, at the start."""
    clip_range_end: float | None = None
    """The same at the end of the training; it changes linearly. None: constant."""
    clip_range_vf: float | None = None
    """By how much a value may differ from the one at the time of the rollout. None: not clipped."""
    normalize_advantage: bool = True
    """Bring the advantages of a minibatch to zero mean and unit standard deviation."""
    ent_coef: float = 0.0
    """Weight of the entropy bonus."""
    vf_coef: float = 0.5
    """Weight of the value loss."""
    use_sde: bool = False
    """Explore with noise that depends on the state (generalized state-dependent exploration)."""
    sde_sample_freq: int = -1
    """Steps after which that noise is sampled anew; -1: once per rollout."""
    target_kl: float | None = None
    """End an update when the policy has moved further than one and a half times this. None: never."""
    dagger_share: float = 0.3
    """Share of the training in which an expert is imitated (DAgger), if one is given."""
    dagger_learner_share: float = 1.0
    """Share of the worlds in which the learner acts at the end of DAgger; it grows from 0, at which the expert acts."""
    dagger_noise: float = 0.0
    """Standard deviation of noise on the expert's actions in every other of its worlds, in half ranges."""
    dagger_spread: float = 0.2
    """Least standard deviation of actions after DAgger, in half ranges: what is left to explore with."""
    dagger_epochs: int = 8
    """What is learned meanwhile from each rollout and all before it: updates, in passes over as many steps."""
    kickstarting_coef: float = 0.0
    """Weight of imitating the expert after that, beside reinforcement; annealed to 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        minibatches = 1 if self.minibatches is None else self.minibatches
        if min(minibatches, self.n_epochs, self.dagger_epochs) < 1:
            raise OptionError("minibatches, n_epochs and dagger_epochs must be at least 1")
        if not 0 <= self.gae_lambda <= 1:
            raise OptionError(f"gae_lambda is from 0 to 1, not {self.gae_lambda}")
        if self.kickstarting_coef < 0 or not 0 < self.dagger_share <= 1:
            raise OptionError("kickstarting_coef is at least 0, dagger_share is above 0 and at most 1")
        if self.dagger_noise < 0 or not self.dagger_spread > 0:
            raise OptionError("dagger_noise is at least 0, and dagger_spread above 0")

    def count_minibatches(self, n_envs: int) -> int:
        """How many minibatches a rollout of `n_envs` environments is split into."""
        return self.minibatches or max(1, n_envs * self.n_steps // self.batch_size)

    @property
    def clip_range_schedule(self) -> Schedule:
        """The clip range as a function of the progress that remains."""
        return linear(self.clip_range, self.clip_range_end)


def linear(start: float | Schedule, end: float | None) -> Schedule:
    """A schedule that goes from `start` to `end`, or stays where it is; a function is taken as it is."""
    if callable(start):
        return start
    share = 1.0 if end is None else end / start
    return lambda left: start * (share + (1 - share) * left)
