"""Actions that cannot leave their bounds: a Gaussian, squashed (Haarnoja et al. 2018)."""

from __future__ import annotations

import math

import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from embodied.errors import OptionError
from embodied.nn.heads import GaussianHead, check_actions, check_exploration

LOG_STD = (-5.0, 2.0)  # of the Gaussian before it is squashed
EDGE = 1e-6  # how near to a bound an action may be, for its likelihood to be a number


class SquashedNormal(Distribution):
    """tanh of a diagonal Gaussian, over the last axis.

    Args:
        mean, spread: of the Gaussian, `(…, size)`.
    """

    def __init__(self, mean: Tensor, spread: Tensor) -> None:
        self.normal = Normal(mean, spread, validate_args=False)
        super().__init__(mean.shape[:-1], mean.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The median, which is where the Gaussian's mean goes."""
        return self.normal.mean.tanh()

    def with_log_prob(self, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Samples through which gradients flow, `(…, size)`, and their log-likelihood, `(…,)`."""
        mean, spread = self.normal.mean, self.normal.stddev
        before = mean + spread * torch.randn(mean.shape, generator=generator, device=mean.device)
        return before.tanh(), self._log_prob(before)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-likelihood of actions `(…, size)`, `(…,)`."""
        return self._log_prob(value.clamp(EDGE - 1, 1 - EDGE).atanh())

    def entropy(self) -> Tensor:
        """Minus the log-likelihood of one sample, `(…,)`: there is no closed form."""
        return -self.with_log_prob()[1]

    def _log_prob(self, before: Tensor) -> Tensor:
        slope = 2 * (math.log(2) - before - nn.functional.softplus(-2 * before))  # log of 1 − tanh²
        return (self.normal.log_prob(before) - slope).sum(-1)


def squashed_head(features: int, space: spaces.Space, initial_std: float = 0.5) -> SquashedHead:
    """Returns a squashed head for an action space.

    Raises:
        OptionError: the space is no Box with bounds, or the spread is none.
    """
    check_exploration(initial_std)
    check_actions(space)
    if not isinstance(space, spaces.Box):
        kind = type(space).__name__
        raise OptionError(f"soft actor-critic needs actions of a Box, not {kind}: use SequencePPO (embodied train)")
    return SquashedHead(features, space, initial_std)


class SquashedHead(GaussianHead):
    """A squashed Gaussian whose spread depends on the features, as soft actor-critic learns it."""

    def __init__(self, features: int, space: spaces.Box, initial_std: float = 0.5) -> None:
        super().__init__(features, space, initial_std)
        del self.log_std
        self.spread = nn.Linear(features, self.size)
        nn.init.orthogonal_(self.spread.weight, 0.01)
        nn.init.constant_(self.spread.bias, math.log(initial_std))

    def forward(self, features: Tensor, mask: Tensor | None = None) -> SquashedNormal:
        return SquashedNormal(self.mean(features), self.spread(features).clamp(*LOG_STD).exp())

    def sample(self, distribution: Distribution, generator: torch.Generator | None) -> Tensor:
        assert isinstance(distribution, SquashedNormal)
        return distribution.with_log_prob(generator)[0]

    def decided(self, features: Tensor) -> Tensor:
        return self.mean(features).tanh()

    def typical_spread(self) -> float:
        return float(self.spread.bias.detach().exp().mean())

    def keep_exploring(self, spread: float) -> None:
        """Entropy is kept by the algorithm itself."""
