"""DAgger: imitation of an expert in situations of the learner, before reinforcement goes on from there.

The learner gets the expert's action in situations of its own, too: at first the expert acts in all worlds, at the
end the learner in nearly all of them (DAgger; Ross, Gordon & Bagnell 2011), or the expert goes on acting, disturbed by
noise from which it recovers (DART; Laskey et al. 2017). Afterwards the learner may be reminded of the expert, less and
less, while it learns from reward (kickstarting; Schmitt et al. 2018).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from embodied.agent import Agent, act, belief_of
from embodied.errors import OptionError


class DAgger:
    """An expert in `n` worlds, and how much of the training it takes part in.

    What the expert remembers, and what it has said, is not saved: where a training is resumed, it begins anew in the
    middle of episodes.

    Args:
        expert: any agent; only what it does counts.
        share: of the training, in (0, 1].
        kickstarting_coef: weight of imitation right after the lessons, beside reinforcement; it fades until the
            training ends.
        learner_share: of the worlds, in which the learner acts in the end.
        noise: standard deviation of noise on what it does in every other of its worlds, in half ranges.

    Raises:
        OptionError: another share, or a negative weight.
    """

    def __init__(
        self,
        expert: Agent,
        share: float,
        n: int,
        seed: int,
        kickstarting_coef: float = 0.0,
        learner_share: float = 1.0,
        noise: float = 0.0,
    ) -> None:
        if not 0 < share <= 1:
            raise OptionError(f"dagger_share must be above 0 and at most 1, not {share}")
        if kickstarting_coef < 0:
            raise OptionError(f"kickstarting_coef must be at least 0, not {kickstarting_coef}")
        if not 0 <= learner_share <= 1:
            raise OptionError(f"dagger_learner_share is from 0 to 1, not {learner_share}")
        self._expert, self._share, self._n, self._kickstarting_coef = expert, share, n, kickstarting_coef
        self._learner_share, self.noise = learner_share, noise
        self._carry = expert.initial(n, seed)

    def is_active(self, done: float) -> bool:
        """Whether DAgger goes on when a share `done` of the training is over."""
        return done < self._share

    def weight(self, done: float) -> float:
        """Weight of the imitation loss: 1 during DAgger, as the only loss; then the annealed kickstarting weight."""
        if self.is_active(done):
            return 1.0
        return self._kickstarting_coef * (1 - done) / (1 - self._share) if done < 1 else 0.0

    def expert_action(self, obs: Any, first: NDArray, mask: NDArray | None) -> NDArray:
        """What the expert would do now, `(n, …)`; call it at every step."""
        self._carry, action = act(self._expert, self._carry, obs, np.asarray(first, bool), mask)
        return action

    def expert_belief(self) -> NDArray | None:
        """What the expert believes of the first hidden variable after that, `(n, K)`; None if it does not say."""
        return belief_of(self._expert, self._carry)

    def expert_controls(self, done: float) -> Tensor:
        """In which worlds the expert acts instead of the learner, `(n,)`: a share β that falls linearly."""
        learner = self._learner_share * min(1.0, done / self._share)
        return torch.arange(self._n) < round(self._n * (1 - learner))
