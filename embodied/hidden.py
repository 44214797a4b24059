"""Hidden variables: what matters, cannot be seen at once, and has a known prior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from embodied.contract import Contract
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
EXTRAS = "embodied_extras"  # the one name that is reserved on environments
PRIVILEGED = ("hidden", "state", "shaping")


@dataclass(frozen=True)
class Extras:
    """What an environment tells beyond Gymnasium's interface, by having it as its attribute `embodied_extras`.

    Its infos may then say `hidden`, the truth, an array of a number per hidden variable; `state`, the privileged state
    for critics; `shaping`, a potential (Ng, Harada & Russell 1999); `failed`, that the physics did; and
    `sampled_parameters`. In environments without it, such keys are their own affair.

    Attributes:
        hidden: the hidden variables.
        contract: what a policy that is trained on it can count on, which is kept with it; None for nothing.
    """

    hidden: tuple[Hidden, ...] = ()
    contract: Contract | None = None

    def __post_init__(self) -> None:
        for variable in self.hidden:
            if not isinstance(variable, Hidden):
                raise OptionError(f"a hidden variable is a Discrete or a Continuous, not {variable!r}")
