"""A gated recurrent unit as a policy: the classic memory, under the same interface as the transformer.

Shape suffixes: L layers, N or B environments, T steps, S segments, F features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from embodied.nn.core import Core
from embodied.nn.policy import SequencePolicy
from embodied_policies.size import Size


@dataclass(frozen=True)
class GRUConfig(Size):
    """Size of the network; one layer is the custom."""

    layers: int = 1


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

    def put(self, memory: Tensor, index: Tensor, part: Tensor) -> None:
        memory[:, index] = part

    def pure_step(self, x_NF: Tensor, first_N: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        return self.step(x_NF, first_N, memory[0])

    def tensors(self, memory: Tensor) -> dict[str, Tensor]:
        return {"memory": memory}


class GRUPolicy(SequencePolicy):
    """The gated recurrent unit as a policy for `SequencePPO`; keyword arguments as in `GRUConfig`."""

    config_type = GRUConfig
    core_type = GRUCore
