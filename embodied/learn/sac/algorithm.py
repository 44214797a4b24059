"""Soft actor-critic for policies that remember (Haarnoja et al. 2018), off policy from whole sequences.

A sequence is replayed after the one before it, which brings memory up to date (R2D2; Kapturowski et al. 2019), from
what acting remembered before that. Where the environment tells a privileged state, the critics read that; else they
read observations by a network of the policy's kind that is theirs alone (Ni et al. 2022), and remembers beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from embodied.learn.learner import SequenceLearner
from embodied.learn.losses import belief_loss, forward_model_loss, mean_over, state_loss
from embodied.learn.rollout import Rollout
from embodied.learn.sac.config import SACConfig
from embodied.learn.sac.critic import Critics
from embodied.learn.sac.reading import OwnReading, PrivilegedReading, follow
from embodied.learn.sac.replay import Replay, bytes_of, tensors_of
from embodied.nn.output import PolicyOutput
from embodied.nn.policy import SequencePolicy
from embodied.nn.squashed import SquashedNormal

PARTS = ("critics", "target_critics", "reading")  # what is learned beside the policy


@dataclass(frozen=True)
class SACLosses:
    """The terms of one minibatch's loss, and what tells whether the update is healthy."""

    actor: Tensor
    critic: Tensor
    ent_coef: Tensor
    known: Tensor  # of heads for belief, state and forecasts
    entropy: Tensor
    value: Tensor

    def total(self) -> Tensor:
        """The sum to descend."""
        return self.actor + self.critic + self.ent_coef + self.known


