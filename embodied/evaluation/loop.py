"""The one act-step loop: an agent in an environment, episode after episode, while observers look on.

It alone knows how episodes start and end: autoreset modes, steps that only reset, action masks, failed physics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodied.agent import Agent, Carry, act
from embodied.errors import ModelError
from embodied.vector.experience import Experience
from embodied.vector.vec import VecEnv, as_vec_env, start, step

MOST_VOID = 50  # episodes on end whose physics failed, from which on a world is given up


@dataclass(frozen=True)
class Decision:
    """What an agent decides in N worlds, before they move.

    Attributes:
        index: how many decisions came before.
        obs: what was observed, `(N, …)`; first: whether an episode begins with it, `(N,)`.
        privileged: `hidden`, `state` and `shaping` that go with it, as far as the environment tells.
        carry: of the agent, after deciding.
        action: `(N, …)`.
    """

    index: int
    obs: Any
    first: NDArray[np.bool_]
    privileged: dict[str, NDArray]
    carry: Carry
    action: NDArray


class Observer:
    """Looks on while an agent acts; override what is needed."""

    def on_start(self, env: VecEnv) -> None:
        """The worlds have been reset, and nobody has acted yet."""

    def on_decision(self, decision: Decision) -> None:
        """The agent has decided; the worlds still are as they were observed."""

    def on_step(self, decision: Decision, experience: Experience) -> None:
        """The worlds have moved; `experience` is what the decision led to."""

    def on_end(self, worlds: NDArray[np.intp], decision: Decision, experience: Experience) -> None:
        """Episodes that count have ended in `worlds (m,)`; comes after `on_step`."""


def play(
    agent: Agent,
    env: Any,
    seed: int,
    observers: Sequence[Observer] = (),
    episodes_per_world: int | None = None,
    agent_seed: int | None = None,
) -> Iterator[Decision]:
    """Lets an agent act, yielding every decision before the worlds move.

    Args:
        agent: acts in all worlds at once.
        env: an environment of either vector dialect, a single `gymnasium.Env`, or an id.
        seed: of the worlds, and of the agent unless it has a seed of its own.
        observers: look on, in this order.
        episodes_per_world: ends it when so many episodes have ended in every world. Each world counts equally many, so
            that short episodes do not count more. Episodes whose physics failed are void, and others are played in
            their place. None: goes on until the caller stops.
        agent_seed: of the agent alone.

    Raises:
        ModelError: the physics of a world fail in one episode after the other.
        ObservationError: an observation or a reward is no number.
    """
    vec = as_vec_env(env)
    n = vec.num_envs
    vec.seed(seed)
    obs, _ = start(vec)
    first, done, void = np.ones(n, bool), np.zeros(n, int), np.zeros(n, int)
    carry = agent.initial(n, seed if agent_seed is None else agent_seed)
    for observer in observers:
        observer.on_start(vec)
    index = 0
    while episodes_per_world is None or (done < episodes_per_world).any():
        carry, action = act(agent, carry, obs, first, vec.mask)
        decision = Decision(index, obs, first, vec.privileged, carry, action)
        for observer in observers:
            observer.on_decision(decision)
        yield decision
        experience, _ = step(vec, action)
        ended = experience.ended & ~experience.void
        counted = ended if episodes_per_world is None else ended & (done < episodes_per_world)
        for observer in observers:
            observer.on_step(decision, experience)
            if counted.any():
                observer.on_end(np.flatnonzero(counted), decision, experience)
        done += ended
        void = np.where(ended, 0, void + experience.void)
        if void.max() >= MOST_VOID:
            raise ModelError(f"the physics of world {void.argmax()} failed in {MOST_VOID} episodes on end")
        obs, first, index = experience.obs, experience.ended | experience.ignore, index + 1


def run(agent: Agent, env: Any, seed: int, observers: Sequence[Observer], episodes_per_world: int, **how: Any) -> None:
    """Lets an agent act until every world has contributed its episodes (see `play`)."""
    for _ in play(agent, env, seed, observers, episodes_per_world, **how):
        pass
