"""What is rewarded beside the task: forecasts that were wrong, and beliefs that become more certain."""

from __future__ import annotations

import torch
from torch import Tensor

from embodied.learn.heads import ReturnScale
from embodied.learn.rollout import Rollout


class Surprise(ReturnScale):
    """Compares each forecast with what came, and keeps the spread of how wrong they are."""

    _forecast: Tensor | None = None

    def see(self, rollout: Rollout, t: int, now: Tensor, forecast: Tensor) -> None:
        """Writes down how wrong the last forecast of the observation `now (N, F)` was, and keeps the next one."""
        if t and self._forecast is not None:
            wrong = ((self._forecast - now) ** 2).mean(-1)
            rollout.surprise[:, t - 1] = wrong.masked_fill(rollout.first[:, t], 0.0)
        self._forecast = forecast

    def in_units(self, rollout: Rollout) -> Tensor:
        """Surprise of each step `(N, T)` in units of its running spread; what follows the last step is not seen yet."""
        over = rollout.terminated[:, -1] | rollout.truncated[:, -1] | rollout.ignore[:, -1]
        rollout.surprise[:, -1] = rollout.surprise[:, :-1].mean(1).masked_fill(over, 0.0)
        self.update(rollout.surprise)
        return rollout.surprise / self.mean_and_spread[1]


def information_gain(known: Tensor, last: Tensor, terminated: Tensor, cut_off: Tensor, gamma: float) -> Tensor:
    """γK′ − K of what is `known (N, T)` at each step, and `last (N,)` after all of them: a potential-based signal.

    Nothing is known after a terminal step, so that a policy that finds out and one that does not are worth as much as
    before, less what they know when they begin (Ng, Harada & Russell 1999). Where an episode is `cut_off`, what would
    have been known next is taken to be what was known.
    """
    following = torch.cat([known[:, 1:], last[:, None]], dim=1)
    following = torch.where(cut_off, known, following).masked_fill(terminated, 0.0)
    return gamma * following - known
