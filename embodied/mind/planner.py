"""An online planner for partially observed problems: it believes, works out what beliefs are worth, and decides.

What is believed is held in particles. Where the states of a problem can be listed, the problem is written out
(`ExplicitModel`) and beliefs are valued by plans that get better with every thought (`PointBased`); elsewhere simple
policies are improved upon by looking one action ahead (`Rollouts`).
"""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from embodied.errors import (
    BeliefLostError,
    BeliefLostWarning,
    ObservationError,
    OptionError,
    ProblemError,
    UnknownNameError,
)
from embodied.mind.best_arm import Budget
from embodied.mind.particles import Belief, ParticleBelief
from embodied.mind.problem import Problem, Simulator
from embodied.mind.rollouts import Rollouts
from embodied.mind.solver.explicit import ExplicitModel
from embodied.mind.solver.listed_belief import ListedBelief
from embodied.mind.solver.nodes import Node
from embodied.mind.solver.point_based import PointBased
from embodied.mind.solver.values import Values
from embodied.mind.states import StateSet

RETRIES = 3
SHARED = 0.4  # of the budget, for rollouts where there are values, too
KEPT = "_embodied_preparation"  # attribute of a problem
Method = Literal["auto", "values", "rollouts"]


class Planner:
    """Decides in a problem, knowing nothing of it but how to simulate it.

    Args:
        problem: what to decide in (see `Problem`).
        seed: decides every random draw.
        seconds: time for one decision; None for no limit of time.
        simulations: scenarios, or trials, that are played for one decision; None for no limit. Without either, 256.
        particles: of the belief.
        points: up to how many states are looked for before the first decision, once for each problem; sample: how many
            are drawn where there are more.
        jitter: of particles (see `ParticleBelief`).
        method: "values" bounds what beliefs are worth; "rollouts" improves simple policies; "auto" does the first, and
            both where states or observations cannot be listed, and goes by what promises more.

    Attributes:
        belief: what is believed; prepared_s: how long it took to look at the problem [s].

    When an observation contradicts all that is believed, the planner draws new particles and takes them through what
    was done and seen since the last `reset`; if that fails, too, it warns (`BeliefLostWarning`), leaves out the
    observation and goes on.

    Raises:
        ProblemError: the problem has no actions, or its numbers are none.
        OptionError, UnknownNameError: an argument that makes no sense.
    """

    def __init__(
        self,
        problem: Problem,
        seed: int = 0,
        seconds: float | None = None,
        simulations: int | None = None,
        particles: int = 2000,
        points: int = 20_000,
        jitter: float = 0.0,
        sample: int = 2000,
        method: Method = "auto",
    ) -> None:
        if seconds is not None and seconds <= 0:
            raise OptionError(f"seconds must be above 0, not {seconds}")
        if simulations is not None and simulations < 1:
            raise OptionError(f"simulations must be at least 1, not {simulations}")
        if min(points, sample) < 1:
            raise OptionError(f"at least 1 state must be looked at, not {min(points, sample)}")
        if method not in get_args(Method):
            raise UnknownNameError("method", method, get_args(Method))
        if particles < 1:
            raise ProblemError(f"a belief needs at least 1 particle, not {particles}")
        self._rng = np.random.default_rng(seed)
        self._simulator = Simulator(problem, self._rng)
        began = time.perf_counter()
        prepared = _prepare(problem, self._simulator, (points, sample, particles, method))
        self.prepared_s = time.perf_counter() - began
        self._prepared, self._particles, self._jitter = prepared, particles, jitter
        self._values = None
        if prepared.model is not None:
            self._values = PointBased(self._simulator, *prepared.model, self._rng)
        self._budget = Budget(seconds, 256 if seconds is None and simulations is None else simulations)
        self.belief: Belief
        self._history: list[tuple[Any, Any]] = []
        self.reset()

    def reset(self) -> None:
        """Forgets everything but the prior; plans are kept."""
        self._history.clear()
        self.belief = self._new_belief()

    def act(self) -> Any:
        """Returns the action, an element of `problem.actions`, that promises most."""
        self._budget.begin()
        return self._simulator.actions[self._decide()]

    def think(self, seconds: float) -> None:
        """Works out what may follow from the present belief, ahead of a decision; nothing where there are no values."""
        if self._values is not None:
            self._values.improve(self._node(self._values), Budget(seconds, None))

    @property
    def bounds(self) -> tuple[float, float]:
        """What the present belief is worth at least and at most, as far as that has been worked out.

        The lower one is what the planner would earn, up to what was sampled, if it went by what it has worked out.

        Raises:
            OptionError: there are no values, but rollouts.
        """
        if self._values is None:
            raise OptionError('there are bounds only with values, and this planner works by method "rollouts"')
        node = self._node(self._values)
        return node.lower, node.upper

    def update(self, action: Any, observation: Any) -> None:
        """Takes in what was done and what was seen then."""
        self.belief.predict(action)
        try:
            self.belief.update(observation, action)
            self._history.append((action, observation))
        except BeliefLostError as error:
            if not self._start_over([*self._history, (action, observation)]):
                self._leave_out(action, error)
        except ObservationError as error:
            self._leave_out(action, error)

    def _decide(self) -> int:
        """Index of the action."""
        rollouts, values = self._prepared.rollouts, self._values
        action, worth = -1, -math.inf
        if rollouts is not None:
            share = 1.0 if values is None else SHARED
            action, worth = rollouts.decide(self.belief, self._budget, self._rng, share)
        if values is None:
            return action
        root = self._node(values)
        best = values.decide(root, self._budget)
        return best if root.lower >= worth else action

    def _node(self, values: PointBased) -> Node:
        return values.root(self.belief.states, self.belief.weights)

    def _new_belief(self) -> Belief:
        """Of the prior."""
        prepared, problem = self._prepared, self._simulator.problem
        if prepared.listed.complete and prepared.model is not None:
            return ListedBelief(problem, prepared.listed, prepared.model[0], self._rng)
        return ParticleBelief(problem, self._particles, self._rng, self._jitter)

    def _leave_out(self, action: Any, error: Exception) -> None:
        self._history.append((action, None))
        warnings.warn(f"{error}; it was left out", BeliefLostWarning, stacklevel=3)

    def _start_over(self, history: list[tuple[Any, Any]]) -> bool:
        """Takes new particles through all that was done and seen; whether some explain it."""
        for _ in range(RETRIES):
            fresh = ParticleBelief(self._simulator.problem, self._particles, self._rng, self._jitter)
            try:
                for action, observation in history:
                    fresh.predict(action)
                    if observation is not None:
                        fresh.update(observation, action)
            except BeliefLostError:
                continue
            self.belief, self._history = fresh, history
            return True
        return False


