"""An online planner for partially observed problems: simple policies, improved upon by looking ahead.

It holds a belief in particles. At each decision it plays scenarios, draws of the true state and of chance, with a
family of simple policies (`BasePolicies`), keeps the best of them, and then asks for every action whether taking it
first and leaving the rest to that policy earns more (rollout policies; Bertsekas & Castañón 1999). In every scenario
the policy holds a belief of its own, so that what it would see, and would come to know, counts. The budget goes to the
actions that may still be the best (sequential halving; Karnin, Koren & Somekh 2013).
"""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodied.errors import BeliefLostError, BeliefLostWarning, ObservationError, OptionError
from embodied.mind.base_policies import BasePolicies, Beliefs
from embodied.mind.best_arm import BestArm, Budget
from embodied.mind.particles import ParticleBelief
from embodied.mind.problem import Problem, Simulator
from embodied.mind.value import PointSet

SCENARIO_PARTICLES = 128  # particles of a belief within a scenario
WAVE = 64  # scenarios that are played at once
RETRIES = 3
SAMPLE = 2000
SELECTION_SCENARIOS = 64  # scenarios for each policy, before the first decision
KEPT = "_embodied_preparation"  # attribute of a problem
FAMILY = 2  # policies that are compared at every decision


class Planner:
    """Decides in a problem, knowing nothing of it but how to simulate it.

    Args:
        problem: what to decide in (see `Problem`).
        seed: decides every random draw.
        seconds: time for one decision; None for no limit of time.
        simulations: scenarios that are played for one decision; None for no limit. Without either, 256.
        particles: of the belief.
        points: up to how many states are looked for to work out values in before the first decision, once for each
            problem; where there are more, `SAMPLE` of them are drawn.
        jitter: see `ParticleBelief`.

    When an observation contradicts all that is believed, the planner draws new particles and takes them through what
    was done and seen since the last `reset`; if that fails, too, it warns (`BeliefLostWarning`), leaves out the
    observation and goes on.

    Raises:
        ProblemError: the problem has no actions, or its numbers are none.
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
    ) -> None:
        if seconds is not None and seconds <= 0:
            raise OptionError(f"seconds must be above 0, not {seconds}")
        if simulations is not None and simulations < 1:
            raise OptionError(f"simulations must be at least 1, not {simulations}")
        if points < 1:
            raise OptionError(f"a points needs at least 1 state, not {points}")
        self._rng = np.random.default_rng(seed)
        self._simulator = Simulator(problem, self._rng)
        prepared = _prepare(problem, self._simulator, points, particles)
        self.policies, self._family = prepared.policies, prepared.family
        self._budget = Budget(seconds, 256 if seconds is None and simulations is None else simulations)
        self.belief = ParticleBelief(problem, particles, self._rng, jitter)
        self._history: list[tuple[Any, Any]] = []

    def reset(self) -> None:
        """Forgets everything but the prior."""
        self._history.clear()
        self.belief.begin()

    def act(self) -> Any:
        """Returns the action, an element of `problem.actions`, that promises most."""
        return self._simulator.actions[self._decide()]

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

    def _leave_out(self, action: Any, error: Exception) -> None:
        self._history.append((action, None))
        warnings.warn(f"{error}; it was left out", BeliefLostWarning, stacklevel=3)

    def _start_over(self, history: list[tuple[Any, Any]]) -> bool:
        """Takes new particles through all that was done and seen; whether some explain it."""
        for _ in range(RETRIES):
            fresh = ParticleBelief(self._simulator.problem, self.belief.particles, self._rng, self.belief.jitter)
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

    # --- deciding ------------------------------------------------------------------------------------------

    def _decide(self) -> int:
        """Index of the action: the best policy's, or one with which that policy earns more."""
        budget, family = self._budget, self._family
        budget.begin()
        arms = BestArm(len(family))
        for trials in budget.rounds(arms, 0.4, WAVE):
            arms.note(play(self.policies, draw_scenarios(self.belief, trials), family[arms.left], self._rng))
        policy = family[arms.best]
        own = int(self.policies.choose(self._whole_belief(), np.array([policy]))[0])
        actions = BestArm(len(self._simulator.actions), incumbent=own)
        for trials in budget.rounds(actions, 1.0, WAVE):
            actions.note(self._play_after(draw_scenarios(self.belief, trials), actions.left, policy))
        return actions.best

    def _play_after(self, beliefs: Beliefs, actions: NDArray[np.intp], policy: int) -> NDArray[np.float64]:
        """What a policy earns in each scenario after each action `(A,)` comes first, `(A, K)`."""
        k, a = len(beliefs.truth), len(actions)
        everyone = beliefs.rows(np.tile(np.arange(k), a))
        beliefs, earned, ended = self.policies.step(everyone, np.repeat(actions, k), self._rng)
        earned, left = earned.astype(np.float64), np.flatnonzero(~ended)
        if len(left):
            later = self.policies.returns(beliefs.rows(left), np.full(len(left), policy), self._rng)
            earned[left] += self._simulator.problem.discount * later
        return earned.reshape(a, k)

    def _whole_belief(self) -> Beliefs:
        states = self.belief.states[None]
        return Beliefs(states, self.belief.weights[None], states[:, 0])


