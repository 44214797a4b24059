"""What a rollout collects, environment by environment and step by step, and what follows from it.

Shape suffixes: N environments, T steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor


@dataclass
class Rollout:
    """T steps of N environments, environments first; `memory` is what the policy remembered before them.

    `bootstrap` is the value of the state that a step led to where the episode was truncated there, else 0;
    `shaping` is γΦ′ − Φ of the potential that the environment offers, else 0. `mask` tells which choices were
    allowed; None where nothing is ever forbidden. `prediction_error` is how wrong the forecast of the next observation
    was; `belief_information` is what the policy takes itself to know of what is hidden [nats], where that is rewarded.
    `expert_action` is what an expert would have done, and `expert_belief` what it believed of the first hidden
    variable; None without one. `imitation_coef` is the weight of doing it, too; `imitation_only` whether nothing but
    that is learned now, and `actor_only` whether nobody knew what was hidden and what was earned, so that neither
    critic nor belief can learn from it.
    """

    obs: Tensor
    first: Tensor
    action: Tensor
    log_prob: Tensor
    value: Tensor
    reward: Tensor
    shaping: Tensor
    terminated: Tensor
    truncated: Tensor
    ignore: Tensor
    bootstrap: Tensor
    state: Tensor
    hidden: Tensor
    prediction_error: Tensor
    belief_information: Tensor
    advantage: Tensor
    returns: Tensor
    mask: Tensor | None = None
    expert_action: Tensor | None = None
    expert_belief: Tensor | None = None
    imitation_coef: float = 0.0
    imitation_only: bool = False
    actor_only: bool = False
    memory: Any = None

    @classmethod
    def empty(
        cls, n: int, steps: int, obs: int, action: int, state: int, hidden: int, mask: int, device: torch.device | str
    ) -> Rollout:
        """Allocates a rollout once; it is filled again and again."""

        def numbers(*shape: int) -> Tensor:
            return torch.zeros(n, steps, *shape, device=device)

        def flags() -> Tensor:
            return torch.zeros(n, steps, dtype=torch.bool, device=device)

        return cls(
            obs=numbers(obs),
            first=flags(),
            action=numbers(action),
            log_prob=numbers(),
            value=numbers(),
            reward=numbers(),
            shaping=numbers(),
            terminated=flags(),
            truncated=flags(),
            ignore=flags(),
            bootstrap=numbers(),
            state=numbers(state),
            hidden=numbers(hidden),
            prediction_error=numbers(),
            belief_information=numbers(),
            advantage=numbers(),
            returns=numbers(),
            mask=torch.ones(n, steps, mask, dtype=torch.bool, device=device) if mask else None,
        )

    def mask_of(self, rows: Tensor) -> Tensor | None:
        """Which choices were allowed in some environments, `(B, T, …)`."""
        return None if self.mask is None else self.mask[rows]

    def in_single_steps(self, memory: Any) -> Rollout:
        """The same steps, each a sequence of its own, for who remembers nothing; `memory` is N · T empty ones."""
        parts: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        single: dict[str, Any] = {
            name: part.flatten(0, 1).unsqueeze(1) if isinstance(part, Tensor) else part for name, part in parts.items()
        }
        return Rollout(**{**single, "memory": memory})

    def estimate_advantages(self, training_reward: Tensor, last_value: Tensor, gamma: float, gae_lambda: float) -> None:
        """Fills `advantage` and `returns` by generalized advantage estimation of the signal `training_reward (N, T)`.

        A terminal step is worth nothing beyond its reward; a truncated one is worth the value of the state
        that it led to. Neither lets the next episode's advantage through.
        """
        self.advantage.copy_(
            advantages(
                training_reward, self.value, self.bootstrap, last_value,
                self.terminated, self.truncated, gamma, gae_lambda,
            )
        )  # fmt: skip
        torch.add(self.advantage, self.value, out=self.returns)

    def minibatches(self, count: int, generator: torch.Generator) -> Iterator[Tensor]:
        """Yields the environments of each minibatch, shuffled."""
        order = torch.randperm(len(self.obs), generator=generator, device=self.obs.device)
        yield from (part for part in order.tensor_split(count) if len(part))


def advantages(
    reward_NT: Tensor,
    value_NT: Tensor,
    bootstrap_NT: Tensor,
    last_value_N: Tensor,
    terminated_NT: Tensor,
    truncated_NT: Tensor,
    gamma: float,
    gae_lambda: float,
) -> Tensor:
    """Generalized advantage estimation (Schulman et al. 2016), `(N, T)`."""
    goes_on_NT = ~(terminated_NT | truncated_NT)
    following_NT = torch.cat([value_NT[:, 1:], last_value_N[:, None]], dim=1)
    next_value_NT = torch.where(goes_on_NT, following_NT, bootstrap_NT)
    delta_NT = reward_NT + gamma * next_value_NT - value_NT
    carry_NT = gamma * gae_lambda * goes_on_NT.to(delta_NT.dtype)
    out_NT = torch.empty_like(delta_NT)
    running_N = torch.zeros_like(last_value_N)
    for t in reversed(range(delta_NT.shape[1])):
        running_N = delta_NT[:, t] + carry_NT[:, t] * running_N
        out_NT[:, t] = running_N
    return out_NT
