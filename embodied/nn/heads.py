"""What comes out of a policy: action distributions, and beliefs about hidden variables."""

from __future__ import annotations

import math

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, Normal

from embodied.errors import OptionError
from embodied.nn.normalization import RunningMeanStd
from embodied.spaces import choices_of

CRITIC_WIDTH = 128
FORBIDDEN = -1e9  # logit of an action that is not allowed


class ReturnNormalizer(nn.Module):
    """Running mean and spread of returns, so that a value network works in units of about one.

    Exponential averages over updates, corrected for their start.
    """

    moments: Tensor

    def __init__(self, rate: float = 0.02) -> None:
        super().__init__()
        self.rate = rate
        self.register_buffer("moments", torch.zeros(3))  # averages of x and x², and the weight they rest on

    def update(self, returns: Tensor) -> None:
        """Takes in the returns of one rollout, if there are any."""
        if not returns.numel():
            return
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

    @property
    def size(self) -> Tensor:
        """Root mean square of returns; 1 before the first update."""
        _, square, weight = self.moments
        size = (square / weight.clamp(min=1e-8)).clamp(min=1e-6).sqrt()
        return torch.where(weight > 0, size, torch.ones_like(size))

    def to_value(self, output: Tensor) -> Tensor:
        """What a network's output means as a return."""
        mean, spread = self.mean_and_spread
        return output * spread + mean


class GaussianHead(nn.Module):
    """A diagonal Gaussian with learned, state-independent spread; actions are clipped to the Box by the caller."""

    middle: Tensor
    reach: Tensor
    mask_size = 0  # nothing can be forbidden

    def __init__(self, features: int, space: spaces.Box, initial_std: float = 0.5) -> None:
        super().__init__()
        self.space, self.shape = space, space.shape
        self.size = self.input_size = int(np.prod(space.shape))
        self.mean = nn.Linear(features, self.size)
        self.log_std = nn.Parameter(torch.full((self.size,), float(np.log(initial_std))))
        low, high = space.low.astype(np.float64), space.high.astype(np.float64)
        self.register_buffer("middle", torch.as_tensor((low / 2 + high / 2).reshape(-1)), persistent=False)
        self.register_buffer("reach", torch.as_tensor((high / 2 - low / 2).reshape(-1)), persistent=False)
        beyond = high.astype(object) > space.high.astype(object)  # rounded up, as the largest integers are
        self._ends = low, np.where(beyond, np.nextafter(high, low), high)
        nn.init.orthogonal_(self.mean.weight, 0.01)
        nn.init.zeros_(self.mean.bias)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Distribution:
        """Returns the distribution over actions in units of the half range of the Box."""
        return Independent(Normal(self.mean(features), self.log_std.exp(), validate_args=False), 1, validate_args=False)

    @property
    def output(self) -> nn.Linear:
        """The layer that decides."""
        return self.mean

    def mode(self, distribution: Distribution) -> Tensor:
        """The most likely action."""
        return distribution.mean

    def sample(self, distribution: Distribution, generator: torch.Generator | None) -> Tensor:
        """A random action."""
        mean, spread = distribution.mean, distribution.stddev
        return mean + spread * torch.randn(mean.shape, generator=generator, device=mean.device)

    def in_box(self, unit: Tensor) -> Tensor:
        """Actions `(…, size)` scaled from [-1, 1] to the Box, and clipped to it."""
        return self.scaled(self.as_input(unit))

    def scaled(self, unit: Tensor) -> Tensor:
        """Numbers `(…, size)` in [-1, 1], scaled to the Box."""
        return self.middle + unit * self.reach

    def to_env(self, action: Tensor) -> np.ndarray:
        """Scales actions `(N, size)` from [-1, 1] to the Box, clipped, as the environment wants them: whole numbers
        where it counts in such."""
        scaled = self.in_box(action).cpu().numpy().reshape(len(action), *self.shape)
        if self.space.dtype.kind != "f":
            scaled = np.clip(np.rint(scaled), *self._ends)
        return scaled.astype(self.space.dtype)

    def from_env(self, action: np.ndarray) -> Tensor:
        """The inverse of `to_env`, for actions `(N, …)` of the environment."""
        rows = torch.as_tensor(np.asarray(action, np.float64), device=self.reach.device).reshape(len(action), -1)
        return ((rows - self.middle) / self.reach.clamp(min=torch.finfo(torch.float64).tiny)).float()

    def as_input(self, action: Tensor) -> Tensor:
        """Actions `(…, size)` as a network reads them: what was done, within the Box."""
        return action.clamp(-1, 1)

    def decided(self, features: Tensor) -> Tensor:
        """The most likely action, within the Box, as a network reads it."""
        return self.as_input(self.mean(features))

    def typical_spread(self) -> float:
        """What it explores with, in half ranges of the Box."""
        return float(self.log_std.detach().exp().mean())

    def keep_exploring(self, spread: float) -> None:
        """Lets no spread fall below this, in half ranges of the Box."""
        self.log_std.data.clamp_(min=float(np.log(spread)))


