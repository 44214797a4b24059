"""What a policy makes of observations, and what can be told of how."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torch.distributions import Distribution


@dataclass
class PolicyOutput:
    """What a policy makes of observations; leading axes as given."""

    features: Tensor  # (…, F)
    actions: Distribution
    value: Tensor | None  # (…,), None with a privileged critic
    belief: Tensor | None  # (…, outputs of the belief head), as `BeliefHeadLayout` reads them


@dataclass
class Introspection:
    """What a policy made of a sequence of one world, step by step.

    Attributes:
        belief: `(T, K)`, or None without a belief head; value: `(T,)`, or None with a privileged critic.
        action_mean: the most likely action as the environment takes it, `(T, …)`.
        inside: what the core tells, such as `attention (L, H, T, T)`, `routing (L, T, E)` and the magnitude of
            what each module adds.
    """

    action_mean: np.ndarray
    belief: np.ndarray | None
    value: np.ndarray | None
    inside: dict[str, np.ndarray]
