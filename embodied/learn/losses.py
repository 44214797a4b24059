"""The terms of the loss: clipped policy gradient, value, entropy and belief, over the steps that count."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from embodied.learn.config import PPOConfig
from embodied.learn.rollout import Rollout
from embodied.nn.output import PolicyOutput
from embodied.nn.policy import SequencePolicy


@dataclass(frozen=True)
class Losses:
    """The terms of one minibatch's loss, and what tells whether the update is healthy."""

    policy: Tensor
    value: Tensor
    entropy: Tensor
    belief: Tensor
    state: Tensor
    forward_model: Tensor
    imitation: Tensor
    approx_kl: Tensor
    clip_fraction: Tensor

    def total(self, config: PPOConfig) -> Tensor:
        """The weighted sum to descend."""
        acting = self.policy + self.imitation + config.vf_coef * self.value - config.ent_coef * self.entropy
        known = config.belief_coef * self.belief + config.state_coef * self.state
        return acting + known + config.forward_model_coef * self.forward_model


def ppo_losses(
    policy: SequencePolicy,
    rollout: Rollout,
    rows: Tensor,
    clip_range: float,
    return_spread: Tensor,
    config: PPOConfig,
) -> Losses:
    """Compares what the policy now makes of the environments `rows` with what happened (Schulman et al. 2017)."""
    obs, first, action = rollout.obs[rows], rollout.first[rows], rollout.action[rows]
    output = policy.sequence(obs, first, policy.memories.rows(rollout.memory, rows), rollout.mask_of(rows), action)
    value = policy.value_of(output, rollout.state[rows], rollout.hidden[rows])
    counts = ~rollout.ignore[rows]
    log_ratio = output.actions.log_prob(action) - rollout.log_prob[rows]
    ratio = log_ratio.exp()
    advantage = rollout.advantage[rows]
    advantage = standardized(advantage, counts) if config.normalize_advantage else advantage
    gained = mean_over(clipped_gain(ratio, advantage, clip_range), counts)
    if config.clip_range_vf is not None:
        value = clipped_value(value, rollout.value[rows], config.clip_range_vf)
    nothing, blind = torch.zeros_like(gained), rollout.actor_only
    return Losses(
        policy=nothing if rollout.imitation_only else -gained,
        value=nothing if blind else mean_over(((value - rollout.returns[rows]) / return_spread) ** 2, counts),
        entropy=mean_over(output.actions.entropy(), counts),
        belief=nothing if blind else belief_loss(policy, output, rollout, rows, counts),
        state=nothing if blind else state_loss(policy, output, rollout.state[rows], counts),
        forward_model=forward_model_loss(policy, output, obs, first, action),
        imitation=imitation_loss(output, rollout, rows, counts),
        approx_kl=mean_over(ratio - 1 - log_ratio, counts).detach(),
        clip_fraction=mean_over(((ratio - 1).abs() > clip_range).float(), counts).detach(),
    )


def clipped_gain(ratio: Tensor, advantage: Tensor, clip_range: float) -> Tensor:
    """The pessimistic surrogate objective of PPO, at every step."""
    return torch.minimum(ratio * advantage, ratio.clamp(1 - clip_range, 1 + clip_range) * advantage)


def clipped_value(value: Tensor, before: Tensor, clip_range: float) -> Tensor:
    """A value that differs by at most `clip_range` from what it was at the time of the rollout."""
    return before + (value - before).clamp(-clip_range, clip_range)


def imitation_loss(output: PolicyOutput, rollout: Rollout, rows: Tensor, counts: Tensor) -> Tensor:
    """Minus the log-likelihood of what the expert would have done [nats], weighted; 0 without lessons."""
    if rollout.expert_action is None:
        return torch.zeros((), device=counts.device)
    return -rollout.imitation_coef * mean_over(output.actions.log_prob(rollout.expert_action[rows]), counts)


def forward_model_loss(
    policy: SequencePolicy, output: PolicyOutput, obs: Tensor, first: Tensor, action: Tensor
) -> Tensor:
    """Mean squared error of forecasts of the next observation within episodes; 0 without a head for them."""
    if policy.forward_model_head is None or obs.shape[1] < 2:
        return torch.zeros((), device=obs.device)
    now = policy.encoder.normalized(obs)
    predicted = policy.forward_model_head(output.features, action, now)
    return mean_over(((predicted[:, :-1] - now[:, 1:]) ** 2).mean(-1), ~first[:, 1:])


def belief_loss(policy: SequencePolicy, output: PolicyOutput, rollout: Rollout, rows: Tensor, counts: Tensor) -> Tensor:
    """Minus the log-likelihood of the hidden variables, averaged over them [nats]; 0 without a belief head.

    Where an expert believes something of the first one, that takes the place of the truth: it says the same on average,
    and far less by chance.
    """
    if output.belief is None:
        return torch.zeros((), device=counts.device)
    layout = policy.belief_layout
    nats = -layout.log_density(output.belief, rollout.hidden[rows])
    if rollout.expert_belief is not None:
        believed = layout.cross_entropy(output.belief, rollout.expert_belief[rows])
        nats = torch.cat([believed[..., None], nats[..., 1:]], dim=-1)
    return mean_over(nats.mean(-1), counts)


def state_loss(policy: SequencePolicy, output: PolicyOutput, state: Tensor, counts: Tensor) -> Tensor:
    """Mean squared error of the privileged state as features tell it; 0 without a head for that."""
    if policy.state_head is None:
        return torch.zeros((), device=counts.device)
    return mean_over(((policy.state_head(output.features) - state) ** 2).mean(-1), counts)


def mean_over(x: Tensor, counts: Tensor) -> Tensor:
    """Mean over the steps that count."""
    return (x * counts).sum() / counts.sum().clamp(min=1)


def standardized(x: Tensor, counts: Tensor) -> Tensor:
    """Zero mean and unit spread over the steps that count."""
    mean = mean_over(x, counts)
    spread = mean_over((x - mean) ** 2, counts).sqrt()
    return (x - mean) / (spread + 1e-8)