class StateDependentHead(GaussianHead):
    """A Gaussian whose noise is a smooth function of the features (gSDE; Raffin, Kober & Stulp 2022).

    As long as noise is kept the same features get the same, so that exploration is a course and not a shaking.
    """

    def __init__(self, features: int, space: spaces.Box, initial_std: float = 0.5) -> None:
        super().__init__(features, space, initial_std)
        start = float(np.log(initial_std / np.sqrt(features)))
        self.log_std = nn.Parameter(torch.full((features, self.size), start))

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Distribution:
        variance = (features.detach() ** 2) @ (2 * self.log_std).exp()
        normal = Normal(self.mean(features), (variance + 1e-6).sqrt(), validate_args=False)
        return Independent(normal, 1, validate_args=False)

    def keep_exploring(self, spread: float) -> None:
        """Lets no feature's share of the spread fall below what it is for features of size one."""
        self.log_std.data.clamp_(min=float(np.log(spread / np.sqrt(len(self.log_std)))))

    def draw_noise(self, n: int, generator: torch.Generator | None) -> Tensor:
        """What the noise of `n` environments is until it is drawn again, `(n, features, size)`."""
        shape = (n, *self.log_std.shape)
        noise = torch.randn(shape, generator=generator, device=self.log_std.device)
        return noise * self.log_std.detach().exp()

    def explore(self, distribution: Distribution, features: Tensor, noise: Tensor) -> Tensor:
        """The action that noise makes of features `(n, features)`."""
        return distribution.mean + torch.einsum("nf,nfa->na", features, noise)


class ChoiceHead(nn.Module):
    """One or several choices, of which some may be forbidden: Discrete and MultiDiscrete actions.

    Choices of unequal size share one table, whose surplus places are forbidden for good.
    """

    places: Tensor
    offsets: Tensor

    def __init__(self, features: int, space: spaces.Discrete | spaces.MultiDiscrete) -> None:
        super().__init__()
        single = isinstance(space, spaces.Discrete)
        self.shape: tuple[int, ...] = () if single else tuple(np.shape(space.start))
        sizes = choices_of(space)
        self.start = np.atleast_1d(np.asarray(space.start)).reshape(-1)
        self.size, self.most, self.mask_size = len(sizes), int(sizes.max()), int(sizes.sum())
        self.input_size = self.mask_size
        self.register_buffer("offsets", torch.as_tensor(np.cumsum(sizes) - sizes), persistent=False)
        exists = np.arange(self.most) < sizes[:, None]
        self.register_buffer("places", torch.as_tensor(np.flatnonzero(exists)), persistent=False)
        self.logits = nn.Linear(features, self.mask_size)
        nn.init.orthogonal_(self.logits.weight, 0.01)
        nn.init.zeros_(self.logits.bias)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Distribution:
        """Returns the distribution over indices `(…, choices)`; `mask (…, mask_size)` tells which are allowed."""
        logits = self.logits(features)
        if mask is not None:
            logits = logits.masked_fill(~mask, FORBIDDEN)
        if self.most * self.size != self.mask_size:
            table = logits.new_full((*logits.shape[:-1], self.size * self.most), FORBIDDEN)
            table[..., self.places] = logits
            logits = table
        logits = logits.reshape(*logits.shape[:-1], self.size, self.most)
        return Independent(Categorical(logits=logits, validate_args=False), 1, validate_args=False)

    @property
    def output(self) -> nn.Linear:
        """The layer that decides."""
        return self.logits

    def mode(self, distribution: Distribution) -> Tensor:
        """The most likely action."""
        return distribution.base_dist.logits.argmax(-1)  # type: ignore[attr-defined]

    def sample(self, distribution: Distribution, generator: torch.Generator | None) -> Tensor:
        """A random action, by the Gumbel-max trick."""
        logits = distribution.base_dist.logits  # type: ignore[attr-defined]
        uniform = torch.rand(logits.shape, generator=generator, device=logits.device).clamp_(1e-9, 1 - 1e-7)
        return (logits - (-uniform.log()).log()).argmax(-1)

    def to_env(self, action: Tensor) -> np.ndarray:
        """Returns action indices `(N, …)` as the environment counts them."""
        counted = action.long().cpu().numpy() + self.start
        return counted.reshape(len(action), *self.shape)

    def from_env(self, action: np.ndarray) -> Tensor:
        """The inverse of `to_env`, for actions `(N, …)` of the environment."""
        rows = np.asarray(action).reshape(len(action), -1) - self.start
        return torch.as_tensor(rows, dtype=torch.float32, device=self.places.device)

    def as_input(self, action: Tensor) -> Tensor:
        """Indices `(…, choices)` as a network reads them: an indicator for each thing to choose, `(…, input_size)`."""
        chosen = action.long() + self.offsets
        return torch.zeros(*action.shape[:-1], self.input_size, device=action.device).scatter(-1, chosen, 1.0)

    def keep_exploring(self, spread: float) -> None:
        """Choices explore as long as none is certain."""


