"""Deciding by rollouts: simple policies, improved upon by looking one action ahead.

Scenarios, draws of the true state and of chance, are played with a family of simple policies (`BasePolicies`); the best
of them is kept, and then it is asked of every action whether taking it first and leaving the rest to that policy earns
more (rollout policies; Bertsekas & Castañón 1999). In every scenario the policy holds a belief of its own, so that what
it would see, and would come to know, counts. The budget goes to the actions that may still be the best (sequential
halving; Karnin, Koren & Somekh 2013).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embodied.mind.base_policies import BasePolicies, Beliefs, Points
from embodied.mind.best_arm import BestArm, Budget
from embodied.mind.particles import Belief, ParticleBelief
from embodied.mind.problem import Simulator

SCENARIO_PARTICLES = 128  # particles of a belief within a scenario
WAVE = 64  # scenarios that are played at once
SELECTION_SCENARIOS = 64  # scenarios for each policy, before the first decision
FAMILY = 2  # policies that are compared at every decision


class Rollouts:
    """Decides in any problem that can be simulated.

    Args:
        points: values of actions in states that stand for all; particles: of the belief from which policies are tried
            first.

    Attributes:
        policies: all that there are; family: those of them that earn most from the start, best first.
    """

    def __init__(self, simulator: Simulator, points: Points, particles: int, rng: np.random.Generator) -> None:
        self._simulator = simulator
        self.policies = BasePolicies(simulator, points)
        everyone = np.arange(len(self.policies.entropy_threshold))
        arms, belief = BestArm(len(everyone)), ParticleBelief(simulator.problem, particles, rng)
        for trials in Budget(None, SELECTION_SCENARIOS * len(everyone)).rounds(arms, 1.0, WAVE):
            arms.note(self._play(draw_scenarios(belief, trials), arms.left, rng))
        self.family = arms.ranking[:FAMILY]

    def decide(self, belief: Belief, budget: Budget, rng: np.random.Generator, share: float = 1.0) -> tuple[int, float]:
        """Index of the action, the best policy's or one with which that policy earns more, and what that is worth.

        Args:
            share: of the budget that may be used.
        """
        arms = BestArm(len(self.family))
        for trials in budget.rounds(arms, 0.4 * share, WAVE):
            arms.note(self._play(draw_scenarios(belief, trials), self.family[arms.left], rng))
        policy = self.family[arms.best]
        states = belief.states[None]
        whole = Beliefs(states, belief.weights[None], states[:, 0])
        own = int(self.policies.choose(whole, np.array([policy]))[0])
        actions = BestArm(len(self._simulator.actions), incumbent=own)
        for trials in budget.rounds(actions, share, WAVE):
            actions.note(self._play_after(draw_scenarios(belief, trials), actions.left, policy, rng))
        return actions.best, actions.worth

    def _play(self, scenarios: Beliefs, who: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.float64]:
        """What policies `who (P,)` earn in each scenario `(K,)`, `(P, K)`."""
        k, p = len(scenarios.truth), len(who)
        returns = self.policies.returns(scenarios.rows(np.tile(np.arange(k), p)), np.repeat(who, k), rng)
        return returns.reshape(p, k)

    def _play_after(
        self, beliefs: Beliefs, actions: NDArray[np.intp], policy: int, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """What a policy earns in each scenario after each action `(A,)` comes first, `(A, K)`."""
        k, a = len(beliefs.truth), len(actions)
        everyone = beliefs.rows(np.tile(np.arange(k), a))
        beliefs, earned, ended = self.policies.step(everyone, np.repeat(actions, k), rng)
        earned, left = earned.astype(np.float64), np.flatnonzero(~ended)
        if len(left):
            later = self.policies.returns(beliefs.rows(left), np.full(len(left), policy), rng)
            earned[left] += self._simulator.problem.discount * later
        return earned.reshape(a, k)


def draw_scenarios(belief: Belief, k: int) -> Beliefs:
    """Draws `k` true states from a belief, each with a sample of what is believed instead."""
    truth, states = belief.sample(k), belief.states
    if len(states) <= SCENARIO_PARTICLES:
        return Beliefs(np.broadcast_to(states, (k, *states.shape)), np.tile(belief.weights, (k, 1)), truth)
    particles = belief.sample(k * SCENARIO_PARTICLES).reshape(k, SCENARIO_PARTICLES, *states.shape[1:])
    return Beliefs(particles, np.full((k, SCENARIO_PARTICLES), 1 / SCENARIO_PARTICLES), truth)
