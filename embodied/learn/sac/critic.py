"""What actions are worth, in the eyes of several value networks at once.

Shape suffixes: … leading axes, Q networks, C what a critic reads, A numbers of an action.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH = 128


class Critics(nn.Module):
    """Q value networks of what a critic reads and an action, worked out together.

    Two hidden layers each, normalized, which keeps values of actions that nobody has tried near those that somebody has
    (DroQ; Hiraoka et al. 2022).

    Args:
        count: Q; context: C; action: A.
    """

    def __init__(self, count: int, context: int, action: int, width: int = WIDTH) -> None:
        super().__init__()
        sizes = (context + action, width, width, 1)
        layers = [_Linears(count, inward, outward) for inward, outward in pairwise(sizes)]
        nn.init.zeros_(layers[-1].weight)
        self.hidden, self.last, self.count = nn.ModuleList(layers[:-1]), layers[-1], count

    def forward(self, context: Tensor, action: Tensor) -> Tensor:
        """Values of contexts `(…, C)` and actions `(…, A)`, `(Q, …)`."""
        given = torch.cat([context, action], dim=-1)
        x = given.flatten(0, -2).expand(self.count, -1, -1)
        for layer in self.hidden:
            x = layer(x)
            x = F.silu(F.layer_norm(x, x.shape[-1:]))
        return self.last(x).reshape(-1, *given.shape[:-1])


class _Linears(nn.Module):
    """Q linear layers side by side."""

    def __init__(self, count: int, inward: int, outward: int) -> None:
        super().__init__()
        bound = inward**-0.5
        self.weight = nn.Parameter(torch.empty(count, inward, outward).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(count, 1, outward))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)
