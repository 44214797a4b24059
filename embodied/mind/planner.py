"""An online planner for partially observed problems: simple players, improved upon by looking ahead.

It holds a belief in particles. At each decision it plays scenarios, draws of the true state and of chance, with a
family of simple players (`Players`), keeps the best of them, and then asks for every action whether taking it first and
leaving the rest to that player earns more (rollout policies; Bertsekas & Castañón 1999). In every scenario the player
holds a belief of its own, so that what it would see, and would come to know, counts. The budget goes to the actions
that may still be the best (sequential halving; Karnin, Koren & Somekh 2013).
"""

from __future__ import annotations

import warnings
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodied.errors import BeliefLostError, BeliefLostWarning, OptionError, ProblemError
from embodied.mind.cloud import Cloud
from embodied.mind.contest import Budget, Contest
from embodied.mind.particles import ParticleBelief
from embodied.mind.players import Beliefs, Players
from embodied.mind.problem import Problem, Simulator

COMPANIONS = 128  # particles of a belief within a scenario
WAVE = 64  # scenarios that are played at once
RETRIES = 3
SAMPLE = 2000
AUDITION = 256  # scenarios for each player, before the first decision
FAMILY = 2  # players that are compared at every decision

_clouds: weakref.WeakKeyDictionary[Problem, dict[int, Cloud]] = weakref.WeakKeyDictionary()


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
        self._rng = np.random.default_rng(seed)
        self._simulator = Simulator(problem, self._rng)
        self.players = Players(self._simulator, _cloud_of(problem, self._simulator, cloud))
        self._budget = Budget(seconds, 256 if seconds is None and simulations is None else simulations)
        self.belief = ParticleBelief(problem, particles, self._rng, jitter)
        self._family = self._best_players()
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
        except ProblemError as error:
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
            contest.note(self._play(self.scenarios(trials), family[contest.left]))
        player = family[contest.best]
        own = int(self.players.choose(self._whole_belief(), np.array([player]))[0])
        actions = Contest(len(self._simulator.actions), favourite=own)
        for trials in budget.rounds(actions, 1.0, WAVE):
            actions.note(self._play_after(self.scenarios(trials), actions.left, player))
        return actions.best

    def _best_players(self) -> NDArray[np.intp]:
        """The players that earn most from the start, best first."""
        everyone = np.arange(len(self.players.doubt))
        contest = Contest(len(everyone))
        for trials in Budget(None, AUDITION * len(everyone)).rounds(contest, 1.0, WAVE * len(everyone)):
            contest.note(self._play(self.scenarios(trials), contest.left))
        return contest.ranking[:FAMILY]

    def _play(self, beliefs: Beliefs, players: NDArray[np.intp]) -> NDArray[np.float64]:
        """What each player `(P,)` earns in each scenario `(K,)`, `(P, K)`."""
        k, p = len(beliefs.truth), len(players)
        returns = self.players.returns(beliefs.rows(np.tile(np.arange(k), p)), np.repeat(players, k), self._rng)
        return returns.reshape(p, k)

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

    def scenarios(self, k: int) -> Beliefs:
        """Draws `k` true states from the belief, each with a sample of what is believed instead."""
        truth = self.belief.sample(k)
        states, weights = self.belief.states, self.belief.weights
        if len(states) <= COMPANIONS:
            return Beliefs(np.broadcast_to(states, (k, *states.shape)), np.tile(weights, (k, 1)), truth)
        drawn = self.belief.sample(k * COMPANIONS)
        return Beliefs(drawn.reshape(k, COMPANIONS, *states.shape[1:]), np.full((k, COMPANIONS), 1 / COMPANIONS), truth)

    def _whole_belief(self) -> Beliefs:
        states = self.belief.states[None]
        return Beliefs(states, self.belief.weights[None], states[:, 0])


def _cloud_of(problem: Problem, simulator: Simulator, size: int) -> Cloud:
    """The cloud of a problem; made once, and kept as long as the problem lives."""
    made = _clouds.setdefault(problem, {})
    if size not in made:
        made[size] = Cloud(simulator, size, SAMPLE, np.random.default_rng(0))
    return made[size]
