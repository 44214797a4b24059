"""What comes out of a policy: action distributions, and beliefs about hidden variables."""

from __future__ import annotations

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, Normal

from embodied.errors import OptionError


class ReturnScale(nn.Module):
    """Running mean and spread of returns, so that a value network works in units of about one.

    Exponential averages over updates, corrected for their start.
    """

    moments: Tensor

    def __init__(self, rate: float = 0.02) -> None:
        super().__init__()
        self.rate = rate
        self.register_buffer("moments", torch.zeros(3))  # averages of x and x², and the weight they rest on

    def update(self, returns: Tensor) -> None:
        """Takes in the returns of one rollout."""
        now = torch.stack([returns.mean(), (returns**2).mean(), torch.ones((), device=returns.device)])
        self.moments.lerp_(now, self.rate)

    @property
    def mean_and_spread(self) -> tuple[Tensor, Tensor]:
        """Mean and spread of returns; 0 and 1 before the first update."""
        mean, square, weight = self.moments
        known = weight > 0
        weight = weight.clamp(min=1e-8)
        mean = torch.where(known, mean / weight, torch.zeros_like(mean))
        spread = (square / weight - mean**2).clamp(min=1e-6).sqrt()
        return mean, torch.where(known, spread, torch.ones_like(spread))

    def to_value(self, output: Tensor) -> Tensor:
        """What a network's output means as a return."""
        mean, spread = self.mean_and_spread
        return output * spread + mean


class GaussianHead(nn.Module):
    """A diagonal Gaussian with learned, state-independent spread; actions are clipped to the Box by the caller."""

    low: Tensor
    high: Tensor

    def __init__(self, features: int, space: spaces.Box, initial_std: float = 0.5) -> None:
        super().__init__()
        self.shape = space.shape
        self.size = int(np.prod(space.shape))
        self.mean = nn.Linear(features, self.size)
        self.log_std = nn.Parameter(torch.full((self.size,), float(np.log(initial_std))))
        self.register_buffer("low", torch.as_tensor(space.low.reshape(-1)), persistent=False)
        self.register_buffer("high", torch.as_tensor(space.high.reshape(-1)), persistent=False)
        nn.init.orthogonal_(self.mean.weight, 0.01)
        nn.init.zeros_(self.mean.bias)

    def forward(self, features: Tensor) -> Distribution:
        """Returns the distribution over actions in units of the half range of the Box."""
        return Independent(Normal(self.mean(features), self.log_std.exp(), validate_args=False), 1, validate_args=False)

    def mode(self, distribution: Distribution) -> Tensor:
        """The most likely action."""
        return distribution.mean

    def sample(self, distribution: Distribution, generator: torch.Generator | None) -> Tensor:
        """A random action."""
        mean, spread = distribution.mean, distribution.stddev
        return mean + spread * torch.randn(mean.shape, generator=generator, device=mean.device)

    def to_env(self, action: Tensor) -> np.ndarray:
        """Scales actions `(N, size)` from [-1, 1] to the Box, clipped, shaped as the environment wants them."""
        unit = action.clamp(-1, 1)
        scaled = self.low + (unit + 1) * 0.5 * (self.high - self.low)
        return scaled.cpu().numpy().reshape(len(action), *self.shape)


class CategoricalHead(nn.Module):
    """A choice among n actions."""

    def __init__(self, features: int, space: spaces.Discrete) -> None:
        super().__init__()
        self.size = 1
        self.start = int(space.start)
        self.logits = nn.Linear(features, int(space.n))
        nn.init.orthogonal_(self.logits.weight, 0.01)
        nn.init.zeros_(self.logits.bias)

    def forward(self, features: Tensor) -> Distribution:
        """Returns the distribution over action indices `(…, 1)`."""
        logits = self.logits(features).unsqueeze(-2)
        return Independent(Categorical(logits=logits, validate_args=False), 1, validate_args=False)

    def mode(self, distribution: Distribution) -> Tensor:
        """The most likely action."""
        return distribution.base_dist.logits.argmax(-1)  # type: ignore[attr-defined]

    def sample(self, distribution: Distribution, generator: torch.Generator | None) -> Tensor:
        """A random action, by the Gumbel-max trick."""
        logits = distribution.base_dist.logits  # type: ignore[attr-defined]
        uniform = torch.rand(logits.shape, generator=generator, device=logits.device).clamp_(1e-9, 1 - 1e-7)
        return (logits - (-uniform.log()).log()).argmax(-1)

    def to_env(self, action: Tensor) -> np.ndarray:
        """Returns action indices `(N,)` as the environment counts them."""
        return action[:, 0].long().cpu().numpy() + self.start


def action_head(features: int, space: spaces.Space) -> GaussianHead | CategoricalHead:
    """Returns the head for an action space.

    Raises:
        OptionError: the space is neither a Box nor Discrete.
    """
    if isinstance(space, spaces.Box):
        return GaussianHead(features, space)
    if isinstance(space, spaces.Discrete):
        return CategoricalHead(features, space)
    raise OptionError(f"actions of {type(space).__name__} are not supported; known: Box, Discrete")
