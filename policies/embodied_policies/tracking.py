"""The planner where what is hidden is continuous: a filter tracks it, and plans are made from what that believes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from embodied.agent import Carry, OptionAgent
from embodied.mind.planner import Planner
from embodied.mind.problem import Problem
from embodied_policies.proactive import Doing, Effort


class Tracker(Protocol):
    """A filter of hidden quantities in n worlds; its beliefs can `sample(world, k)` values `(k, …)`."""

    def initial(self, n: int, seed: int) -> Any: ...

    def update(self, belief: Any, obs: NDArray, first: NDArray) -> Any: ...


@dataclass(frozen=True)
class _Track:
    """What is believed about all worlds, and what is being done in each."""

    belief: Any
    doing: Sequence[Doing | None]


class TrackingAgent:
    """Plans anew in every world whenever an option is over, from values that the filter believes in by then.

    Args:
        problem_of: the problem that begins where a world now stands, given values of what is hidden that may be true,
            all equally likely, and what the agent carries there; such as `embodied.world.problem.TaskProblem`.
        agent: acts on observations; its options are the problem's actions.
        tracker: the filter.
        control_hz: decisions of an environment per second.
        values: how many are drawn for a plan.
        seconds: of thought for each decision, beside what imagining takes.

    Attributes:
        effort: how long thinking took.
    """

    def __init__(
        self,
        problem_of: Callable[[int, NDArray, Carry], Problem],
        agent: OptionAgent,
        tracker: Tracker,
        control_hz: float,
        values: int = 24,
        seconds: float = 0.1,
    ) -> None:
        self._problem_of, self._agent, self._tracker = problem_of, agent, tracker
        self._control_hz, self._values, self._seconds = control_hz, values, seconds
        self._seed = 0
        self.effort = Effort()

    def initial(self, n: int, seed: int) -> _Track:
        """Returns the carry of worlds in which nothing has begun."""
        self._seed = seed
        return _Track(self._tracker.initial(n, seed), [None] * n)

    def act(self, carry: _Track, obs: NDArray, first: NDArray) -> tuple[_Track, NDArray[np.float32]]:
        """Goes on with options, and decides anew where one is over; actions as the options give them."""
        belief = self._tracker.update(carry.belief, obs, first)
        going, actions = [], []
        for world, before in enumerate(carry.doing):
            if before is None or first[world]:
                doing = self._decided(world, belief, self._agent.initial(1, self._seed))
            else:
                doing = before if before.left > 0 else self._decided(world, belief, before.carry)
            doing, action = doing.act(self._agent, obs[world : world + 1])
            going.append(doing)
            actions.append(action)
        return _Track(belief, going), np.concatenate(actions)

    def _decided(self, world: int, belief: Any, carry: Carry) -> Doing:
        """Plans from now on, and sets out for the option that promises most."""
        began = time.perf_counter()
        problem = self._problem_of(world, belief.sample(world, self._values), carry)
        seed = self._seed + world
        planner = Planner(problem, seed, self._seconds, particles=self._values, method="rollouts")
        prepared = time.perf_counter()
        name = planner.act()
        self.effort.prepared(problem, prepared - began)
        self.effort.decided_s.append(time.perf_counter() - prepared)
        return Doing.begun(self._agent, name, carry, self._control_hz)