@dataclass(frozen=True)
class Preparation:
    """What is worked out before the first decision: states, and a model with its values, or rollouts."""

    listed: StateSet
    model: tuple[ExplicitModel, Values] | None = None
    rollouts: Rollouts | None = None


def _prepare(problem: Problem, simulator: Simulator, options: tuple[int, int, int, Method]) -> Preparation:
    """Looks at a problem once; what is found stays with the problem, if anything can be kept with it."""
    kept: dict[tuple, Preparation] = getattr(problem, KEPT, None) or {}
    key = (id(problem), *options)  # a copy of a problem may be another one
    with contextlib.suppress(AttributeError, TypeError):  # a problem with slots, or a frozen one
        setattr(problem, KEPT, kept)
    if key not in kept:
        kept[key] = _look(simulator, *options)
    return kept[key]


def _look(simulator: Simulator, points: int, sample: int, particles: int, method: Method) -> Preparation:
    rng = np.random.default_rng(0)
    listed = StateSet(simulator, points, sample, rng)
    model = ExplicitModel.of(simulator, listed, rng)
    values = Values.of(simulator, listed, model, rng)
    coarse = not (model.fine and listed.complete)
    wanted = method == "rollouts" or (coarse and method == "auto")
    rollouts = Rollouts(simulator, values, particles, rng) if wanted else None
    return Preparation(listed, None if method == "rollouts" else (model, values), rollouts)