def action_head(
    features: int, space: spaces.Space, use_sde: bool = False, initial_std: float = 0.5
) -> GaussianHead | ChoiceHead:
    """Returns the head for an action space; `initial_std` is what a Gaussian explores with at first [half ranges].

    Raises:
        OptionError: the space is none of Box, Discrete and MultiDiscrete, or cannot be explored as asked.
    """
    check_exploration(initial_std)
    check_actions(space)
    if isinstance(space, spaces.Box):
        return (StateDependentHead if use_sde else GaussianHead)(features, space, initial_std)
    if use_sde:
        raise OptionError(f"state-dependent exploration needs actions of a Box, not {type(space).__name__}")
    assert isinstance(space, spaces.Discrete | spaces.MultiDiscrete)
    return ChoiceHead(features, space)


def check_exploration(initial_std: float) -> None:
    """Refuses a spread that is none.

    Raises:
        OptionError: it is not positive.
    """
    if not 0 < initial_std < math.inf:
        raise OptionError(f"initial_std must be positive, not {initial_std}")


def check_actions(space: spaces.Space) -> None:
    """Refuses actions that no head can choose.

    Raises:
        OptionError: the space is none of Box, Discrete and MultiDiscrete, is empty, or has no bounds.
    """
    if not isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete):
        raise OptionError(f"actions of {type(space).__name__} are not supported; known: Box, Discrete, MultiDiscrete")
    if 0 in (space.shape or ()):
        raise OptionError(f"there is nothing to do in {space}")
    if isinstance(space, spaces.Box) and not np.isfinite([space.low, space.high]).all():
        raise OptionError(
            f"actions without bounds cannot be explored: {space}. Give them some, for instance by "
            "gymnasium.wrappers.RescaleAction or TransformAction"
        )


def value_head(features: int) -> nn.Linear:
    """The last layer of a critic: at first everything is worth the same.

    Values that differ by chance would decide what is reinforced first, where rewards are small beside them.
    """
    head = nn.Linear(features, 1)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def critic_head(size: int, normalize: bool) -> nn.Sequential:
    """A privileged critic of `size` numbers."""
    width = CRITIC_WIDTH
    scale = [RunningMeanStd(size)] if normalize else []
    layers = (nn.Linear(size, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), value_head(width))
    return nn.Sequential(*scale, *layers)


class ForwardModel(nn.Module):
    """Predicts the next observation, normalized, as a change of the present one."""

    def __init__(self, features: int, action: int, observation: int) -> None:
        super().__init__()
        self.inward = nn.Linear(features + action, 2 * features)
        self.outward = nn.Linear(2 * features, observation)
        nn.init.zeros_(self.outward.weight)
        nn.init.zeros_(self.outward.bias)

    def forward(self, features: Tensor, action: Tensor, now: Tensor) -> Tensor:
        """Returns the prediction `(…, F)` from features, action and the normalized observation `now (…, F)`."""
        return now + self.outward(nn.functional.gelu(self.inward(torch.cat([features, action.float()], dim=-1))))
