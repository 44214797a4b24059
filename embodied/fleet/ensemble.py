"""Several policies that act as one: the mean of what each would do. It costs as much as all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from embodied.errors import OptionError
from embodied.nn.agent import NetworkAgent
from embodied.nn.policy import SequencePolicy


class Ensemble:
    """The mean of the most likely actions of policies with a Box of actions; its belief is the mean of theirs.

    Raises:
        OptionError: there is none, or their actions are choices, of which there is no mean.
    """

    def __init__(self, policies: Sequence[SequencePolicy]) -> None:
        if not policies or not all(isinstance(one.action_space, spaces.Box) for one in policies):
            raise OptionError("an ensemble needs a policy at least, and actions of a Box, which have a mean")
        self._members = [NetworkAgent(one) for one in policies]

    def initial(self, n: int, seed: int) -> list[Any]:
        """Returns the members' empty memories."""
        return [member.initial(n, seed) for member in self._members]

    def act(self, carry: list[Any], obs: Any, first: NDArray) -> tuple[list[Any], NDArray]:
        """Reads observations `(n, dim)` and returns actions `(n, nu)`."""
        pairs = [member.act(one, obs, first) for member, one in zip(self._members, carry, strict=True)]
        actions = np.mean([action for _, action in pairs], axis=0).astype(pairs[0][1].dtype)
        carries = [after for after, _ in pairs]
        for member, after in zip(self._members, carries, strict=True):  # what was done is not what each would do
            member.policy.note_action(after.memory, member.policy.action_head.from_env(actions))
        return carries, actions

    def belief(self, carry: list[Any]) -> NDArray | None:
        """Probabilities of the hidden variable, `(n, k)`; None if a member believes nothing."""
        beliefs = [member.belief(one) for member, one in zip(self._members, carry, strict=True)]
        told = [one for one in beliefs if one is not None]
        return np.mean(told, axis=0) if len(told) == len(beliefs) else None
