"""A network without memory, under the same interface: what can be done by looking at the present alone."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from embodied.nn.core import Core
from embodied.nn.policy import SequencePolicy
from embodied_policies.size import Size


class MlpCore(Core):
    """Linear layers with tanh between them; its memory is empty."""

    has_memory = False

    def __init__(self, config: Size) -> None:
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

    def put(self, memory: Tensor, index: Tensor, part: Tensor) -> None:
        """There is nothing to write."""

    def pure_step(self, x_NF: Tensor, first_N: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        return (self.network(x_NF),)

    def tensors(self, memory: Tensor) -> dict[str, Tensor]:
        return {}


class MlpPolicy(SequencePolicy):
    """The network without memory as a policy for `SequencePPO`; keyword arguments as in `Size`.

    Its first weights are orthogonal, which policy gradients do better with (Andrychowicz et al. 2021).
    """

    config_type = Size
    core_type = MlpCore

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        hidden_layers = None if self.critic is None else self.critic[:-1]
        for network in (self.encoder, self.core, hidden_layers):
            if network is not None:
                network.apply(_orthogonal)


def _orthogonal(layer: nn.Module) -> None:
    """Orthogonal weights that keep the size of what passes, and no bias."""
    if isinstance(layer, nn.Linear):
        nn.init.orthogonal_(layer.weight, math.sqrt(2))
        nn.init.zeros_(layer.bias)