@dataclass(frozen=True)
class Preparation:
    """What is worked out before the first decision: policies, and those of them that earn most from the start."""

    policies: BasePolicies
    family: NDArray[np.intp]


def _prepare(problem: Problem, simulator: Simulator, size: int, particles: int) -> Preparation:
    """Looks at a problem once; what is found stays with the problem, if anything can be kept with it."""
    kept: dict[tuple[int, int, int], Preparation] = getattr(problem, KEPT, None) or {}
    key = (id(problem), size, particles)  # a copy of a problem may be another one
    with contextlib.suppress(AttributeError, TypeError):  # a problem with slots, or a frozen one
        setattr(problem, KEPT, kept)
    if key not in kept:
        rng = np.random.default_rng(0)
        policies = BasePolicies(simulator, PointSet(simulator, size, SAMPLE, rng))
        kept[key] = Preparation(policies, _best_policies(policies, ParticleBelief(problem, particles, rng), rng))
    return kept[key]


def _best_policies(policies: BasePolicies, belief: ParticleBelief, rng: np.random.Generator) -> NDArray[np.intp]:
    """The policies that earn most from the start, best first."""
    everyone = np.arange(len(policies.entropy_threshold))
    arms = BestArm(len(everyone))
    for trials in Budget(None, SELECTION_SCENARIOS * len(everyone)).rounds(arms, 1.0, WAVE):
        arms.note(play(policies, draw_scenarios(belief, trials), arms.left, rng))
    return arms.ranking[:FAMILY]


def draw_scenarios(belief: ParticleBelief, k: int) -> Beliefs:
    """Draws `k` true states from a belief, each with a sample of what is believed instead."""
    truth, states = belief.sample(k), belief.states
    if len(states) <= SCENARIO_PARTICLES:
        return Beliefs(np.broadcast_to(states, (k, *states.shape)), np.tile(belief.weights, (k, 1)), truth)
    particles = belief.sample(k * SCENARIO_PARTICLES).reshape(k, SCENARIO_PARTICLES, *states.shape[1:])
    return Beliefs(particles, np.full((k, SCENARIO_PARTICLES), 1 / SCENARIO_PARTICLES), truth)


def play(
    policies: BasePolicies, scenarios: Beliefs, who: NDArray[np.intp], rng: np.random.Generator
) -> NDArray[np.float64]:
    """What policies `who (P,)` earn in each scenario `(K,)`, `(P, K)`."""
    k, p = len(scenarios.truth), len(who)
    returns = policies.returns(scenarios.rows(np.tile(np.arange(k), p)), np.repeat(who, k), rng)
    return returns.reshape(p, k)
