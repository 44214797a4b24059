"""What an agent is: state is a value, and one loop serves networks, planners, scripts and opponents.

Optional powers are protocols of their own, which `isinstance` recognizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Carry = Any


@runtime_checkable
class Agent(Protocol):
    """Acts in `n` worlds at once.

    `initial(n, seed)` gives the carry before the first step. `act(carry, obs, first)` takes observations
    `(n, dim)` and flags `(n,)` that mark the first step of an episode, and returns the next carry and
    actions `(n, nu)`.
    """

    def initial(self, n: int, seed: int) -> Carry: ...

    def act(self, carry: Carry, obs: Any, first: NDArray) -> tuple[Carry, NDArray]: ...


@runtime_checkable
class MaskedAgent(Agent, Protocol):
    """An agent that respects action masks: `allowed` is set before every `act`, `(n, …)`, None for no mask."""

    allowed: NDArray | None


@runtime_checkable
class BelievingAgent(Agent, Protocol):
    """An agent with a belief: `belief(carry)` are its probabilities of a discrete hidden variable, `(n, k)`."""

    def belief(self, carry: Carry) -> NDArray | None: ...


@runtime_checkable
class OccludedAgent(Agent, Protocol):
    """An agent that sees less than the environment shows: `shown(carry)` is what it saw last, `(n, dim)`."""

    def shown(self, carry: Carry) -> NDArray: ...


@runtime_checkable
class PartialAgent(Agent, Protocol):
    """An agent that can act in some of its worlds, as games in which players move in turn need."""

    def act_in(self, carry: Carry, obs: Any, first: NDArray, worlds: NDArray[np.bool_]) -> tuple[Carry, NDArray]:
        """Acts in the `worlds (n,)` of a mask only; carry and actions of the others do not count."""
        ...


@runtime_checkable
class OptionAgent(Agent, Protocol):
    """An agent with options (temporally extended actions; Sutton, Precup & Singh 1999).

    Attributes:
        options: duration of each option by name [s], after which another may be chosen; with `inf`, it lasts until the
            episode is over.
    """

    @property
    def options(self) -> Mapping[str, float]: ...

    def set_option(self, carry: Carry, which: NDArray[np.intp]) -> Carry:
        """Returns the carry with another option in each world, an index of `options` `(n,)`."""
        ...


@runtime_checkable
class InformedAgent(Agent, Protocol):
    """An agent that takes over what a filter estimates of a hidden quantity, in place of what it makes out itself."""

    def inform(self, carry: Carry, estimate: NDArray[np.float64]) -> Carry:
        """Returns the carry with an estimate by what has been observed so far, `(n, k)`."""
        ...


def act(agent: Agent, carry: Carry, obs: Any, first: NDArray, mask: NDArray | None) -> tuple[Carry, NDArray]:
    """Lets an agent act, after telling it which actions are allowed if it respects masks."""
    if isinstance(agent, MaskedAgent):
        agent.allowed = mask
    return agent.act(carry, obs, first)


def act_in(
    agent: Agent, carry: Carry, obs: Any, first: NDArray, worlds: NDArray[np.bool_], mask: NDArray | None
) -> tuple[Carry, NDArray]:
    """Lets an agent act in some of its worlds; one that cannot tell them apart acts in all (see `PartialAgent`)."""
    if isinstance(agent, MaskedAgent):
        agent.allowed = mask
    return agent.act_in(carry, obs, first, worlds) if isinstance(agent, PartialAgent) else agent.act(carry, obs, first)


def belief_of(agent: Agent, carry: Carry) -> NDArray | None:
    """The belief of an agent about a discrete hidden variable, `(n, k)`; None without one."""
    return agent.belief(carry) if isinstance(agent, BelievingAgent) else None


def worlds_of(carry: Carry, worlds: NDArray[np.intp]) -> Carry:
    """The carry of some worlds, of a carry that is a dataclass of arrays whose first axis is worlds, or of such."""
    parts = {f.name: getattr(carry, f.name) for f in fields(carry)}
    arrays = {name: part[worlds] for name, part in parts.items() if isinstance(part, np.ndarray)}
    nested = {name: worlds_of(part, worlds) for name, part in parts.items() if is_dataclass(part)}
    return replace(carry, **arrays, **nested)


def with_worlds(carry: Carry, worlds: NDArray[np.intp], part: Carry) -> Carry:
    """The carry (see `worlds_of`) with that of some worlds put in their places."""
    fresh = {}
    for f in fields(carry):
        old, new = getattr(carry, f.name), getattr(part, f.name)
        if isinstance(old, np.ndarray):
            fresh[f.name] = old.copy()
            fresh[f.name][worlds] = new
        elif is_dataclass(old):
            fresh[f.name] = with_worlds(old, worlds, new)
    return replace(carry, **fresh)
