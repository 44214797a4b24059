"""Planning with options: what to take up next, by what it would tell and earn."""

from __future__ import annotations

import time
from collections import deque

import numpy as np
from numpy.typing import NDArray

from embodied.errors import OptionError
from embodied.mind.belief import posterior
from embodied.mind.options.lookahead import Knowledge, Lookahead, following, look, wanted
from embodied.mind.options.outcome_table import History, OutcomeTable
from embodied.mind.options.policy_value import PolicyValue
from embodied.mind.options.problem import OVER, ROOT, OptionProblem
from embodied.mind.options.search_targets import SearchTargets, search_targets

SHARE = 0.25  # of the time, at most, that is spent on looking at what is known rather than on knowing more


class OptionPlanner:
    """Decides which option to take up, in a problem whose outcomes it has tried as far as its plans rely on them.

    Args:
        problem: options, and a hidden variable with K values.
        seconds: of thought for one decision, at most.
        table: of earlier problems, which it adds to; history: options that were taken up in the episode before.
        network: what is known of beliefs from earlier plans; it goes on from there.

    Attributes:
        belief: probabilities of the K values, `(K,)`.

    Raises:
        OptionError: no time to think.
    """

    def __init__(
        self,
        problem: OptionProblem,
        seconds: float = 1.0,
        table: OutcomeTable | None = None,
        history: History = (),
        network: PolicyValue | None = None,
    ) -> None:
        if not seconds > 0:
            raise OptionError(f"seconds must be above 0, not {seconds}")
        self._problem, self._seconds = problem, seconds
        self._knowledge = Knowledge(problem, table or OutcomeTable(), history, network)
        self._node, self.belief = ROOT, np.array(problem.prior, np.float64)
        self._attend(ROOT, self.belief[None], np.ones(1))
        self._looked_s, self._looked_at = 0.0, -np.inf
        self._decided: tuple[Lookahead, History] | None = None

    @property
    def exhausted(self) -> bool:
        """Whether nothing is known of where it stands, such as after an option that was never tried."""
        return self._node == OVER

    def act(self) -> str:
        """Returns the option that promises most; from then on, thinks about what follows it."""
        self._attend(self._node, self.belief[None], np.ones(1))
        self._think(time.perf_counter() + self._seconds)
        ahead = self._look(anew=True)
        action = self._knowledge.actions[int(ahead.best[0])]
        self._decided = ahead, self._knowledge.history(self._node)
        outcome = self._knowledge.of(self._node, action)
        if outcome is not None:  # else it is still to be found out what follows
            self._attend(outcome.after, *following(outcome, self.belief))
        return action

    def search_targets(self) -> list[SearchTargets]:
        """What a network can learn from the last decision; nothing before the first."""
        return [] if self._decided is None else list(search_targets(*self._decided, self._knowledge.actions))

    def think(self, seconds: float) -> None:
        """Works on what may follow, ahead of a decision."""
        self._think(time.perf_counter() + seconds)

    def update(self, action: str, seen: NDArray[np.float64]) -> None:
        """Takes in that an option is over, the episode is not, and what was seen meanwhile, `(D,)`."""
        outcome = self._knowledge.of(self._node, action)
        self._node = OVER if outcome is None else outcome.after
        told = np.asarray(seen, np.float64)[None]
        if outcome is not None:
            told = outcome.explain(told) + outcome.log_survival
        if outcome is not None or self._problem.exact:
            self.belief = posterior(self.belief[None], told)[0]

    def _attend(self, node: int, beliefs: NDArray[np.float64], reach: NDArray[np.float64]) -> None:
        """What is thought about from now on: beliefs `(n, K)` in a node, and how likely they are met, `(n,)`."""
        self._attended = node, beliefs, reach
        self._ahead: Lookahead | None = None
        self._wanted: deque[tuple[int, int]] = deque()

    def _think(self, until: float) -> None:
        """Tries options until the time is over, or nothing is left that is worth trying."""
        if not len(self._attended[1]):
            return
        while time.perf_counter() < until:
            if self._problem.vacant:
                if self._settled():
                    return
                self._ask()
            if not self._problem.advance():
                return

    def _ask(self) -> None:
        """Asks for what is most useful to know."""
        self._look()
        while self._wanted and self._problem.vacant:
            node, option = self._wanted.popleft()
            self._problem.ask(node, self._knowledge.actions[option])

    def _settled(self) -> bool:
        """Whether the best option is known to be worth as much as can be had, but for little."""
        ahead = self._look()
        return bool((ahead.tried[ahead.best] & (ahead.value >= self._knowledge.table.enough)).all())

    def _look(self, anew: bool = False) -> Lookahead:
        """What is known by now; looked at anew if that was long enough ago."""
        began = time.perf_counter()
        if anew or self._ahead is None or (began - self._looked_at) * SHARE > self._looked_s:
            self._ahead = look(self._knowledge, *self._attended)
            self._wanted = deque(wanted(self._ahead, self._knowledge))
            self._looked_at = time.perf_counter()
            self._looked_s = self._looked_at - began
        return self._ahead
