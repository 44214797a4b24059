"""Numbers brought to zero mean and unit spread, as both become known."""

from __future__ import annotations

import torch
from torch import Tensor, nn

FARTHEST = 10.0  # spreads from the mean; numbers beyond are cut off
LARGEST = 1e15  # number whose square can be added up
RESOLUTION = 2e-7  # of single precision: what differs by less of its mean does not differ


class RunningMeanStd(nn.Module):
    """Standardizes rows by the mean and the variance of all that it has been shown (Chan, Golub & LeVeque 1979).

    Args:
        size: numbers per row.
        which: indices of those that are standardized; the others pass as they are. None for all.
    """

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, size: int, which: Tensor | None = None) -> None:
        super().__init__()
        standardized = torch.ones(size, dtype=torch.bool) if which is None else torch.zeros(size, dtype=torch.bool)
        if which is not None:
            standardized[which] = True
        self.register_buffer("_standardized", standardized, persistent=False)
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(size, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def forward(self, rows: Tensor) -> Tensor:
        """Returns rows `(…, size)` in spreads from the mean, at most `FARTHEST`; as they are before any was shown."""
        scaled = ((rows - self.mean) * self.scale).clamp(-FARTHEST, FARTHEST)
        return torch.where(self.standardized, scaled.to(rows.dtype), rows)

    @property
    def scale(self) -> Tensor:
        """By which differences from the mean are multiplied, `(size,)`."""
        floor = (RESOLUTION * self.mean) ** 2 + torch.finfo(torch.float32).tiny
        return (self.variance + floor).rsqrt()

    @property
    def standardized(self) -> Tensor:
        """Which numbers are standardized, `(size,)`."""
        return self._standardized  # type: ignore[return-value]

    @torch.no_grad()
    def update(self, rows: Tensor) -> None:
        """Takes in rows `(n, size)`, but for those that hold what is no number; none at all change nothing."""
        rows = rows[rows.isfinite().all(dim=1)].double().clamp(-LARGEST, LARGEST)
        if not len(rows):
            return
        variance, mean = torch.var_mean(rows, dim=0, correction=0)
        total = self.count + len(rows)
        share, ahead = len(rows) / total, mean - self.mean
        self.variance.lerp_(variance, share).addcmul_(ahead, ahead, value=float(share * (1 - share)))
        self.mean.add_(ahead * share)
        self.count.copy_(total)
