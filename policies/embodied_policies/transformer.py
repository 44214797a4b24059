"""A small causal transformer over whole episodes, with a key/value cache while acting.

Pre-layer-norm blocks (Xiong et al. 2020) with rotary positions (Su et al. 2021) counted from the start of the
episode. A step attends to the last `context` steps of its own episode, in acting and in training alike.

Shape suffixes: L layers, N or B environments, T steps, C slots of the cache, S = C + T keys, H heads, D width
of a head, F features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from embodied.errors import OptionError
from embodied.nn.core import Core
from embodied.nn.permutations import Permutation, Place
from embodied.nn.policy import SequencePolicy
from embodied_policies.size import Size

LONGEST = 100_000  # steps of context
POSITIONS = ("rotary", "learned")
CHOSEN_EXPERTS = 2
BALANCE = 0.01  # weight of the loss that keeps experts equally busy


@dataclass(frozen=True)
class TransformerConfig(Size):
    """Size and kind of the network.

    Attributes:
        context: how many steps back it remembers, the present one included.
        positions: "rotary", or "learned": a bias per head and distance.
        gate: let a gate decide how much each module adds (GTrXL; Parisotto et al. 2020).
        experts: small networks of which each step takes the best two, in place of one; 0 for one.
    """

    heads: int = 4
    context: int = 128
    positions: str = "rotary"
    gate: bool = False
    experts: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.heads < 1 or self.width % self.heads or (self.width // self.heads) % 2:
            raise OptionError(f"a width of {self.width} cannot be split into {self.heads} heads of even width")
        if not 1 <= self.context <= LONGEST:
            raise OptionError(f"context is {self.context}, expected at least 1 and at most {LONGEST:,}")
        if self.positions not in POSITIONS:
            raise OptionError(f"positions is {self.positions!r}; known: {', '.join(POSITIONS)}")
        if self.experts == 1 or not 0 <= self.experts <= 64:
            raise OptionError(f"experts is {self.experts}, expected 2 to 64, or 0 for none")


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
        self.features, self.has_memory = config.width, config.context > 1
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        share = torch.arange(0, config.width // config.heads, 2, dtype=torch.float64) / (config.width // config.heads)
        rate = 1e4**-share
        self.register_buffer("rate", rate * (config.positions == "rotary"), persistent=False)

    def permutations(self) -> tuple[tuple[Place, ...], tuple[Permutation, ...]] | None:
        if self.config.gate or self.config.experts:
            return None
        stream = [Place("norm.weight", 0), Place("norm.bias", 0)]
        inside: list[Permutation] = []
        for i in range(self.config.layers):
            found, own = _block_permutations(f"blocks.{i}.", self.config)
            stream, inside = [*stream, *found], [*inside, *own]
        return tuple(stream), tuple(inside)

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

    def put(self, memory: Cache, index: Tensor, part: Cache) -> None:
        memory.keys_LNHCD[:, index], memory.values_LNHCD[:, index] = part.keys_LNHCD, part.values_LNHCD
        memory.time_NC[index], memory.age_N[index] = part.time_NC, part.age_N

    def tensors(self, memory: Cache) -> dict[str, Tensor]:
        return {f.name: getattr(memory, f.name) for f in fields(Cache)}

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
        time_NC = memory.time_NC[:, :used]
        lag_N1C = memory.age_N[:, None, None] - time_NC[:, None]
        seen_N11C = (time_NC >= 0)[:, None, None]
        turn = self._turns(memory.age_N[:, None])
        x_NTF = x_NF[:, None]
        for i, block in enumerate(self._layers):
            q_NHTD, k_NHTD, v_NHTD = block.project(x_NTF, turn)
            memory.keys_LNHCD[i, row_N, :, slot_N] = k_NHTD[:, :, 0].float()
            memory.values_LNHCD[i, row_N, :, slot_N] = v_NHTD[:, :, 0].float()
            keys, values = memory.keys_LNHCD[i, :, :, :used], memory.values_LNHCD[i, :, :, :used]
            x_NTF = block.mix(x_NTF, q_NHTD, keys, values, block.bias(seen_N11C, lag_N1C))
        memory.age_N += 1
        return self.norm(x_NTF[:, 0]), memory

    def sequence(self, x_BTF: Tensor, first_BT: Tensor, memory: Cache) -> Tensor:
        time_BT, seen_B1TS, lag_BTS = self._chronology(first_BT, memory)
        turn = self._turns(time_BT)
        for i, block in enumerate(self._layers):
            q_BHTD, k_BHTD, v_BHTD = block.project(x_BTF, turn)
            k_BHSD = torch.cat([memory.keys_LNHCD[i], k_BHTD], dim=2)
            v_BHSD = torch.cat([memory.values_LNHCD[i], v_BHTD], dim=2)
            x_BTF = block.mix(x_BTF, q_BHTD, k_BHSD, v_BHSD, block.bias(seen_B1TS, lag_BTS))
        return self.norm(x_BTF)

    def regularizer(self) -> Tensor | None:
        """How unequally experts were used in the last `sequence` (Shazeer et al. 2017), weighted."""
        if not self.config.experts:
            return None
        return BALANCE * torch.stack([cast(_Experts, block.think).imbalance for block in self._layers]).sum()

    def introspect(self, x_BTF: Tensor, first_BT: Tensor) -> dict[str, Tensor]:
        """Attention `(L, H, T, T)`, what each module adds `(L, T)`, and with experts their routing `(L, T, E)`."""
        memory = self.snapshot(self.initial(len(x_BTF)))
        time_BT, seen_B1TS, lag_BTS = self._chronology(first_BT, memory)
        turn, layers = self._turns(time_BT), []
        for block in self._layers:
            q_BHTD, k_BHTD, v_BHTD = block.project(x_BTF, turn)
            bias = block.bias(seen_B1TS, lag_BTS)
            attention, attended, x_BTF, mlp = block.mix_openly(x_BTF, q_BHTD, k_BHTD, v_BHTD, bias)
            one = {
                "attention": attention[0],
                "attention_output": attended[0].norm(dim=-1),
                "mlp_output": mlp[0].norm(dim=-1),
            }
            if self.config.experts:
                one["routing"] = cast(_Experts, block.think).shares[0]
            layers.append(one)
        return {name: torch.stack([one[name] for one in layers]) for name in layers[0]}

    def pure_step(self, x_NF: Tensor, first_N: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        keys, values, time_NC, age_N = memory
        age_N = torch.where(first_N, torch.zeros_like(age_N), age_N)
        time_NC = torch.where(first_N[:, None], torch.full_like(time_NC, -1), time_NC)
        slots = torch.arange(self.config.context, device=x_NF.device)
        here_NC = slots == (age_N % self.config.context)[:, None]
        time_NC = torch.where(here_NC, age_N[:, None], time_NC)
        seen_N11C = (time_NC >= 0)[:, None, None]
        lag_N1C = age_N[:, None, None] - time_NC[:, None]
        turn, x_NTF = self._turns(age_N[:, None]), x_NF[:, None]
        new_keys, new_values = [], []
        for i, block in enumerate(self._layers):
            q_NHTD, k_NHTD, v_NHTD = block.project(x_NTF, turn)
            k = torch.where(here_NC[:, None, :, None], k_NHTD, keys[i])
            v = torch.where(here_NC[:, None, :, None], v_NHTD, values[i])
            x_NTF = block.mix(x_NTF, q_NHTD, k, v, block.bias(seen_N11C, lag_N1C))
            new_keys.append(k)
            new_values.append(v)
        return self.norm(x_NTF[:, 0]), torch.stack(new_keys), torch.stack(new_values), time_NC, age_N + 1

    @property
    def _layers(self) -> list[_Block]:
        return cast("list[_Block]", list(self.blocks))

    def _chronology(self, first_BT: Tensor, memory: Cache) -> tuple[Tensor, Tensor, Tensor]:
        """Returns each step's time in its episode, which keys (cache, then steps) it may see, and how far back."""
        steps = torch.arange(first_BT.shape[1], device=first_BT.device)
        episode_BT = first_BT.long().cumsum(1)
        began_BT = torch.where(first_BT, steps, -1).cummax(1).values
        time_BT = torch.where(began_BT >= 0, steps - began_BT, steps + memory.age_N[:, None])
        key_time_BS = torch.cat([memory.time_NC, time_BT], dim=1)
        key_episode_BS = torch.cat([torch.zeros_like(memory.time_NC), episode_BT], dim=1)
        lag_BTS = time_BT[:, :, None] - key_time_BS[:, None]
        seen_BTS = (episode_BT[:, :, None] == key_episode_BS[:, None]) & (key_time_BS[:, None] >= 0)
        seen_BTS &= (lag_BTS >= 0) & (lag_BTS < self.config.context)
        return time_BT, seen_BTS[:, None], lag_BTS

    def _turns(self, time_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines of the rotary angles, `(B, T, 1, 1, D / 2)` each."""
        angle = (time_BT[:, :, None, None, None] * self.rate % (2 * math.pi)).float()  # exact at any age
        return angle.cos(), angle.sin()


def _block_permutations(name: str, config: TransformerConfig) -> tuple[list[Place], list[Permutation]]:
    """Where the stream stands in a block, and its heads and hidden units."""
    norms = [Place(f"{name}norm_{k}.{part}", 0) for k in (1, 2) for part in ("weight", "bias")]
    read = [Place(f"{name}qkv.weight", 1), Place(f"{name}think.up.weight", 1)]
    written = [Place(f"{name}{layer}.{part}", 0) for layer in ("out", "think.down") for part in ("weight", "bias")]
    wide = config.width // config.heads
    rows = [Place(f"{name}qkv.{part}", 0, 3, wide) for part in ("weight", "bias")]
    distance = [Place(f"{name}distance", 0)] if config.positions == "learned" else []
    heads = Permutation(config.heads, (*rows, Place(f"{name}out.weight", 1, 1, wide), *distance))
    up = [Place(f"{name}think.up.{part}", 0) for part in ("weight", "bias")]
    hidden = Permutation(4 * config.width, (*up, Place(f"{name}think.down.weight", 1)))
    return [*norms, *read, *written], [heads, hidden]


class _Block(nn.Module):
    """One pre-layer-norm block: attention, then a two-layer network, each added to the stream."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads = config.heads
        width = config.width
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.think: nn.Module = _Experts(width, config.experts) if config.experts else _Network(width)
        self.gates = nn.ModuleList([_Gate(width), _Gate(width)]) if config.gate else None
        learned = config.positions == "learned"
        self.distance = nn.Parameter(torch.zeros(config.heads, config.context)) if learned else None

    def project(self, x_BTF: Tensor, turn: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Returns rotated queries, rotated keys, and values, `(B, H, T, D)` each."""
        batch, steps, width = x_BTF.shape
        qkv = self.qkv(self.norm_1(x_BTF)).view(batch, steps, 3, self.heads, width // self.heads)
        q_BHTD, k_BHTD = _rotate(qkv[:, :, :2], turn).permute(2, 0, 3, 1, 4)
        return q_BHTD, k_BHTD, qkv[:, :, 2].transpose(1, 2)

    def bias(self, seen: Tensor, lag_BTS: Tensor) -> Tensor:
        """What attention may see: a mask, or with learned positions a bias, `(B, 1 or H, T, S)`."""
        if self.distance is None:
            return seen
        near = lag_BTS.clamp(0, self.distance.shape[1] - 1)
        return self.distance[:, near].movedim(0, 1).masked_fill(~seen, float("-inf"))

    def mix(self, x_BTF: Tensor, q_BHTD: Tensor, k_BHSD: Tensor, v_BHSD: Tensor, bias: Tensor) -> Tensor:
        """Adds what attention brings, then what the network makes of it."""
        attended = F.scaled_dot_product_attention(q_BHTD, k_BHSD, v_BHSD, attn_mask=bias)
        x_BTF = self._add(0, x_BTF, self.out(attended.transpose(1, 2).reshape(x_BTF.shape)))
        return self._add(1, x_BTF, self.think(self.norm_2(x_BTF)))

    def mix_openly(
        self, x_BTF: Tensor, q_BHTD: Tensor, k_BHSD: Tensor, v_BHSD: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As `mix`, with attention spelled out; returns it, what was attended, the stream, and what was mlp."""
        score = q_BHTD @ k_BHSD.transpose(-1, -2) / q_BHTD.shape[-1] ** 0.5
        score = score.masked_fill(~bias, float("-inf")) if bias.dtype == torch.bool else score + bias
        attention = score.softmax(-1)
        attended = self.out((attention @ v_BHSD).transpose(1, 2).reshape(x_BTF.shape))
        x_BTF = self._add(0, x_BTF, attended)
        mlp = self.think(self.norm_2(x_BTF))
        return attention, attended, self._add(1, x_BTF, mlp), mlp

    def _add(self, gate: int, x_BTF: Tensor, news_BTF: Tensor) -> Tensor:
        return x_BTF + news_BTF if self.gates is None else self.gates[gate](x_BTF, news_BTF)


class _Network(nn.Module):
    """Two layers, four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(x)))


class _Experts(nn.Module):
    """Small networks of which each step takes the best two, weighted (Shazeer et al. 2017).

    `shares (B, T, E)` are the weights of the last output; `imbalance` is 0 if all experts are equally busy.
    """

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.router = nn.Linear(width, count)
        self.up, self.down = nn.Linear(width, 2 * width * count), nn.Parameter(torch.empty(count, 2 * width, width))
        nn.init.uniform_(self.down, -((2 * width) ** -0.5), (2 * width) ** -0.5)
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        chance = self.router(x).softmax(-1)
        best, index = chance.topk(CHOSEN_EXPERTS, dim=-1)
        self.shares = torch.zeros_like(chance).scatter(-1, index, best / best.sum(-1, keepdim=True))
        busy = (self.shares > 0).to(x.dtype).flatten(0, -2).mean(0) / CHOSEN_EXPERTS
        self.imbalance = self.count * (busy * chance.flatten(0, -2).mean(0)).sum() - 1
        inside = F.gelu(self.up(x)).unflatten(-1, (self.count, -1)) * self.shares[..., None]
        return torch.einsum("...ei,eio->...o", inside, self.down)


class _Gate(nn.Module):
    """Decides, as a gated recurrent unit does, how much of the news is taken; at first almost none."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.news, self.stream = nn.Linear(width, 3 * width), nn.Linear(width, 2 * width, bias=False)
        self.proposal = nn.Linear(width, width, bias=False)
        with torch.no_grad():
            self.news.bias[width : 2 * width] = -2.0

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        r_y, z_y, h_y = self.news(y).chunk(3, dim=-1)
        r_x, z_x = self.stream(x).chunk(2, dim=-1)
        z = (z_y + z_x).sigmoid()
        return (1 - z) * x + z * (h_y + self.proposal((r_y + r_x).sigmoid() * x)).tanh()


class TransformerPolicy(SequencePolicy):
    """The transformer as a policy for `SequencePPO`; keyword arguments as in `TransformerConfig`."""

    config_type = TransformerConfig
    core_type = TransformerCore


def _rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Turns the two halves of each head's features `(B, T, …, H, D)` by the rotary angles."""
    cos, sin = turn
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
