"""Proximal policy optimization for policies that remember (Schulman et al. 2017), on Stable-Baselines3.

A rollout's steps are read in sequence, starting from the very memory that acting had, so that what acting saw
is what training sees.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.utils import update_learning_rate
from torch import Tensor

from embodied.agent import Agent
from embodied.errors import CheckpointError, OptionError, TrainingError
from embodied.learn.cloning import Demonstrations
from embodied.learn.config import PPOConfig
from embodied.learn.dagger import DAgger
from embodied.learn.intrinsic import PredictionError
from embodied.learn.lessons import Lessons
from embodied.learn.losses import Losses, ppo_losses
from embodied.learn.rollout import Rollout
from embodied.learn.saving import resume_trainer, save_trainer, saved_settings, warn_of_unsaved
from embodied.learn.verbs import StableVerbs, folder_of
from embodied.nn.checkpoint import check_spaces, policy_folder, read_card
from embodied.nn.config import NetworkConfig
from embodied.nn.heads import check_actions
from embodied.nn.policy import SequencePolicy, load_policy, policy_class
from embodied.vector.spec import EnvSpec
from embodied.vector.vec import as_vec_env

WORLDS_PER_SEED = 1_000_003  # so that runs of neighboring seeds share no world
OF_STABLE_BASELINES3 = (
    "n_steps", "gamma", "gae_lambda", "ent_coef", "vf_coef", "max_grad_norm", "use_sde", "sde_sample_freq",
    "stats_window_size",
)  # fmt: skip
LOGGED = {  # terms of the loss, and what Stable-Baselines3's logger calls them
    "policy": "policy_gradient_loss",
    "value": "value_loss",
    "entropy": "entropy_loss",
    "belief": "belief_loss",
    "state": "state_loss",
    "forward_model": "forward_model_loss",
    "imitation": "imitation_loss",
    "approx_kl": "approx_kl",
    "clip_fraction": "clip_fraction",
}


class SequencePPO(StableVerbs):
    """Trains a `SequencePolicy` on any Gymnasium environment.

    Observations may be Box (pictures too), Discrete, MultiDiscrete, MultiBinary, and Dict or Tuple of these; actions
    Box, Discrete or MultiDiscrete. Choices that `info["action_mask"]`, an observation `action_mask` or a method
    `action_masks()` forbids are never taken.

    Args:
        policy: alias of a policy ("TransformerPolicy", "GRUPolicy", "MlpPolicy", or one of another package), a
            `NetworkConfig`, a class, or a policy, whose weights are the start.
        env: an id, an `Env`, a Gymnasium `VectorEnv` or a Stable-Baselines3 `VecEnv`.
        config: hyperparameters; `settings` are some of them by name, and override it.
        n_envs: number of environments when `env` is an id.
        previous: observe "action" and "reward" of the step before, too.
        expert: an agent that is imitated for the share `dagger_share` of the training (DAgger), in situations of its
            own and more and more in those of the learner; reinforcement goes on from there.
        policy_kwargs: keyword arguments of the policy's class.
        tensorboard_log, verbose, seed, device: as in Stable-Baselines3.

    Raises:
        OptionError: settings that do not fit each other, or that do not exist.
        UnknownNameError: no environment of that id, or no such policy.
    """

    def __init__(
        self,
        policy: str | NetworkConfig | type[SequencePolicy] | SequencePolicy,
        env: Any,
        config: PPOConfig | None = None,
        *,
        n_envs: int | None = None,
        previous: Sequence[str] = (),
        expert: Agent | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        tensorboard_log: str | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: torch.device | str = "auto",
        _init_setup_model: bool = True,
        **settings: Any,
    ) -> None:
        self.config = config = (config or PPOConfig()).with_settings(settings)
        self._expert = expert
        self._start = policy if isinstance(policy, SequencePolicy) else None
        made, own_kwargs = _policy_of(policy)
        vec = as_vec_env(env, n_envs, tuple(previous))
        check_actions(vec.action_space)
        if config.dagger_noise and not isinstance(vec.action_space, spaces.Box):
            raise OptionError("dagger_noise is for actions of a Box; these are choices")
        super().__init__(
            policy=made,  # type: ignore[arg-type]
            env=vec,
            learning_rate=config.learning_rate_schedule,
            **{name: getattr(config, name) for name in OF_STABLE_BASELINES3},
            tensorboard_log=tensorboard_log,
            policy_kwargs=own_kwargs | (policy_kwargs or {}),
            verbose=verbose,
            seed=seed,
            device=device,
            _init_setup_model=False,
            supported_action_spaces=(spaces.Box, spaces.Discrete, spaces.MultiDiscrete),
        )
        self.previous = EnvSpec.of(self.env).previous
        self.clip_range = config.clip_range_schedule
        self.normalize = config.normalize or (self._start is not None and self._start.normalize)
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        if self.seed is not None and self.env is not None:
            self.env.seed(self.seed * WORLDS_PER_SEED % 2**31)
        self.generator = torch.Generator(self.device)
        self.generator.manual_seed(int(np.random.SeedSequence(self.seed).generate_state(1)[0]))
        self._privileged = self._look_for_privilege()
        if self.config.information_coef and not self._privileged.hidden:
            raise OptionError("information is about what is hidden: this environment declares nothing hidden")
        if self.config.state_coef and not self._privileged.state:
            raise OptionError("state_coef is for environments with a privileged state: this one has none")
        recommended = getattr(getattr(self.env, "gym_env", None), "shaping_curriculum", 0.0)
        given, config = self.config.shaping_curriculum, self.config
        self.shaping_curriculum = (recommended if config.shaping else 0.0) if given is None else given
        self.belief_bits: deque[float] = deque(maxlen=self._stats_window_size)
        self.policy = self.policy_class(  # type: ignore[assignment]
            self.observation_space,
            self.action_space,
            self.lr_schedule,
            privilege=self._privileged,
            use_sde=self.use_sde,
            forward_model=bool(config.forward_model_coef),
            predict_state=bool(config.state_coef),
            normalize=self.normalize,
            masked=self.env.mask is not None,
            **self.policy_kwargs,
        ).to(self.device)
        if self._start is not None:
            self.policy.load_matching_weights(self._start)
        self.policy.half_precision = config.bfloat16
        if config.compile:
            self.policy.core.sequence = torch.compile(self.policy.core.sequence)  # type: ignore[method-assign]
        self._weights = list(self.policy.parameters())
        self.policy.optimizer = torch.optim.Adam(self._weights, self.lr_schedule(1), eps=1e-5, fused=True)
        self.rollout_buffer = Rollout.empty(  # type: ignore[assignment]
            self.n_envs,
            self.n_steps,
            self.policy.codec.size,
            self.policy.action_head.size,
            self._privileged.state,
            len(self._privileged.hidden),
            0 if self.env.mask is None else self.policy.action_head.mask_size,
            self.device,
        )
        self.begin_anew(reseed=False)
        self.origins = {}
        self._stopping = False
        self._exploration = None
        self._privileged_now: dict[str, np.ndarray] = {}

    def train(self) -> None:
        """Improves the policy on the rollout: epochs of minibatches of whole sequences."""
        self._update_learning_rate(self.policy.optimizer)
        rollout = self._sequences(self.rollout_buffer)  # type: ignore[arg-type]
        minibatches = self.config.count_minibatches(self.n_envs)
        if rollout.imitation_only:
            history = self._study(self.rollout_buffer, self.config.dagger_epochs * minibatches)  # type: ignore[arg-type]
        else:
            history = self._improve(rollout, self.config.n_epochs, minibatches)
        self._observe(rollout)
        self._report(rollout, history)

    def clone(
        self,
        demonstrations: Demonstrations,
        epochs: int = 30,
        after_epoch: Callable[[int], None] = lambda epoch: None,
    ) -> list[float]:
        """Imitates what somebody demonstrated, before it learns from reward; critic and belief learn, too.

        A minibatch holds as many episodes as one of a rollout holds environments; the learning rate falls to 0.

        Args:
            demonstrations: the episodes, by `embodied.learn.cloning.collect_demonstrations`.
            epochs: how often all of them are gone through.
            after_epoch: called with the number of epochs that are over.

        Returns:
            Minus the log-likelihood of what was demonstrated, at every minibatch [nats].

        Raises:
            CheckpointError: they are of other observations or actions, or lack what the critic needs.
        """
        demonstrations.check(self.policy)
        sizes = self._privileged.state, len(self._privileged.hidden)
        rollout = self._sequences(demonstrations.as_rollout(self.policy, self.gamma, *sizes))
        self._observe(rollout)
        minibatches = -(-len(demonstrations) * self.config.count_minibatches(self.n_envs) // self.n_envs)
        self._begin_updates(rollout)
        nats = []
        for epoch in range(epochs):
            update_learning_rate(self.policy.optimizer, self.lr_schedule(1) * (1 - epoch / epochs))
            nats += [
                self._update(rollout, rows).imitation.item()
                for rows in rollout.minibatches(minibatches, self.generator)
            ]
            after_epoch(epoch + 1)
        self._n_updates += epochs
        return nats

    def _study(self, rollout: Rollout, updates: int) -> list[Losses]:
        """Learns from all that the expert has said so far, this rollout included."""
        self._lessons.add(rollout)
        self._begin_updates(rollout)
        environments = max(1, self.n_envs // self.config.count_minibatches(self.n_envs))
        history: list[Losses] = []
        for _ in range(updates):
            lesson = self._sequences(self._lessons.draw(environments, self.policy, self.generator))
            rows = torch.arange(len(lesson.obs), device=self.device)
            history.append(self._update(lesson, rows))
        self._n_updates += self.config.dagger_epochs
        return history

    def _begin_updates(self, rollout: Rollout) -> None:
        self.policy.set_training_mode(True)
        self.policy.return_normalizer.update(rollout.returns[~rollout.ignore])
        _, self._return_spread = self.policy.return_normalizer.mean_and_spread

    def _update(self, rollout: Rollout, rows: Tensor) -> Losses:
        """Descends the losses of one minibatch: some environments of a rollout."""
        clip_range = self.clip_range(self._current_progress_remaining)
        losses = ppo_losses(self.policy, rollout, rows, clip_range, self._return_spread, self.config)
        self._descend(losses, keep_exploring=rollout.imitation_only)
        return losses

    def _improve(self, rollout: Rollout, epochs: int, minibatches: int) -> list[Losses]:
        """Goes through a rollout, minibatch by minibatch."""
        self._begin_updates(rollout)
        history: list[Losses] = []
        for _ in range(epochs):
            history += [self._update(rollout, rows) for rows in rollout.minibatches(minibatches, self.generator)]
            self._n_updates += 1
            if self._has_moved_too_far(history[-1]) and not rollout.imitation_only:
                break
        return history

    def _has_moved_too_far(self, losses: Losses) -> bool:
        limit = self.config.target_kl
        return limit is not None and bool(losses.approx_kl > 1.5 * limit)

    def save(self, path: str | Path, exclude: Any = None, include: Any = None) -> None:  # type: ignore[override]
        """Writes policy and trainer into the folder `path` (without ".zip"), as safetensors and JSON."""
        save_trainer(self, folder_of(path))

    @classmethod
    def load(cls, path: str | Path, env: Any = None, device: Any = "auto", **kwargs: Any) -> SequencePPO:  # type: ignore[override]
        """Builds a trainer that goes on where the saved one stopped, with its settings unless `kwargs` has others.

        `path` is the folder that `save` wrote, or that of a run of `embodied train`.

        Warns:
            SettingNotSavedWarning: something was no plain value, such as a schedule that is a function, and is
                neither saved nor given.

        Raises:
            CheckpointError: the folder is incomplete or damaged, or was saved for another environment.
        """
        folder = policy_folder(folder_of(path))
        saved, card, settings = load_policy(folder), read_card(folder), saved_settings(folder)
        spec = EnvSpec.from_jsonable(card["env"], folder)
        if env is None and spec.id not in gym.registry:
            raise CheckpointError(
                f"{folder} was trained on {spec.id}, which cannot be made by its name: give the environment, "
                "load(path, env=…), or import the module that registers it"
            )
        warn_of_unsaved(folder, settings, spec if env is None else None, kwargs)
        n_envs = kwargs.pop("n_envs", settings.n_envs)
        vec = spec.make(n_envs) if env is None else as_vec_env(env, n_envs, settings.previous)
        check_spaces(card, vec.observation_space, vec.action_space, EnvSpec.of(vec).id)
        given = {"seed": settings.seed, "device": device} | kwargs
        model = cls(type(saved), vec, settings.config, policy_kwargs=_kwargs_of(saved), **given)
        model.resume(folder)
        return model

    def resume(self, folder: Path) -> None:
        """Takes weights, optimizer and counters from a folder that `save` wrote, and the worlds if they are there.

        Raises:
            CheckpointError: the folder is incomplete or damaged, or its network is another one.
        """
        resume_trainer(self, folder)

    def begin_anew(self, reseed: bool = True) -> None:
        """Forgets the worlds, and what was remembered of them: new episodes begin with the next steps.

        A trainer that is resumed without its worlds goes on like this.

        Args:
            reseed: whether the worlds' seed is one of its own for this number of steps.
        """
        config = self.config
        if reseed and self.env is not None:
            sequence = np.random.SeedSequence([self.seed or 0, self.num_timesteps])
            self.env.seed(int(sequence.generate_state(1)[0]) >> 1)
            self._last_obs = None
        self.dagger = None
        if self._expert is not None:
            given = (config.dagger_share, self.n_envs, self.seed or 0)
            self.dagger = DAgger(self._expert, *given, config.kickstarting_coef, config.dagger_learner_share)
        self._lessons = Lessons()
        self.memory: Any = None
        self.prediction_error = PredictionError().to(self.device)

    def stop(self) -> None:
        """Ends `learn` before the next rollout, where it can be resumed as if it had never stopped."""
        self._stopping = True

    # --- learning ------------------------------------------------------------------------------------------

    def _descend(self, losses: Losses, keep_exploring: bool) -> None:
        self.policy.optimizer.zero_grad(set_to_none=True)
        loss = losses.total(self.config)
        balance = self.policy.core.regularizer()
        (loss if balance is None else loss + balance).backward()
        norm = torch.nn.utils.clip_grad_norm_(self._weights, self.max_grad_norm, foreach=True)
        if not norm.isfinite():
            raise TrainingError(
                f"the gradient of update {self._n_updates} is no number after {self.num_timesteps} steps: lower the "
                "learning rate, or scale rewards and observations; what was saved before is intact"
            )
        self.policy.optimizer.step()
        if keep_exploring:
            self.policy.action_head.keep_exploring(self.config.dagger_spread)

    def _sequences(self, rollout: Rollout) -> Rollout:
        """The rollout; in single steps for who remembers nothing: shuffled ones say more than those in a row."""
        if self.policy.core.has_memory or self.policy.forward_model_head is not None:
            return rollout
        return rollout.in_single_steps(self.policy.initial(rollout.reward.numel()))

    def _observe(self, rollout: Rollout) -> None:
        """Tells the policy how what it saw is spread; only now, so that acting and training saw the same."""
        counts = ~rollout.ignore
        self.policy.update_normalizer(rollout.obs[counts], rollout.state[counts], rollout.hidden[counts])

    def _report(self, rollout: Rollout, history: list[Losses]) -> None:
        """Logs under the names of Stable-Baselines3, where it has them."""
        for name, key in LOGGED.items():
            mean = torch.stack([getattr(losses, name).detach() for losses in history]).mean().item()
            self.logger.record(f"train/{key}", -mean if name == "entropy" else mean)
        self.logger.record("train/loss", history[-1].total(self.config).item())
        self.logger.record("train/clip_range", self.clip_range(self._current_progress_remaining))
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        if self.belief_bits:
            self.logger.record("rollout/belief_bits", float(np.mean(self.belief_bits)))
        unexplained = (rollout.returns - rollout.value).var() / rollout.returns.var().clamp(min=1e-8)
        self.logger.record("train/explained_variance", 1 - unexplained.item())


def _kwargs_of(policy: SequencePolicy) -> dict[str, Any]:
    """The keyword arguments with which another policy of the same network is made."""
    same = ("previous_action", "plain_critic")
    return policy.settings() | {name: policy.extras()[name] for name in same}


def _policy_of(
    given: str | NetworkConfig | type[SequencePolicy] | SequencePolicy,
) -> tuple[type[SequencePolicy], dict[str, Any]]:
    """The class of a policy, and the keyword arguments that are known of it."""
    if isinstance(given, SequencePolicy):
        return type(given), _kwargs_of(given)
    if isinstance(given, NetworkConfig):
        made = policy_class(given.policy)
        return made, given.settings_for(made.config_type)
    return (policy_class(given) if isinstance(given, str) else given), {}
