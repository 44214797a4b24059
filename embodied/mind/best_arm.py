"""Finding the best of several arms on a budget: time and trials go to those that may still be it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

FEW = 4  # trials, before which nothing is said about an arm
BETTER = 1.0  # standard errors by which an arm must beat the incumbent


class BestArm:
    """What has been earned by each arm so far, and how much more than by the incumbent in the same scenarios.

    Args:
        arms: how many there are.
        incumbent: the arm that wins unless another is better by more than chance.
    """

    def __init__(self, arms: int, incumbent: int = 0) -> None:
        self.incumbent = incumbent
        self.left = np.arange(arms)
        self._count, self._ahead, self._squares = np.zeros(arms), np.zeros(arms), np.zeros(arms)
        self._total = np.zeros(arms)

    def note(self, earned: NDArray) -> None:
        """Takes in what the arms that are left earned in some scenarios, `(left, scenarios)`."""
        ahead = earned - earned[np.flatnonzero(self.left == self.incumbent)]
        self._count[self.left] += earned.shape[1]
        self._total[self.left] += earned.sum(axis=1)
        self._ahead[self.left] += ahead.sum(axis=1)
        self._squares[self.left] += (ahead**2).sum(axis=1)

    def halve(self) -> None:
        """Gives up the worse half of those that are left, but never the incumbent, nor any that was not tried."""
        if not self._count[self.left].all():
            return
        order = self.left[np.argsort(-self.ahead[self.left], kind="stable")]
        keep = order[: max(math.ceil(len(order) / 2), 1)]
        self.left = np.union1d(keep, [self.incumbent])

    @property
    def ahead(self) -> NDArray[np.float64]:
        """By how much each arm was better than the incumbent, on average; −∞ before its first trial."""
        return np.where(self._count > 0, self._ahead / np.maximum(self._count, 1), -np.inf)

    @property
    def worth(self) -> float:
        """What the arm that wins earned, on average; −∞ before its first trial."""
        best = self.best
        return float(self._total[best] / self._count[best]) if self._count[best] else -math.inf

    @property
    def error(self) -> NDArray[np.float64]:
        """Standard errors of that; infinite before there are a few trials."""
        count = np.maximum(self._count, 1)
        variance = np.maximum(self._squares / count - (self._ahead / count) ** 2, 0.0)
        return np.where(self._count < FEW, np.inf, np.sqrt(variance / np.maximum(count - 1, 1)))

    @property
    def ranking(self) -> NDArray[np.intp]:
        """All arms, those that were left longest and earned most first."""
        out = ~np.isin(np.arange(len(self._count)), self.left)
        return np.lexsort((-self.ahead, out))

    @property
    def best(self) -> int:
        """The arm that wins."""
        top = int(self.left[self.ahead[self.left].argmax()])
        return top if self.ahead[top] > BETTER * self.error[top] else self.incumbent


class Budget:
    """Time [s] and trials for each decision; either may be None. It learns how long a trial takes."""

    def __init__(self, seconds: float | None, trials: int | None) -> None:
        self._seconds, self._trials, self._pace, self._used = seconds, trials, 0.0, 0
        self.begin()

    def begin(self) -> None:
        """Starts the clock of a decision."""
        if self._seconds is not None and not self._used:
            self._pace /= 2  # nothing fitted in last time: perhaps a slow moment had been taken for the rule
        self._began, self._used = time.perf_counter(), 0

    def rounds(self, arms: BestArm, share: float, wave: int) -> Iterator[int]:
        """Yields how many trials each arm that is left is to be given, and halves the field, until `share` is used.

        Every round gets the same part of it. What would not fit in is left out, even if nothing is tried at all.
        """
        if len(arms.left) == 1:
            return
        rounds, start = max(math.ceil(math.log2(len(arms.left))), 1), self._spent
        for i in range(rounds):
            until = start + (share - start) * (i + 1) / rounds
            while trials := self._affordable(until - self._spent, len(arms.left), wave):
                began = time.perf_counter()
                yield trials
                self._used += trials * len(arms.left)
                pace = (time.perf_counter() - began) / (trials * len(arms.left))
                self._pace = pace if self._pace == 0 else self._pace + 0.1 * (pace - self._pace)
            if i < rounds - 1:
                arms.halve()

    def trials(self) -> Iterator[float]:
        """Yields the seconds that are left, once for each trial that there is a budget for."""
        while self._spent < 1:
            yield math.inf if self._seconds is None else self._seconds - (time.perf_counter() - self._began)
            self._used += 1

    def _affordable(self, share: float, arms: int, wave: int) -> int:
        """How many trials of each arm fit in a share of the budget, at most a wave in all."""
        most = float(max(wave, FEW * arms))
        if self._seconds is not None and self._pace:
            most = min(most, share * self._seconds / self._pace)
        if self._trials is not None:
            most = min(most, share * self._trials)
        return int(most / arms) if share > 0 else 0

    @property
    def _spent(self) -> float:
        """The share of the budget that is used up."""
        of_time = 0.0 if self._seconds is None else (time.perf_counter() - self._began) / self._seconds
        of_trials = 0.0 if self._trials is None else self._used / self._trials
        return max(of_time, of_trials)
