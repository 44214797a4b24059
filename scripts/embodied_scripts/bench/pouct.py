"""POUCT of pomdp-py (Zheng & Tellex 2020) on our problems: a tree search that others use."""

from __future__ import annotations

from typing import Any

import numpy as np

from embodied.extras import advice
from embodied.mind.particles import ParticleBelief
from embodied.mind.problem import Problem

with advice():
    import pomdp_py

DEPTH, PARTICLES = 60, 2000


class PouctPlayer:
    """Plays as `embodied.mind.Planner` does: decides by POUCT, with rollouts at random, from our particle filter.

    Args:
        seconds: time for one decision. Exploration is worth what rewards differ by (Silver & Veness 2010).
    """

    prepared_s = 0.0

    def __init__(self, problem: Problem, seed: int, seconds: float = 1.0) -> None:
        self._problem, rng = problem, np.random.default_rng(seed)
        self._belief = ParticleBelief(problem, PARTICLES, rng)
        steps = _Transitions(problem, rng)
        policy = _Policy([_Thing(action) for action in problem.actions], rng)
        self._agent = pomdp_py.Agent(_Belief(self._belief), policy, steps, _Observations(steps), _Rewards(steps))
        self._solver = pomdp_py.POUCT(
            max_depth=DEPTH,
            discount_factor=problem.discount,
            planning_time=seconds,
            exploration_const=_spread(problem, rng),
            rollout_policy=policy,
        )

    def reset(self) -> None:
        """Forgets everything but the prior."""
        self._belief.begin()

    def act(self) -> Any:
        """The action that has been best in the tree."""
        self._agent.tree = None
        return self._solver.plan(self._agent).what

    def update(self, action: Any, observation: Any) -> None:
        """Takes in what was done and what was seen then."""
        self._belief.predict(action)
        self._belief.update(observation, action)


def _spread(problem: Problem, rng: np.random.Generator) -> float:
    """Between the highest and the lowest reward of a step, as far as random steps tell."""
    states, rewards = problem.initial(PARTICLES, rng), []
    for _ in range(10):
        for action in problem.actions:
            rewards.append(problem.step(states, action, rng)[2])
        states = problem.step(states, problem.actions[int(rng.integers(len(problem.actions)))], rng)[0]
    return float(np.ptp(rewards))


class _Thing(pomdp_py.State, pomdp_py.Action, pomdp_py.Observation):
    """A state, an action or an observation, by what it is."""

    def __init__(self, what: Any) -> None:
        self.what = what
        self._key = what.tobytes() if isinstance(what, np.ndarray | np.generic) else what

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Thing) and self._key == other._key


class _Transitions(pomdp_py.TransitionModel):
    """A problem, one state at a time. What a step brings is asked for in three calls, of which this is the first."""

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        self._step: Any = problem.step
        self._rng = rng
        self.observed: Any = None
        self.reward = 0.0

    def sample(self, state: _Thing, action: _Thing) -> _Thing:
        after, observed, reward, _ = self._step(state.what[None], action.what, self._rng)
        self.observed, self.reward = observed[0], float(reward[0])
        return _Thing(after[0])


class _Observations(pomdp_py.ObservationModel):
    def __init__(self, steps: _Transitions) -> None:
        self._steps = steps

    def sample(self, next_state: _Thing, action: _Thing) -> _Thing:
        return _Thing(self._steps.observed)


class _Rewards(pomdp_py.RewardModel):
    def __init__(self, steps: _Transitions) -> None:
        self._steps = steps

    def sample(self, state: _Thing, action: _Thing, next_state: _Thing) -> float:
        return self._steps.reward


class _Policy(pomdp_py.RolloutPolicy):
    def __init__(self, actions: list[_Thing], rng: np.random.Generator) -> None:
        self._actions, self._rng = actions, rng

    def sample(self, state: Any) -> _Thing:
        return self._actions[self._rng.integers(len(self._actions))]

    def rollout(self, state: Any, history: Any = None) -> _Thing:
        return self.sample(state)

    def get_all_actions(self, state: Any = None, history: Any = None) -> list[_Thing]:
        return self._actions


class _Belief(pomdp_py.GenerativeDistribution):
    def __init__(self, belief: ParticleBelief) -> None:
        self._belief = belief

    def random(self) -> _Thing:
        return _Thing(self._belief.sample(1)[0])
