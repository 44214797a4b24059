"""Hidden variables: what matters, cannot be seen at once, and has a known prior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from embodied.errors import OptionError


@dataclass(frozen=True)
class Discrete:
    """A hidden choice among `labels`; `info["hidden"]` holds its index.

    Raises:
        OptionError: the prior is no distribution over the labels.
    """

    name: str
    labels: tuple[str, ...]
    prior: tuple[float, ...]
    moving: bool = False

    def __post_init__(self) -> None:
        if len(self.prior) != len(self.labels) or min(self.prior) < 0 or abs(sum(self.prior) - 1) > 1e-9:
            raise OptionError(f"the prior of {self.name!r} is no distribution over {self.labels}: {self.prior}")

    @property
    def entropy_bits(self) -> float:
        """Entropy of the prior [bits]."""
        p = np.array([p for p in self.prior if p > 0])
        return float(-(p * np.log2(p)).sum())


@dataclass(frozen=True)
class Continuous:
    """A hidden quantity with a uniform prior on `[low, high]`; angles [rad] wrap around."""

    name: str
    low: float
    high: float
    unit: str
    angle: bool = False
    moving: bool = False


Hidden = Discrete | Continuous
