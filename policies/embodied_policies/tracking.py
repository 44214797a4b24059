"""The planner where what is hidden is continuous: a filter tracks it, and plans are made from what that believes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from embodied.agent import Carry, InformedAgent, OptionAgent
from embodied.mind.options.outcome_table import History, OutcomeTable
from embodied.mind.options.planner import OptionPlanner
from embodied.mind.options.problem import OptionProblem
from embodied_policies.proactive import Doing, Effort, Simulated


class Tracker(Protocol):
    """A filter of hidden quantities in n worlds; its beliefs `sample(world, k)` values `(k, …)`, and have a `mean`."""

    def initial(self, n: int, seed: int) -> Any: ...

    def update(self, belief: Any, obs: NDArray, first: NDArray) -> Any: ...


@dataclass(frozen=True)
class _Track:
    """What is believed about all worlds, and what is being done in each."""

    belief: Any
    doing: Sequence[Doing | None]
    done: Sequence[History]  # options that were taken up before, in each


class TrackingAgent:
    """Plans anew in every world whenever an option is over, from values that the filter believes in by then.

    An agent that can be informed (`InformedAgent`) acts by the filter's estimate.

    Args:
        problem_of: the problem that begins where a world now stands, given values of what is hidden that may be true,
            all equally likely, and what the agent carries there; such as `embodied.world.TaskProblem`.
        agent: acts on observations; its options are the problem's actions.
        tracker: the filter.
        control_hz: decisions of an environment per second.
        imagination: the worlds in which problems try options.
        values: how many are drawn for a plan.
        seconds: of thought for each decision, at most.
        table: of what options lead to, which it goes on with.

    Attributes:
        effort: how long thinking took; table: what options have led to so far.
    """

    def __init__(
        self,
        problem_of: Callable[[int, NDArray, Carry], OptionProblem],
        agent: OptionAgent,
        tracker: Tracker,
        control_hz: float,
        imagination: Simulated,
        values: int = 24,
        seconds: float = 1.0,
        table: OutcomeTable | None = None,
    ) -> None:
        self._problem_of, self._agent, self._tracker = problem_of, agent, tracker
        self._control_hz, self._values, self._seconds = control_hz, values, seconds
        self._seed = 0
        self.effort, self.table = Effort(imagination), table or OutcomeTable(alike=False)

    def initial(self, n: int, seed: int) -> _Track:
        """Returns the carry of worlds in which nothing has begun."""
        self._seed = seed
        return _Track(self._tracker.initial(n, seed), [None] * n, [()] * n)

    def act(self, carry: _Track, obs: NDArray, first: NDArray) -> tuple[_Track, NDArray[np.float32]]:
        """Goes on with options, and decides anew where one is over; actions as the options give them."""
        belief = self._tracker.update(carry.belief, obs, first)
        going, done, actions = [], [], []
        for world, (before, history) in enumerate(zip(carry.doing, carry.done, strict=True)):
            if before is None or first[world]:
                doing, history = self._decided(world, belief, self._agent.initial(1, self._seed), ()), ()
            elif before.left > 0:
                doing = before
            else:
                history = (*history, before.option)
                doing = self._decided(world, belief, before.carry, history)
            doing, action = doing.act(self._agent, obs[world : world + 1])
            if isinstance(self._agent, InformedAgent):
                doing = replace(doing, carry=self._agent.inform(doing.carry, belief.mean[world : world + 1]))
            going.append(doing)
            done.append(history)
            actions.append(action)
        return _Track(belief, going, done), np.concatenate(actions)

    def _decided(self, world: int, belief: Any, carry: Carry, history: History) -> Doing:
        """Plans from now on, and sets out for the option that promises most."""
        began = time.perf_counter()
        problem = self._problem_of(world, belief.sample(world, self._values), carry)
        name = OptionPlanner(problem, self._seconds, self.table, history).act()
        problem.stop()
        self.effort.decided_s.append(time.perf_counter() - began)
        return Doing.begun(self._agent, name, carry, self._control_hz)
