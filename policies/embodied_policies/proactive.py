"""The planner as an agent: it decides which option to take up next, by what it believes and could find out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from embodied.agent import Carry, OptionAgent
from embodied.mind.planner import Planner
from embodied.mind.problem import Problem


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
    """What thinking took: seconds of imagining, and of choosing among what was imagined, each time that it was done;
    how much time was simulated for each plan, over all imagined worlds [s]; and how many worlds those are, if known."""

    prepared_s: list[float] = field(default_factory=list)
    decided_s: list[float] = field(default_factory=list)
    simulated_s: list[float] = field(default_factory=list)
    worlds: int | None = None

    def prepared(self, problem: Problem, seconds: float) -> None:
        """Notes a plan."""
        self.prepared_s.append(seconds)
        self.simulated_s.append(getattr(problem, "simulated_s", 0.0))


class Imagined(Problem, Protocol):
    """A problem whose states are situations and hidden values, `(n, 2)`, and that ends where imagining does."""

    def over(self, states: NDArray) -> NDArray[np.bool_]: ...


@dataclass(frozen=True)
class _Plan:
    """A problem, and who decides in it."""

    problem: Imagined
    planner: Planner

    @property
    def exhausted(self) -> bool:
        """Whether all has been lived through that was imagined."""
        return bool(self.problem.over(self.planner.belief.states).all())


@dataclass(frozen=True)
class _Mind:
    """What goes on about one world: what is planned, what is being done, and what that has shown."""

    plan: _Plan
    doing: Doing
    evidence: NDArray[np.float64]  # (K,)


class ProactiveAgent:
    """Plans in every world on its own, whenever an option is over, and leaves the acting to options.

    A carry holds planners, which change as they go: it serves one course of events.

    Args:
        problem_of: the problem that begins where a world now stands, such as `embodied.world.problem.TaskProblem`,
            given what is believed of the hidden values `(K,)` and what the agent carries; None and None where an
            episode begins.
        agent: acts on observations; its options are the problem's actions.
        evidence: log-likelihood of what all worlds have just observed, `(n, dim)`, under every value of the hidden
            variable, `(n, K)`.
        control_hz: decisions of an environment per second.
        seconds: of thought for each decision.
        particles: of the planner's belief.

    Attributes:
        effort: how long thinking took.
    """

    def __init__(
        self,
        problem_of: Callable[[int, NDArray | None, Carry | None], Imagined],
        agent: OptionAgent,
        evidence: Callable[[NDArray], NDArray],
        control_hz: float,
        seconds: float = 0.1,
        particles: int = 64,
    ) -> None:
        self._problem_of, self._agent, self._evidence = problem_of, agent, evidence
        self._control_hz, self._seconds, self._particles = control_hz, seconds, particles
        self._seed = 0
        self.effort = Effort()

    def initial(self, n: int, seed: int) -> list[_Mind | None]:
        """Returns the carry of worlds in which nothing has begun."""
        self._seed = seed
        return [None] * n

    def act(
        self, carry: list[_Mind | None], obs: NDArray, first: NDArray
    ) -> tuple[list[_Mind | None], NDArray[np.float32]]:
        """Goes on with options, and decides anew where one is over; actions as the options give them."""
        seen = self._evidence(obs)
        minds: list[_Mind | None] = []
        actions = []
        for world, before in enumerate(carry):
            if before is None or first[world]:
                plan = self._plan(world, None, None)
                mind = self._decide(plan, self._agent.initial(1, self._seed), len(seen[world]))
            else:
                mind = self._observe(world, before, seen[world])
            doing, action = mind.doing.act(self._agent, obs[world : world + 1])
            minds.append(replace(mind, doing=doing))
            actions.append(action)
        return minds, np.concatenate(actions)

    def belief(self, carry: list[_Mind | None]) -> NDArray[np.float64]:
        """Probabilities of the hidden variable, with what the present option has shown so far, `(n, K)`."""
        return np.stack([_belief(mind) for mind in carry if mind is not None])

    def _plan(self, world: int, believed: NDArray | None, carry: Carry | None) -> _Plan:
        """Imagines from now on."""
        began = time.perf_counter()
        problem = self._problem_of(world, believed, carry)
        seed = self._seed + world
        planner = Planner(problem, seed, self._seconds, particles=self._particles, method="rollouts")
        self.effort.prepared(problem, time.perf_counter() - began)
        return _Plan(problem, planner)

    def _observe(self, world: int, mind: _Mind, seen: NDArray[np.float64]) -> _Mind:
        """Takes in what was seen since the last action; decides anew if the option is over."""
        mind = replace(mind, evidence=mind.evidence + seen)
        if mind.doing.left > 0:
            return mind
        plan, carry, believed = mind.plan, mind.doing.carry, _belief(mind)
        plan.planner.update(mind.doing.option, mind.evidence)
        if plan.exhausted:
            plan = self._plan(world, believed, carry)
        return self._decide(plan, carry, len(seen))

    def _decide(self, plan: _Plan, carry: Carry, values: int) -> _Mind:
        began = time.perf_counter()
        name = plan.planner.act()
        self.effort.decided_s.append(time.perf_counter() - began)
        return _Mind(plan, Doing.begun(self._agent, name, carry, self._control_hz), np.zeros(values))


def _belief(mind: _Mind) -> NDArray[np.float64]:
    """What a planner believes of the hidden variable, and what was seen since it last took something in."""
    belief = mind.plan.planner.belief
    prior = np.bincount(belief.states[:, 1].astype(int), belief.weights, minlength=len(mind.evidence))
    posterior = prior * np.exp(mind.evidence - mind.evidence.max())
    return posterior / posterior.sum()
