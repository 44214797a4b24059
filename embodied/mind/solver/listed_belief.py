"""The exact filter of a problem that is written out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodied.errors import ProblemError
from embodied.mind.particles import systematic, weighed
from embodied.mind.problem import Problem
from embodied.mind.solver.explicit import ExplicitModel
from embodied.mind.states import StateSet

IMPOSSIBLE = 1e-12


class ListedBelief:
    """Probabilities of listed states, by Bayes' rule; exact up to the transitions, which are counted.

    Attributes:
        states: that are possible, `(m, …)`; weights: their probabilities, `(m,)`.
    """

    def __init__(self, problem: Problem, listed: StateSet, model: ExplicitModel, rng: np.random.Generator) -> None:
        self._problem, self._listed, self._model, self._rng = problem, listed, model, rng
        self._believe(model.initial)

    def predict(self, action: Any) -> None:
        """Moves on as an action would. States that ended are not believed in.

        Raises:
            ProblemError: the problem has no such action.
        """
        after = self._model.transitions[self._place(action)].T @ self._probabilities
        if after.sum() > 0:
            self._believe(after)

    def update(self, observation: Any, action: Any) -> None:
        """Takes in an observation.

        Raises:
            BeliefLostError: no state explains it; the belief stays as it was before.
            ObservationError: it is not a number.
            ProblemError: the problem's likelihood is no density.
        """
        after = np.zeros_like(self._probabilities)
        after[self._possible] = np.exp(weighed(self._problem, self.states, np.log(self.weights), observation, action))
        self._believe(after)

    def sample(self, n: int) -> NDArray:
        """Draws `n` states, `(n, …)`, in random order."""
        return self.states[self._rng.permutation(systematic(self.weights, n, self._rng))]

    def _place(self, action: Any) -> int:
        for i, one in enumerate(self._problem.actions):
            if one is action or np.array_equal(one, action):
                return i
        raise ProblemError(f"{action!r} is not among the actions of the problem: {list(self._problem.actions)}")

    def _believe(self, probabilities: NDArray[np.float64]) -> None:
        total = probabilities.sum()
        self._possible = np.flatnonzero(probabilities > IMPOSSIBLE * total)
        self.weights = probabilities[self._possible] / probabilities[self._possible].sum()
        self._probabilities = np.zeros(len(probabilities))
        self._probabilities[self._possible] = self.weights
        self.states = self._listed.states[self._possible]
