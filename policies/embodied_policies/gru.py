"""A gated recurrent unit as a policy: the classic memory, under the same interface as the transformer.

Shape suffixes: L layers, N or B environments, T steps, S segments, F features.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from gymnasium import spaces
from torch import Tensor, nn

from embodied.errors import OptionError
from embodied.learn.policy import Core, Privilege, SequencePolicy


@dataclass(frozen=True)
class GRUConfig:
    """Size of the network."""

    layers: int = 1
    width: int = 64

    def __post_init__(self) -> None:
        if not 1 <= self.layers <= 12 or not 1 <= self.width <= 4096:
            raise OptionError("layers must be 1 to 12, and width 1 to 4096")


class GRUCore(Core):
    """Reads on from the memory that acting had; gradients reach back to the start of the rollout and no further."""

    def __init__(self, config: GRUConfig) -> None:
        super().__init__()
        self.config = config
        self.features = config.width
        self.inward = nn.Sequential(nn.Tanh(), nn.Linear(config.width, config.width), nn.Tanh())
        self.gru = nn.GRU(config.width, config.width, config.layers, batch_first=True)
        self.norm = nn.LayerNorm(config.width)

    def initial(self, n: int) -> Tensor:
        return torch.zeros(self.config.layers, n, self.config.width, device=self.norm.weight.device)

    def step(self, x_NF: Tensor, first_N: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        memory = memory.masked_fill(first_N[None, :, None], 0.0)
        out_NTF, memory = self.gru(self.inward(x_NF)[:, None], memory)
        return self.norm(out_NTF[:, 0]), memory

    def sequence(self, x_BTF: Tensor, first_BT: Tensor, memory: Tensor) -> Tensor:
        """Cuts the sequences where episodes begin and reads all pieces at once."""
        x_BTF = self.inward(x_BTF)
        batch, steps = first_BT.shape
        begins_BT = first_BT.clone()
        begins_BT[:, 0] = True
        row_S, start_S = begins_BT.nonzero(as_tuple=True)
        number_BT = begins_BT.flatten().cumsum(0).view(batch, steps) - 1
        time = torch.arange(steps, device=x_BTF.device)
        offset_BT = time - start_S[number_BT]
        longest = int(offset_BT.max()) + 1
        reach_SL = (start_S[:, None] + time[:longest]).clamp(max=steps - 1)
        goes_on_S = (start_S == 0) & ~first_BT[row_S, 0]
        before_LSF = memory[:, row_S] * goes_on_S[None, :, None]
        out_SLF, _ = self.gru(x_BTF[row_S[:, None], reach_SL], before_LSF.contiguous())
        return self.norm(out_SLF[number_BT, offset_BT])

    def snapshot(self, memory: Tensor) -> Tensor:
        return memory.clone()

    def clone(self, memory: Tensor) -> Tensor:
        return memory.clone()

    def rows(self, memory: Tensor, index: Tensor) -> Tensor:
        return memory[:, index].contiguous()

    def pure_step(self, x_NF: Tensor, first_N: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        return self.step(x_NF, first_N, memory[0])

    def tensors(self, memory: Tensor) -> dict[str, Tensor]:
        return {"memory": memory}


class GRUPolicy(SequencePolicy):
    """The gated recurrent unit as a policy for `SequencePPO`; keyword arguments as in `GRUConfig`."""

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
        self.config = GRUConfig(**config)
        core = GRUCore(self.config)
        super().__init__(observation_space, action_space, core, privilege, use_sde=use_sde, forecasts=forecasts)

    def settings(self) -> dict[str, Any]:
        """The keyword arguments that build this network again."""
        return asdict(self.config)
