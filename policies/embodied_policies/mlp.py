"""A network without memory, under the same interface: what can be done by looking at the present alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from gymnasium import spaces
from torch import Tensor, nn

from embodied.errors import OptionError
from embodied.learn.policy import Core, Privilege, SequencePolicy


@dataclass(frozen=True)
class MLPConfig:
    """Size of the network."""

    layers: int = 2
    width: int = 64

    def __post_init__(self) -> None:
        if not 1 <= self.layers <= 12 or not 1 <= self.width <= 4096:
            raise OptionError("layers must be 1 to 12, and width 1 to 4096")


class MLPCore(Core):
    """Linear layers with tanh between them; its memory is empty."""

    def __init__(self, config: MLPConfig) -> None:
        super().__init__()
        self.features = config.width
        layers = [nn.Sequential(nn.Tanh(), nn.Linear(config.width, config.width)) for _ in range(config.layers - 1)]
        self.network = nn.Sequential(*layers, nn.Tanh())

    def initial(self, n: int) -> Tensor:
        return torch.zeros(n, 0)

    def step(self, x_NF: Tensor, first_N: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        return self.network(x_NF), memory

    def sequence(self, x_BTF: Tensor, first_BT: Tensor, memory: Tensor) -> Tensor:
        return self.network(x_BTF)

    def snapshot(self, memory: Tensor) -> Tensor:
        return memory

    def clone(self, memory: Tensor) -> Tensor:
        return memory

    def rows(self, memory: Tensor, index: Tensor) -> Tensor:
        return memory[index.to(memory.device)]

    def pure_step(self, x_NF: Tensor, first_N: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        return (self.network(x_NF),)

    def tensors(self, memory: Tensor) -> dict[str, Tensor]:
        return {}


class MLPPolicy(SequencePolicy):
    """The network without memory as a policy for `SequencePPO`; keyword arguments as in `MLPConfig`."""

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        lr_schedule: Any = None,
        use_sde: bool = False,
        privilege: Privilege = Privilege(),  # noqa: B008 (frozen)
        forecasts: bool = False,
        **config: Any,
    ) -> None:
        self.config = MLPConfig(**config)
        core = MLPCore(self.config)
        super().__init__(observation_space, action_space, core, privilege, use_sde=use_sde, forecasts=forecasts)

    def settings(self) -> dict[str, Any]:
        """The keyword arguments that build this network again."""
        return asdict(self.config)