class SequenceSAC(SequenceLearner):
    """Trains a `SequencePolicy` with continuous actions on any Gymnasium environment, off policy.

    It takes fewer steps in environments than `SequencePPO`, and more time for each.

    Args:
        policy, env, n_envs, previous, policy_kwargs, tensorboard_log, verbose, seed, device: see `SequenceLearner`.
        config: hyperparameters; `settings` are some of them by name, and override it.

    Attributes:
        critics: what actions are worth, in the eyes of several; reading: what they read.
        replay: what is learned from; it is not saved, so that one that is resumed gathers a new one first.

    Raises:
        OptionError: settings that do not fit each other, or that do not exist; or actions are no Box.
        UnknownNameError: no environment of that id, or no such policy.
    """

    config_type = SACConfig
    epsilon = 1e-8
    config: SACConfig

    def _setup_beside(self) -> None:
        config, policy = self.config, self.policy
        self.shaping_curriculum = 0.0
        told = self._privileged
        self.reading = (PrivilegedReading(told, self.normalize) if told.state else OwnReading(policy)).to(self.device)
        self.critics = Critics(config.n_critics, self.reading.size, policy.action_head.size).to(self.device)
        self.target_critics = deepcopy(self.critics).requires_grad_(False)
        self.log_ent_coef = nn.Parameter(torch.tensor(config.ent_coef_start, device=self.device).log())
        size = policy.action_head.size
        self.target_entropy = -float(size) if config.target_entropy is None else config.target_entropy
        self._weights += [*self.critics.parameters(), self.log_ent_coef]
        self._weights += [one for network in self.reading.networks for one in network.parameters()]

    def _policy_extras(self) -> dict[str, Any]:
        return {"squash": True}

    def own_tensors(self) -> dict[str, Tensor]:
        own = {f"{part}/{name}": value for part in PARTS for name, value in getattr(self, part).state_dict().items()}
        return own | {"log_ent_coef": self.log_ent_coef}

    @property
    def remembering(self) -> tuple[SequencePolicy, ...]:
        return (self.policy, *self.reading.networks)

    @property
    def replay_bytes(self) -> int:
        row = bytes_of(self.rollout_buffer) / self.rollout_buffer.reward.numel()  # type: ignore[attr-defined, arg-type]
        sequence = row * (self.n_steps + 1) + self.memory_bytes
        return int(max(self.config.buffer_size // self.n_steps, self.n_envs) * sequence)

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        modules, tensors = super()._get_torch_save_params()
        return [*modules, *PARTS], [*tensors, "log_ent_coef"]

    def resume(self, folder: Path) -> None:
        super().resume(folder)
        if self.reading.networks:
            self.begin_anew()  # what they remember is not saved

    def begin_anew(self, reseed: bool = True) -> None:
        super().begin_anew(reseed)
        self.replay = Replay(self.config.buffer_size)
        self.reading.forget()

    def _memory_now(self) -> Any:
        self._read_before = self.reading.memory_now(self.n_envs)
        return self.policy.memories.clone(self.memory)  # whole, so that those of different times fit together

    def _act(self, rollout: Rollout, t: int) -> Tensor:
        action = super()._act(rollout, t)
        self.reading.step(rollout.obs[:, t], rollout.first[:, t], action)
        return action

    def _judge(self, rollout: Rollout) -> Tensor:
        return rollout.reward.copy_(super()._judge(rollout))

    def _observe(self, rollout: Rollout) -> None:
        super()._observe(rollout)
        self.reading.observe(rollout)

    def _with_successor(self, rollout: Rollout) -> Rollout:
        """The rollout and one more row, of which nothing counts but what the last step led to."""
        longer: dict[str, Any] = {
            name: torch.cat([one, torch.zeros_like(one[:, :1])], dim=1) for name, one in tensors_of(rollout).items()
        }
        longer["obs"][:, -1] = self._rows(self._last_obs)
        longer["first"][:, -1] = torch.as_tensor(self._last_episode_starts, device=self.device)
        longer["ignore"][:, -1] = True
        longer["truncated"][:, -2] |= torch.as_tensor(self._unsound, device=self.device)
        for name, now in self._privileged_info().items():
            if name in ("state", "hidden") and longer[name].shape[-1]:
                longer[name][:, -1] = torch.as_tensor(now, device=self.device)
        return replace(rollout, **longer)

    def train(self) -> None:
        """Keeps the rollout, and improves the policy on sequences that are drawn from all that is kept."""
        self._update_learning_rate(self.policy.optimizer)
        rollout: Rollout = self.rollout_buffer  # type: ignore[assignment]
        self.replay.add(self._with_successor(rollout), self._read_before)
        self._observe(rollout)
        self.policy.return_normalizer.update(rollout.returns[~rollout.ignore])
        if len(self.replay) < min(self.config.learning_starts, self.config.buffer_size // 2):
            return
        self.policy.set_training_mode(True)
        history = [self._update() for _ in range(self.config.gradient_steps)]
        self._n_updates += self.config.gradient_steps
        self._report(history)

    def _update(self) -> SACLosses:
        """Descends the losses of some sequences, and lets the targets follow."""
        count = max(1, self.config.batch_size // self.n_steps)
        before = self.config.burn_in if self.policy.core.has_memory else 0
        losses = self._losses(*self.replay.draw(count, self.policy, self.generator, before))
        self._descend(losses.total(), self.remembering)
        follow(self.target_critics, self.critics, self.config.tau)
        self.reading.follow(self.config.tau)
        return losses

    def _losses(self, lived: Rollout, read_before: Any) -> SACLosses:
        policy, head = self.policy, self.policy.action_head
        output = policy.sequence(lived.obs, lived.first, lived.memory, None, lived.action)
        told, later = self.reading.read(lived, read_before)
        fresh = _is_fresh(lived, self.n_steps)
        counts = (fresh & _is_followed(lived))[:, :-1]
        target = self._target(lived, output, later)
        values = self.critics(told[:, :-1], lived.action[:, :-1])
        chosen = _squashed(head(output.features[:, :-1]))
        new, log_prob = chosen.with_log_prob(self.generator)
        with _frozen(self.critics):
            worth = self.critics(told[:, :-1].detach(), new).mean(0)
        ent_coef = self._ent_coef
        surprise = log_prob.detach() + self.target_entropy
        return SACLosses(
            actor=mean_over(ent_coef.detach() * log_prob - worth, counts),
            critic=mean_over(((values - target) ** 2).sum(0), counts),
            ent_coef=-mean_over(ent_coef * surprise, counts),
            known=self._known(lived, output, fresh & ~lived.ignore),
            entropy=-mean_over(log_prob, counts).detach(),
            value=mean_over(values.mean(0), counts).detach(),
        )

    def _known(self, lived: Rollout, output: PolicyOutput, counts: Tensor) -> Tensor:
        """How wrong the heads for belief, privileged state and forecasts are, weighted."""
        policy, config = self.policy, self.config
        every = torch.arange(len(lived.obs), device=self.device)
        loss = config.belief_coef * belief_loss(policy, output, lived, every, counts)
        loss = loss + config.state_coef * state_loss(policy, output, lived.state, counts)
        forecast = forward_model_loss(policy, output, lived.obs, lived.first, lived.action)
        return loss + config.forward_model_coef * forecast

    @torch.no_grad()
    def _target(self, lived: Rollout, output: PolicyOutput, later: Tensor) -> Tensor:
        """What each step but the last was worth, in sizes of returns, `(B, T − 1)`."""
        size = self.policy.return_normalizer.size
        chosen = _squashed(self.policy.action_head(output.features[:, 1:]))
        action, log_prob = chosen.with_log_prob(self.generator)
        pair = torch.randperm(self.config.n_critics, generator=self.generator, device=self.device)[:2]
        value = self.target_critics(later[:, 1:], action)[pair].amin(0) - self._ent_coef * log_prob
        goes_on = (~lived.terminated[:, :-1]).to(value.dtype)
        return lived.reward[:, :-1] / size + self.gamma * goes_on * value

    @property
    def _ent_coef(self) -> Tensor:
        """Worth of a nat of entropy, in sizes of returns."""
        return self.log_ent_coef.exp()

    def _report(self, history: list[SACLosses]) -> None:
        """Logs under the names of Stable-Baselines3, where it has them."""
        names = {"actor": "actor_loss", "critic": "critic_loss", "ent_coef": "ent_coef_loss", "entropy": "entropy"}
        for name, key in (names | {"known": "belief_loss", "value": "value"}).items():
            mean = torch.stack([getattr(losses, name).detach() for losses in history]).mean().item()
            self.logger.record(f"train/{key}", mean)
        self.logger.record("train/ent_coef", self._ent_coef.item())
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        if self.belief_bits:
            self.logger.record("rollout/belief_bits", float(np.mean(self.belief_bits)))


def _is_fresh(lived: Rollout, steps: int) -> Tensor:
    """Steps at which memory is as the present weights make it: the last ones, or since an episode began."""
    late = torch.arange(lived.first.shape[1] - 1, -1, -1, device=lived.first.device) <= steps
    return late | (lived.first.cumsum(1) > 0)


def _is_followed(lived: Rollout) -> Tensor:
    """Steps whose successor is known: not those at which an episode was cut off, nor resets."""
    return ~((lived.truncated & ~lived.terminated) | lived.ignore)


def _squashed(distribution: Any) -> SquashedNormal:
    assert isinstance(distribution, SquashedNormal)
    return distribution


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """Within it, gradients flow through a network and not into it."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)
