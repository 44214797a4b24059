"""What a critic and a belief head are told during training, and no policy ever is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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


NOTHING = Privilege()


def _form(saved: Any) -> Form:
    """The form of a belief as it is written in a card."""
    if isinstance(saved, int):
        if not 1 <= saved <= LARGEST_SPACE:
            raise ValueError(f"a choice of {saved} is none")
        return saved
    low, high, angle = saved
    return float(low), float(high), bool(angle)
