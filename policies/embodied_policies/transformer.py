"""A small causal transformer over whole episodes, with a key/value cache while acting.

Pre-layer-norm blocks (Xiong et al. 2020) with rotary positions (Su et al. 2021) counted from the start of the
episode. A step attends to the last `context` steps of its own episode, in acting and in training alike.

Shape suffixes: L layers, N or B environments, T steps, C slots of the cache, S = C + T keys, H heads, D width
of a head, F features.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, cast

import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional as F

from embodied.errors import OptionError
from embodied.learn.policy import Core, Privilege, SequencePolicy


@dataclass(frozen=True)
class TransformerConfig:
    """Size of the network; `context` is how many steps back it remembers, the present one included."""

    layers: int = 2
    width: int = 64
    heads: int = 4
    context: int = 128

    def __post_init__(self) -> None:
        if not 1 <= self.layers <= 12:
            raise OptionError(f"layers is {self.layers}, expected 1 to 12")
        if self.heads < 1 or self.width % self.heads or (self.width // self.heads) % 2:
            raise OptionError(f"a width of {self.width} cannot be split into {self.heads} heads of even width")
        if self.context < 1:
            raise OptionError(f"context is {self.context}, expected at least 1")


@dataclass
class Cache:
    """What the transformer remembers of each environment: a ring of keys and values.

    Attributes:
        keys_LNHCD, values_LNHCD: rotated keys, and values.
        time_NC: step of the episode that each slot holds; −1 for none.
        age_N: how many steps of the current episode were read.
    """

    keys_LNHCD: Tensor
    values_LNHCD: Tensor
    time_NC: Tensor
    age_N: Tensor


class TransformerCore(Core):
    """See the module's description."""

    rate: Tensor

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.features = config.width
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        rate = 1e4 ** (-torch.arange(0, config.width // config.heads, 2) / (config.width // config.heads))
        self.register_buffer("rate", rate, persistent=False)

    def initial(self, n: int) -> Cache:
        c = self.config
        shape = (c.layers, n, c.heads, c.context, c.width // c.heads)
        device = self.norm.weight.device
        return Cache(
            torch.zeros(shape, device=device),
            torch.zeros(shape, device=device),
            torch.full((n, c.context), -1, device=device),
            torch.zeros(n, dtype=torch.long, device=device),
        )

    def rows(self, memory: Cache, index: Tensor) -> Cache:
        return Cache(
            memory.keys_LNHCD[:, index],
            memory.values_LNHCD[:, index],
            memory.time_NC[index],
            memory.age_N[index],
        )

    def clone(self, memory: Cache) -> Cache:
        return Cache(*(getattr(memory, f.name).clone() for f in fields(Cache)))

    def snapshot(self, memory: Cache) -> Cache:
        used = int((memory.time_NC.amax(0) >= 0).sum())
        return Cache(
            memory.keys_LNHCD[:, :, :, :used].clone(),
            memory.values_LNHCD[:, :, :, :used].clone(),
            memory.time_NC[:, :used].clone(),
            memory.age_N.clone(),
        )

    def step(self, x_NF: Tensor, first_N: Tensor, memory: Cache) -> tuple[Tensor, Cache]:
        """Reads one step; the cache is written in place and returned."""
        memory.age_N.masked_fill_(first_N, 0)
        memory.time_NC.masked_fill_(first_N[:, None], -1)
        row_N = torch.arange(len(x_NF), device=x_NF.device)
        slot_N = memory.age_N % self.config.context
        memory.time_NC[row_N, slot_N] = memory.age_N
        used = min(int(memory.age_N.max()) + 1, self.config.context)
        seen_N11C = (memory.time_NC[:, None, None, :used]) >= 0
        turn = self._turns(memory.age_N[:, None])
        x_NTF = x_NF[:, None]
        for i, block in enumerate(self._layers):
            q_NHTD, k_NHTD, v_NHTD = block.project(x_NTF, turn)
            memory.keys_LNHCD[i, row_N, :, slot_N] = k_NHTD[:, :, 0]
            memory.values_LNHCD[i, row_N, :, slot_N] = v_NHTD[:, :, 0]
            keys, values = memory.keys_LNHCD[i, :, :, :used], memory.values_LNHCD[i, :, :, :used]
            x_NTF = block.mix(x_NTF, q_NHTD, keys, values, seen_N11C)
        memory.age_N += 1
        return self.norm(x_NTF[:, 0]), memory

    def sequence(self, x_BTF: Tensor, first_BT: Tensor, memory: Cache) -> Tensor:
        time_BT, seen_B1TS = self._chronology(first_BT, memory)
        turn = self._turns(time_BT)
        for i, block in enumerate(self._layers):
            q_BHTD, k_BHTD, v_BHTD = block.project(x_BTF, turn)
            k_BHSD = torch.cat([memory.keys_LNHCD[i], k_BHTD], dim=2)
            v_BHSD = torch.cat([memory.values_LNHCD[i], v_BHTD], dim=2)
            x_BTF = block.mix(x_BTF, q_BHTD, k_BHSD, v_BHSD, seen_B1TS)
        return self.norm(x_BTF)

    @property
    def _layers(self) -> list[_Block]:
        return cast("list[_Block]", list(self.blocks))

    def _chronology(self, first_BT: Tensor, memory: Cache) -> tuple[Tensor, Tensor]:
        """Returns each step's time in its episode, and which keys (cache, then steps) each step may see."""
        steps = torch.arange(first_BT.shape[1], device=first_BT.device)
        episode_BT = first_BT.long().cumsum(1)
        began_BT = torch.where(first_BT, steps, -1).cummax(1).values
        time_BT = torch.where(began_BT >= 0, steps - began_BT, steps + memory.age_N[:, None])
        key_time_BS = torch.cat([memory.time_NC, time_BT], dim=1)
        key_episode_BS = torch.cat([torch.zeros_like(memory.time_NC), episode_BT], dim=1)
        lag_BTS = time_BT[:, :, None] - key_time_BS[:, None]
        seen_BTS = (episode_BT[:, :, None] == key_episode_BS[:, None]) & (key_time_BS[:, None] >= 0)
        seen_BTS &= (lag_BTS >= 0) & (lag_BTS < self.config.context)
        return time_BT, seen_BTS[:, None]

    def _turns(self, time_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines of the rotary angles, `(B, 1, T, D / 2)` each."""
        angle = time_BT[:, None, :, None] * self.rate
        return angle.cos(), angle.sin()


class _Block(nn.Module):
    """One pre-layer-norm block: attention, then a two-layer network, each added to the stream."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads = config.heads
        width = config.width
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def project(self, x_BTF: Tensor, turn: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Returns rotated queries, rotated keys, and values, `(B, H, T, D)` each."""
        batch, steps, width = x_BTF.shape
        qkv = self.qkv(self.norm_1(x_BTF)).view(batch, steps, 3, self.heads, width // self.heads)
        q_BHTD, k_BHTD, v_BHTD = qkv.permute(2, 0, 3, 1, 4)
        return _rotate(q_BHTD, turn), _rotate(k_BHTD, turn), v_BHTD

    def mix(self, x_BTF: Tensor, q_BHTD: Tensor, k_BHSD: Tensor, v_BHSD: Tensor, seen: Tensor) -> Tensor:
        """Adds what attention brings, then what the network makes of it."""
        heard = F.scaled_dot_product_attention(q_BHTD, k_BHSD, v_BHSD, attn_mask=seen)
        x_BTF = x_BTF + self.out(heard.transpose(1, 2).reshape(x_BTF.shape))
        return x_BTF + self.down(F.gelu(self.up(self.norm_2(x_BTF))))


class TransformerPolicy(SequencePolicy):
    """The transformer as a policy for `SequencePPO`; keyword arguments as in `TransformerConfig`."""

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        lr_schedule: Any = None,
        use_sde: bool = False,
        privilege: Privilege = Privilege(),  # noqa: B008 (frozen)
        **config: Any,
    ) -> None:
        self.config = TransformerConfig(**config)
        super().__init__(observation_space, action_space, TransformerCore(self.config), privilege)

    def settings(self) -> dict[str, Any]:
        """The keyword arguments that build this network again."""
        return asdict(self.config)


def _rotate(x_BHTD: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Turns the two halves of each head's features by the rotary angles."""
    cos, sin = turn
    a, b = x_BHTD.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
