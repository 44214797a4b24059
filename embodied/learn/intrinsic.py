"""What is rewarded beside the task: forecasts that were wrong, and beliefs that become more certain."""

from __future__ import annotations

import torch
from torch import Tensor

from embodied.learn.rollout import Rollout
from embodied.nn.heads import ReturnNormalizer


class PredictionError(ReturnNormalizer):
    """Compares each prediction with what came, and keeps the spread of how wrong they are."""

    _prediction: Tensor | None = None

    def update_from(self, rollout: Rollout, t: int, now: Tensor, prediction: Tensor) -> None:
        """Writes down how wrong the last prediction of the observation `now (N, F)` was, and keeps the next one."""
        if t and self._prediction is not None:
            wrong = ((self._prediction - now) ** 2).mean(-1)
            rollout.prediction_error[:, t - 1] = wrong.masked_fill(rollout.first[:, t], 0.0)
        self._prediction = prediction

    def in_units(self, rollout: Rollout) -> Tensor:
        """Prediction error of each step, `(N, T)`, in units of its running standard deviation; the last is the mean."""
        over = rollout.terminated[:, -1] | rollout.truncated[:, -1] | rollout.ignore[:, -1]
        rollout.prediction_error[:, -1] = rollout.prediction_error[:, :-1].mean(1).masked_fill(over, 0.0)
        self.update(rollout.prediction_error)
        return rollout.prediction_error / self.mean_and_spread[1]


def information_gain(known: Tensor, last: Tensor, terminated: Tensor, cut_off: Tensor, gamma: float) -> Tensor:
    """γK′ − K of what is `known (N, T)` at each step, and `last (N,)` after all of them: a potential-based signal.

    Nothing is known after a terminal step, so that a policy that finds out and one that does not are worth as much as
    before, less what they know when they begin (Ng, Harada & Russell 1999). Where an episode is `cut_off`, what would
    have been known next is taken to be what was known.
    """
    following = torch.cat([known[:, 1:], last[:, None]], dim=1)
    following = torch.where(cut_off, known, following).masked_fill(terminated, 0.0)
    return gamma * following - known
