"""What an agent is: state is a value, and one loop serves networks, planners, scripts and opponents."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

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
