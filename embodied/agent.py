"""What an agent is: state is a value, and one loop serves networks, planners, scripts and opponents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Carry = Any


@runtime_checkable
class Agent(Protocol):
    """Acts in `n` worlds at once.

    `initial(n, seed)` gives the carry before the first step. `act(carry, obs, first)` takes observations
    `(n, dim)` and flags `(n,)` that mark the first step of an episode, and returns the next carry and
    actions `(n, nu)`. An agent may also have `belief(carry)`, its probabilities of a discrete hidden
    variable, `(n, k)`, and an attribute `allowed`, which is set before every `act` to the choices that are
    allowed, `(n, …)`, or None.
    """

    def initial(self, n: int, seed: int) -> Carry: ...

    def act(self, carry: Carry, obs: NDArray, first: NDArray) -> tuple[Carry, NDArray]: ...


class Skilled(Agent, Protocol):
    """An agent that can be told what to set out for, and goes on from where it is.

    Attributes:
        skills: what it can set out for, by name, and after how many seconds something else may be decided; without end
            (`inf`), it is left to it until the episode is over.
    """

    @property
    def skills(self) -> Mapping[str, float]: ...

    def intend(self, carry: Carry, which: NDArray[np.intp]) -> Carry:
        """Returns the carry with another intention in each world, an index of `skills` `(n,)`."""
        ...


def worlds_of(carry: Carry, worlds: NDArray[np.intp]) -> Carry:
    """The carry of some worlds, of a carry that is a dataclass of arrays whose first axis is worlds."""
    arrays = {f.name: getattr(carry, f.name) for f in fields(carry)}
    return replace(carry, **{name: a[worlds] for name, a in arrays.items() if isinstance(a, np.ndarray)})
