"""An online planner for partially observed problems: simple players, improved upon by looking ahead.

It holds a belief in particles. At each decision it plays scenarios, draws of the true state and of chance, with a
family of simple players (`Players`), keeps the best of them, and then asks for every action whether taking it first and
leaving the rest to that player earns more (rollout policies; Bertsekas & Castañón 1999). In every scenario the player
holds a belief of its own, so that what it would see, and would come to know, counts. The budget goes to the actions
that may still be the best (sequential halving; Karnin, Koren & Somekh 2013).
"""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodied.errors import BeliefLostError, BeliefLostWarning, ObservationError, OptionError
from embodied.mind.cloud import Cloud
from embodied.mind.contest import Budget, Contest
from embodied.mind.particles import ParticleBelief
from embodied.mind.players import Beliefs, Players
from embodied.mind.problem import Problem, Simulator

COMPANIONS = 128  # particles of a belief within a scenario
WAVE = 64  # scenarios that are played at once
RETRIES = 3
SAMPLE = 2000
AUDITION = 64  # scenarios for each player, before the first decision
KEPT = "_embodied_preparation"  # attribute of a problem
FAMILY = 2  # players that are compared at every decision


class Planner:
    """Decides in a problem, knowing nothing of it but how to simulate it.

    Args:
        problem: what to decide in (see `Problem`).
        seed: decides every random draw.
        seconds: time for one decision; None for no limit of time.
        simulations: scenarios that are played for one decision; None for no limit. Without either, 256.
        particles: of the belief.
        cloud: up to how many states are looked for to work out values in before the first decision, once for each
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
        cloud: int = 20_000,
        jitter: float = 0.0,
    ) -> None:
        if seconds is not None and seconds <= 0:
            raise OptionError(f"seconds must be above 0, not {seconds}")
        if simulations is not None and simulations < 1:
            raise OptionError(f"simulations must be at least 1, not {simulations}")
        if cloud < 1:
            raise OptionError(f"a cloud needs at least 1 state, not {cloud}")
        self._rng = np.random.default_rng(seed)
        self._simulator = Simulator(problem, self._rng)
        prepared = _prepare(problem, self._simulator, cloud, particles)
        self.players, self._family = prepared.players, prepared.family
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
        """Index of the action: the best player's, or one with which that player earns more."""
        budget, family = self._budget, self._family
        budget.begin()
        contest = Contest(len(family))
        for trials in budget.rounds(contest, 0.4, WAVE):
            contest.note(play(self.players, draw_scenarios(self.belief, trials), family[contest.left], self._rng))
        player = family[contest.best]
        own = int(self.players.choose(self._whole_belief(), np.array([player]))[0])
        actions = Contest(len(self._simulator.actions), favourite=own)
        for trials in budget.rounds(actions, 1.0, WAVE):
            actions.note(self._play_after(draw_scenarios(self.belief, trials), actions.left, player))
        return actions.best

    def _play_after(self, beliefs: Beliefs, actions: NDArray[np.intp], player: int) -> NDArray[np.float64]:
        """What a player earns in each scenario after each action `(A,)` comes first, `(A, K)`."""
        k, a = len(beliefs.truth), len(actions)
        everyone = beliefs.rows(np.tile(np.arange(k), a))
        beliefs, earned, ended = self.players.step(everyone, np.repeat(actions, k), self._rng)
        earned, left = earned.astype(np.float64), np.flatnonzero(~ended)
        if len(left):
            later = self.players.returns(beliefs.rows(left), np.full(len(left), player), self._rng)
            earned[left] += self._simulator.problem.discount * later
        return earned.reshape(a, k)

    def _whole_belief(self) -> Beliefs:
        states = self.belief.states[None]
        return Beliefs(states, self.belief.weights[None], states[:, 0])


@dataclass(frozen=True)
class Preparation:
    """What is worked out before the first decision: players, and those of them that earn most from the start."""

    players: Players
    family: NDArray[np.intp]


def _prepare(problem: Problem, simulator: Simulator, size: int, particles: int) -> Preparation:
    """Looks at a problem once; what is found stays with the problem, if anything can be kept with it."""
    kept: dict[tuple[int, int, int], Preparation] = getattr(problem, KEPT, None) or {}
    key = (id(problem), size, particles)  # a copy of a problem may be another one
    with contextlib.suppress(AttributeError, TypeError):  # a problem with slots, or a frozen one
        setattr(problem, KEPT, kept)
    if key not in kept:
        rng = np.random.default_rng(0)
        players = Players(simulator, Cloud(simulator, size, SAMPLE, rng))
        kept[key] = Preparation(players, _audition(players, ParticleBelief(problem, particles, rng), rng))
    return kept[key]


def _audition(players: Players, belief: ParticleBelief, rng: np.random.Generator) -> NDArray[np.intp]:
    """The players that earn most from the start, best first."""
    everyone = np.arange(len(players.doubt))
    contest = Contest(len(everyone))
    for trials in Budget(None, AUDITION * len(everyone)).rounds(contest, 1.0, WAVE):
        contest.note(play(players, draw_scenarios(belief, trials), contest.left, rng))
    return contest.ranking[:FAMILY]


def draw_scenarios(belief: ParticleBelief, k: int) -> Beliefs:
    """Draws `k` true states from a belief, each with a sample of what is believed instead."""
    truth, states = belief.sample(k), belief.states
    if len(states) <= COMPANIONS:
        return Beliefs(np.broadcast_to(states, (k, *states.shape)), np.tile(belief.weights, (k, 1)), truth)
    drawn = belief.sample(k * COMPANIONS).reshape(k, COMPANIONS, *states.shape[1:])
    return Beliefs(drawn, np.full((k, COMPANIONS), 1 / COMPANIONS), truth)


def play(players: Players, scenarios: Beliefs, who: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.float64]:
    """What players `who (P,)` earn in each scenario `(K,)`, `(P, K)`."""
    k, p = len(scenarios.truth), len(who)
    returns = players.returns(scenarios.rows(np.tile(np.arange(k), p)), np.repeat(who, k), rng)
    return returns.reshape(p, k)
