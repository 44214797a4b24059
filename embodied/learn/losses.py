"""The terms of the loss: clipped policy gradient, value, entropy and belief, over the steps that count."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from embodied.learn.policy import Reading, SequencePolicy
from embodied.learn.rollout import Rollout


@dataclass(frozen=True)
class Losses:
    """The terms of one minibatch's loss, and what tells whether the update is healthy."""

    policy: Tensor
    value: Tensor
    entropy: Tensor
    belief: Tensor
    forecast: Tensor
    imitation: Tensor
    approx_kl: Tensor
    clip_fraction: Tensor

    def total(self, vf_coef: float, ent_coef: float, belief_coef: float, forecast_coef: float) -> Tensor:
        """The weighted sum to descend."""
        acting = self.policy + self.imitation + vf_coef * self.value - ent_coef * self.entropy
        return acting + belief_coef * self.belief + forecast_coef * self.forecast


def ppo_losses(
    policy: SequencePolicy, rollout: Rollout, rows: Tensor, clip_range: float, return_spread: Tensor
) -> Losses:
    """Compares what the policy now makes of the environments `rows` with what happened (Schulman et al. 2017)."""
    obs, first, action = rollout.obs[rows], rollout.first[rows], rollout.action[rows]
    reading = policy.sequence(obs, first, policy.core.rows(rollout.memory, rows), rollout.mask_of(rows))
    value = policy.value_of(reading, rollout.state[rows], rollout.hidden[rows])
    counts = ~rollout.ignore[rows]
    log_ratio = reading.actions.log_prob(action) - rollout.log_prob[rows]
    ratio = log_ratio.exp()
    advantage = standardised(rollout.advantage[rows], counts)
    clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
    gained = mean_over(torch.minimum(ratio * advantage, clipped * advantage), counts)
    return Losses(
        policy=torch.zeros_like(gained) if rollout.taught else -gained,
        value=mean_over(((value - rollout.returns[rows]) / return_spread) ** 2, counts),
        entropy=mean_over(reading.actions.entropy(), counts),
        belief=belief_loss(policy, reading, rollout.hidden[rows], counts),
        forecast=forecast_loss(policy, reading, obs, first, action),
        imitation=imitation_loss(reading, rollout, rows, counts),
        approx_kl=mean_over(ratio - 1 - log_ratio, counts).detach(),
        clip_fraction=mean_over(((ratio - 1).abs() > clip_range).float(), counts).detach(),
    )


def imitation_loss(reading: Reading, rollout: Rollout, rows: Tensor, counts: Tensor) -> Tensor:
    """Minus the log-likelihood of what the teacher would have done [nats], weighted; 0 without lessons."""
    if rollout.lesson is None:
        return torch.zeros((), device=counts.device)
    return -rollout.imitation * mean_over(reading.actions.log_prob(rollout.lesson[rows]), counts)


def forecast_loss(policy: SequencePolicy, reading: Reading, obs: Tensor, first: Tensor, action: Tensor) -> Tensor:
    """Mean squared error of forecasts of the next observation within episodes; 0 without a head for them."""
    if policy.forecast_head is None or obs.shape[1] < 2:
        return torch.zeros((), device=obs.device)
    now = policy.encoder.normalised(obs)
    predicted = policy.forecast_head(reading.features, action, now)
    return mean_over(((predicted[:, :-1] - now[:, 1:]) ** 2).mean(-1), ~first[:, 1:])


def belief_loss(policy: SequencePolicy, reading: Reading, hidden: Tensor, counts: Tensor) -> Tensor:
    """Minus the log-likelihood of the hidden variables, averaged over them [nats]; 0 without a belief head."""
    if reading.belief is None:
        return torch.zeros((), device=counts.device)
    return -mean_over(policy.belief_form.log_density(reading.belief, hidden).mean(-1), counts)


def mean_over(x: Tensor, counts: Tensor) -> Tensor:
    """Mean over the steps that count."""
    return (x * counts).sum() / counts.sum().clamp(min=1)


def standardised(x: Tensor, counts: Tensor) -> Tensor:
    """Zero mean and unit spread over the steps that count."""
    mean = mean_over(x, counts)
    spread = mean_over((x - mean) ** 2, counts).sqrt()
    return (x - mean) / (spread + 1e-8)
