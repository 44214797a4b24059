"""Lessons: a teacher says at every step what to do, before reinforcement goes on from there.

The learner is told about the situations that it gets into itself, too: at first the teacher acts in all worlds, at the
end the learner in nearly all of them (DAgger; Ross, Gordon & Bagnell 2011). Afterwards it may be reminded of them, less
and less, while it learns from reward (kickstarting; Schmitt et al. 2018).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from embodied.agent import Agent
from embodied.errors import OptionError

LEAST_SPREAD = 0.2  # of Gaussian actions after a lesson, in half ranges: enough to go on exploring with


class Lessons:
    """A teacher in `n` worlds, and how much of the training it takes part in.

    What the teacher remembers is not saved: where a training is resumed, it begins anew in the middle of episodes.

    Args:
        teacher: any agent; only what it does counts.
        share: of the training, in (0, 1].
        reminders: weight of imitation right after the lessons, beside reinforcement; it fades until the training ends.

    Raises:
        OptionError: another share, or a negative weight.
    """

    def __init__(self, teacher: Agent, share: float, n: int, seed: int, reminders: float = 0.0) -> None:
        if not 0 < share <= 1:
            raise OptionError(f"lessons take a share of the training above 0 and at most 1, not {share}")
        if reminders < 0:
            raise OptionError(f"reminders have a weight of at least 0, not {reminders}")
        self._teacher, self._share, self._n, self._reminders = teacher, share, n, reminders
        self._carry = teacher.initial(n, seed)

    def last(self, done: float) -> bool:
        """Whether there still are lessons when a share `done` of the training is over."""
        return done < self._share

    def weight(self, done: float) -> float:
        """What imitation counts for: 1 in lessons, where nothing else is learned; after them what reminders do."""
        if self.last(done):
            return 1.0
        return self._reminders * (1 - done) / (1 - self._share) if done < 1 else 0.0

    def say(self, obs: Any, first: NDArray, mask: NDArray | None) -> NDArray:
        """What the teacher would do now, `(n, …)`; call it at every step."""
        if hasattr(self._teacher, "allowed"):
            self._teacher.allowed = mask
        self._carry, action = self._teacher.act(self._carry, obs, np.asarray(first, bool))
        return action

    def hands(self, done: float) -> Tensor:
        """In which worlds the teacher acts itself, `(n,)`: in fewer and fewer."""
        return torch.arange(self._n) < round(self._n * max(0.0, 1 - done / self._share))
