"""The planner as an agent: it decides which option to take up next, by what it believes and could find out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from embodied.agent import Carry, InformedAgent, OptionAgent
from embodied.mind.belief import posterior
from embodied.mind.options.outcome_table import History, OutcomeTable
from embodied.mind.options.planner import OptionPlanner
from embodied.mind.options.policy_value import PolicyValue
from embodied.mind.options.problem import OptionProblem
from embodied.mind.options.search_targets import SearchTargets


@dataclass(frozen=True)
class Doing:
    """What is being done in one world: an option, for how many more decisions, and what it carries, `(1, …)`."""

    option: str
    left: float
    carry: Carry

    @classmethod
    def begun(cls, agent: OptionAgent, option: str, carry: Carry, control_hz: float) -> Doing:
        """Sets out for an option."""
        which = np.array([list(agent.options).index(option)])
        return cls(option, agent.options[option] * control_hz, agent.set_option(carry, which))

    def act(self, agent: OptionAgent, obs: NDArray) -> tuple[Doing, NDArray]:
        """Goes on with it by one decision, after `obs (1, dim)`; actions are `(1, nu)`."""
        carry, action = agent.act(self.carry, obs, np.zeros(1, bool))
        return replace(self, left=self.left - 1, carry=carry), action


@dataclass
class Effort:
    """What thinking took.

    Attributes:
        imagination: the worlds in which options were tried.
        decided_s: for each decision, with what was prepared for it [s]; meanwhile_s: while options were going on [s].
    """

    imagination: Simulated
    decided_s: list[float] = field(default_factory=list)
    meanwhile_s: float = 0.0

    @property
    def simulated_s(self) -> float:
        """Over all imagined worlds [s]."""
        return self.imagination.simulated_s

    @property
    def total_s(self) -> float:
        """Of all thinking [s]."""
        return sum(self.decided_s) + self.meanwhile_s


class Simulated(Protocol):
    """Worlds to imagine in (see `embodied.world.Imagination`)."""

    @property
    def simulated_s(self) -> float: ...


class Evidence(Protocol):
    """What is seen of a hidden variable (see `embodied.world.Evidence`)."""

    @property
    def of(self) -> Callable[[NDArray], NDArray[np.float64]]: ...

    @property
    def size(self) -> int: ...

    @property
    def exact(self) -> bool: ...

    @property
    def declared(self) -> bool: ...


@dataclass(frozen=True)
class _Plan:
    """A problem, and who decides in it."""

    problem: OptionProblem
    planner: OptionPlanner


@dataclass(frozen=True)
class _Mind:
    """What goes on about one world: what is planned, what is being done, and what that has shown."""

    plan: _Plan
    doing: Doing
    seen: NDArray[np.float64]  # (D,)
    done: History = ()  # options that were taken up before in the episode


class ProactiveAgent:
    """Plans in every world on its own, whenever an option is over, and leaves the acting to options.

    A carry holds planners, which change as they go: it serves one course of events.

    Args:
        problem_of: the problem that begins where a world now stands, such as `embodied.world.TaskProblem`, given what
            is believed of the hidden values `(K,)`, or None where an episode begins, and what the agent carries.
        agent: acts on observations; its options are the problem's actions.
        evidence: what is seen of the hidden variable in all worlds, by observations (`embodied.world.Evidence`).
        control_hz: decisions of an environment per second.
        imagination: the worlds in which problems try options.
        estimate: what an agent that can be informed (`InformedAgent`) is told of all worlds, `(n, k)`.
        seconds: of thought for each decision, at most; meanwhile: share of the time in which the robot acts that is
            spent on thinking ahead.
        table: of what options lead to, which it goes on with.
        network: what it knows of beliefs from earlier plans.
        taught: to which it adds what a network can learn from its decisions; None for nobody to learn.

    Attributes:
        effort: how long thinking took; table: what options have led to so far.
    """

    def __init__(
        self,
        problem_of: Callable[[int, NDArray | None, Carry], OptionProblem],
        agent: OptionAgent,
        evidence: Evidence,
        control_hz: float,
        imagination: Simulated,
        estimate: Callable[[], NDArray[np.float64]] | None = None,
        seconds: float = 1.0,
        meanwhile: float = 0.0,
        table: OutcomeTable | None = None,
        network: PolicyValue | None = None,
        taught: list[SearchTargets] | None = None,
    ) -> None:
        self._problem_of, self._agent, self._source = problem_of, agent, evidence
        self._control_hz, self._seconds, self._meanwhile = control_hz, seconds, meanwhile
        self._seed, self._estimate = 0, estimate
        self.effort, self.table = Effort(imagination), table or OutcomeTable()
        self._network, self._taught = network, taught

    def initial(self, n: int, seed: int) -> list[_Mind | None]:
        """Returns the carry of worlds in which nothing has begun."""
        self._seed = seed
        return [None] * n

    def act(
        self, carry: list[_Mind | None], obs: NDArray, first: NDArray
    ) -> tuple[list[_Mind | None], NDArray[np.float32]]:
        """Goes on with options, and decides anew where one is over; actions as the options give them."""
        seen, known = self._source.of(obs), None if self._estimate is None else self._estimate()
        minds: list[_Mind | None] = []
        actions = []
        for world, before in enumerate(carry):
            if before is None or first[world]:
                if before is not None:
                    before.plan.problem.stop()
                mind = self._begin(world, self._informed(self._agent.initial(1, self._seed), known, world))
            else:
                told = self._informed(before.doing.carry, known, world)
                mind = self._observe(world, replace(before, doing=replace(before.doing, carry=told)), seen[world])
            doing, action = mind.doing.act(self._agent, obs[world : world + 1])
            minds.append(replace(mind, doing=doing))
            actions.append(action)
        return minds, np.concatenate(actions)

    def belief(self, carry: list[_Mind | None]) -> NDArray[np.float64]:
        """Probabilities of the hidden variable, with what the present option has shown so far, `(n, K)`."""
        return np.stack([self._belief(mind) for mind in carry if mind is not None])

    def _informed(self, carry: Carry, known: NDArray[np.float64] | None, world: int) -> Carry:
        if known is None or not isinstance(self._agent, InformedAgent):
            return carry
        return self._agent.inform(carry, known[world : world + 1])

    def _begin(self, world: int, carry: Carry) -> _Mind:
        began = time.perf_counter()
        return self._decide(self._plan(world, None, carry, ()), carry, (), began)

    def _observe(self, world: int, mind: _Mind, seen: NDArray[np.float64]) -> _Mind:
        """Takes in what was seen since the last action; decides anew if the option is over."""
        mind = replace(mind, seen=mind.seen + seen)
        if mind.doing.left <= 0:
            return self._go_on(world, mind)
        if self._meanwhile and math.isfinite(mind.doing.left):
            began = time.perf_counter()
            mind.plan.planner.think(self._meanwhile / self._control_hz)
            self.effort.meanwhile_s += time.perf_counter() - began
        return mind

    def _go_on(self, world: int, mind: _Mind) -> _Mind:
        """Takes in what an option has shown, and decides what comes next; plans anew if nothing is known of that."""
        began, plan, done = time.perf_counter(), mind.plan, (*mind.done, mind.doing.option)
        plan.planner.update(mind.doing.option, mind.seen)
        if plan.planner.exhausted or not self._source.declared:  # what is compared must begin where the world stands
            plan.problem.stop()
            plan = self._plan(world, plan.planner.belief, mind.doing.carry, done)
        return self._decide(plan, mind.doing.carry, done, began)

    def _decide(self, plan: _Plan, carry: Carry, done: History, began: float) -> _Mind:
        """Sets out for what promises most."""
        name = plan.planner.act()
        self.effort.decided_s.append(time.perf_counter() - began)
        if self._taught is not None:
            self._taught += plan.planner.search_targets()
        doing = Doing.begun(self._agent, name, carry, self._control_hz)
        return _Mind(plan, doing, np.zeros(self._source.size), done)

    def _plan(self, world: int, believed: NDArray | None, carry: Carry | None, done: History) -> _Plan:
        """A plan from now on."""
        problem = self._problem_of(world, believed, carry)
        return _Plan(problem, OptionPlanner(problem, self._seconds, self.table, done, self._network))

    def _belief(self, mind: _Mind) -> NDArray[np.float64]:
        """What a planner believes, and what was seen since it last took something in."""
        belief = mind.plan.planner.belief
        return posterior(belief[None], mind.seen[None])[0] if self._source.exact else belief
