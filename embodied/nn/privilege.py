"""What a critic and a belief head are told during training, and no policy ever is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from embodied.nn.belief_head import Form
from embodied.nn.checkpoint import LARGEST_SPACE


@dataclass(frozen=True)
class Privilege:
    """Privileged information of a critic and a belief head during training.

    Attributes:
        state: size of the privileged state; 0 without one.
        hidden: the form of the belief about each hidden variable (see `BeliefHeadLayout`).
    """

    state: int = 0
    hidden: tuple[Form, ...] = ()

    @classmethod
    def from_card(cls, saved: Any) -> Privilege:
        """A privilege as it is written in a card (see `SavedPrivilege`).

        Raises:
            ValueError: it is none.
        """
        state = int(saved["state"])
        if not 0 <= state <= LARGEST_SPACE:
            raise ValueError(f"a privileged state of {state} numbers is none")
        return cls(state, tuple(map(_form, saved["hidden"])))

    @property
    def critic_size(self) -> int:
        """How many numbers a critic reads (see `critic_input`)."""
        return self.state + sum(form if isinstance(form, int) else 1 + form[2] for form in self.hidden)

    def critic_input(self, state: Tensor, hidden: Tensor) -> Tensor:
        """What a critic reads of states `(…, state)` and hidden variables `(…, k)`, `(…, critic_size)`.

        A discrete variable is an indicator for each value, a continuous one goes from -1 to 1 over its range, and an
        angle is its sine and cosine.
        """
        return torch.cat([state, *(_read(form, hidden[..., i]) for i, form in enumerate(self.hidden))], dim=-1)


NOTHING = Privilege()


def _read(form: Form, value: Tensor) -> Tensor:
    if isinstance(form, int):
        return torch.nn.functional.one_hot(value.long().clamp(0, form - 1), form).to(value.dtype)
    low, high, angle = form
    if angle:
        return torch.stack([value.sin(), value.cos()], dim=-1)
    return (2 * (value - low) / (high - low) - 1)[..., None]


def _form(saved: Any) -> Form:
    """The form of a belief as it is written in a card."""
    if isinstance(saved, int):
        if not 1 <= saved <= LARGEST_SPACE:
            raise ValueError(f"a choice of {saved} is none")
        return saved
    low, high, angle = saved
    return float(low), float(high), bool(angle)
