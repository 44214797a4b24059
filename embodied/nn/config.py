"""The settings of a network, as data."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from embodied.errors import OptionError

OF_THE_POLICY = ("policy", "previous_action")  # not of its core


@dataclass(frozen=True)
class NetworkConfig:
    """Which policy, and how large; None: the policy's own default."""

    policy: str = "TransformerPolicy"
    """Alias of the policy: TransformerPolicy, GRUPolicy, MlpPolicy, or one that another package provides."""
    layers: int | None = None
    """Layers of the core."""
    width: int | None = None
    """Features per layer."""
    context: int | None = None
    """Steps back that a transformer attends to; 1 is no memory at all."""
    previous_action: bool = True
    """Let a policy with memory read what it did a step before beside each observation."""

    def settings_for(self, config_type: type) -> dict[str, Any]:
        """The keyword arguments of the policy whose core is configured by `config_type`.

        Raises:
            OptionError: a setting that this policy does not have.
        """
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in OF_THE_POLICY}
        given = {name: value for name, value in given.items() if value is not None}
        known = {f.name for f in fields(config_type)}
        if unknown := [name for name in given if name not in known]:
            raise OptionError(f"{self.policy} has no setting {unknown[0]!r}; it has: {', '.join(sorted(known))}")
        return given | {"previous_action": self.previous_action}
