"""Proximal policy optimization for policies that remember (Schulman et al. 2017), on Stable-Baselines3.

A rollout's steps are read in sequence, starting from the very memory that acting had, so that what acting saw
is what training sees.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.utils import update_learning_rate
from torch import Tensor

from embodied.agent import Agent
from embodied.errors import OptionError
from embodied.learn.cloning import Demonstrations
from embodied.learn.config import PPOConfig
from embodied.learn.dagger import DAgger
from embodied.learn.learner import SequenceLearner
from embodied.learn.lessons import Lessons
from embodied.learn.losses import Losses, ppo_losses
from embodied.learn.rollout import Rollout
from embodied.nn.config import NetworkConfig
from embodied.nn.policy import SequencePolicy

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


class SequencePPO(SequenceLearner):
    """Trains a `SequencePolicy` on any Gymnasium environment.

    Actions may be Box, Discrete or MultiDiscrete. Choices that `info["action_mask"]`, an observation `action_mask` or a
    method `action_masks()` forbids are never taken.

    Args:
        policy, env, n_envs, previous, policy_kwargs, tensorboard_log, verbose, seed, device: see `SequenceLearner`.
        config: hyperparameters; `settings` are some of them by name, and override it.
        expert: an agent that is imitated for the share `dagger_share` of the training (DAgger), in situations of its
            own and more and more in those of the learner; reinforcement goes on from there.

    Raises:
        OptionError: settings that do not fit each other, or that do not exist.
        UnknownNameError: no environment of that id, or no such policy.
    """

    config_type = PPOConfig
    config: PPOConfig

    def __init__(
        self,
        policy: str | NetworkConfig | type[SequencePolicy] | SequencePolicy,
        env: Any,
        config: PPOConfig | None = None,
        *,
        expert: Agent | None = None,
        **given: Any,
    ) -> None:
        self._expert = expert
        super().__init__(policy, env, config, **given)
        self.clip_range = self.config.clip_range_schedule
        if self.config.dagger_noise and not isinstance(self.action_space, spaces.Box):
            raise OptionError("dagger_noise is for actions of a Box; these are choices")

    def begin_anew(self, reseed: bool = True) -> None:
        super().begin_anew(reseed)
        config = self.config
        if self._expert is not None:
            given = (config.dagger_share, self.n_envs, self.seed or 0)
            shares = (config.kickstarting_coef, config.dagger_learner_share, config.dagger_noise)
            self.dagger = DAgger(self._expert, *given, *shares)
        self._lessons = Lessons()

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
        self._descend(losses.total(self.config), [self.policy])
        if rollout.imitation_only:
            self.policy.action_head.keep_exploring(self.config.dagger_spread)
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
