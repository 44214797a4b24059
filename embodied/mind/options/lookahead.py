"""What may follow from a belief, as far as outcomes of options are known, and what that is worth.

Where an option has not been tried from a node, its outcome from the nearest node before stands for it. What follows
after that is worth what a network knows of it (`PolicyValue`); without one, nothing is looked at but what it earns to
take up one more option and go on with it.

Shape suffixes: n beliefs, A options, K values of the hidden variable, M samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from embodied.mind.belief import posterior
from embodied.mind.information import entropy_bits
from embodied.mind.options.outcome_table import History, OutcomeTable
from embodied.mind.options.policy_value import PolicyValue
from embodied.mind.options.problem import OVER, ROOT, OptionOutcome, OptionProblem
from embodied.mind.solver.clusters import sum_by

NEGLIGIBLE = 1e-3  # probability of a belief, below which nobody looks further
GRID = 0.02  # of probabilities; beliefs that fall together on it are taken for one
LATER = 0.5  # how much less a gap is worth exploring, with each option that comes before


@dataclass
class Lookahead:
    """Beliefs in one node, and what options are worth there.

    Attributes:
        beliefs: `(n, K)`; reach: how likely each is met, `(n,)`.
        worth: of each option in each belief, `(n, A)`; tried: whether that is known from this very node, `(A,)`.
        value, best: what a belief is worth, and the number of its best option, `(n,)`.
        policy: probabilities of options, as a network knows them, `(n, A)`; None without one.
        after: what follows each option; which of its beliefs follows each of these, `(n, K · M)`, or none (−1), and how
            likely.
    """

    node: int
    beliefs: NDArray[np.float64]
    reach: NDArray[np.float64]
    worth: NDArray[np.float64]
    tried: NDArray[np.bool_]
    policy: NDArray[np.float64] | None = None
    after: dict[int, tuple[Lookahead, NDArray[np.intp], NDArray[np.float64]]] = field(default_factory=dict)

    @property
    def best(self) -> NDArray[np.intp]:
        return self.worth.argmax(axis=1)

    @property
    def value(self) -> NDArray[np.float64]:
        return self.worth.max(axis=1)


class Knowledge:
    """What is known of the outcomes of a problem's options: from a node itself, from the table, or from a node before.

    Args:
        history: options that were taken up in the episode before the problem begins.
        network: what is known of beliefs from earlier plans.
    """

    def __init__(
        self, problem: OptionProblem, table: OutcomeTable, history: History = (), network: PolicyValue | None = None
    ) -> None:
        self.problem, self.table, self.network = problem, table, network
        self.actions = list(problem.actions)
        self._history = {ROOT: history}
        self._before: dict[int, int] = {}  # the node before each
        self._known: dict[int, list[OptionOutcome | None]] = {}

    def at(self, node: int) -> list[OptionOutcome | None]:
        """Outcomes from this very node, by option."""
        known = self._known.setdefault(node, [None] * len(self.actions))
        for i, action in enumerate(self.actions):
            if known[i] is None and (outcome := self.problem.known(node, action)) is not None:
                known[i] = outcome
                self._before.setdefault(outcome.after, node)
                self._history.setdefault(outcome.after, (*self._history[node], action))
                self.table.note(self._history[node], action, outcome)
        return known

    def of(self, node: int, action: str) -> OptionOutcome | None:
        """Of one option."""
        return self.at(node)[self.actions.index(action)]

    def near(self, node: int) -> list[OptionOutcome | None]:
        """The same, or what stands for it."""
        known = _first(self.at(node), self._recalled(self._history[node]))
        while None in known and node in self._before:
            node = self._before[node]
            known = _first(known, self.at(node))
        return known

    def after(self, node: int, option: int) -> list[OptionOutcome | None]:
        """What stands for outcomes after an option that has not been tried from a node."""
        return _first(self._recalled(self.history(node, option)), self.near(node))

    def history(self, node: int, option: int | None = None) -> History:
        """Options that were taken up before a node, or before what follows an option there."""
        return self._history[node] if option is None else (*self._history[node], self.actions[option])

    def gap(self, ahead: Lookahead) -> float:
        """What there is to be gained at most, in shares of the range of returns."""
        if not np.isfinite(ahead.value).all():
            return 1.0
        most = max(self.table.most, float(ahead.value.max()))
        return float(ahead.reach @ (most - ahead.value)) / self.table.range

    def _recalled(self, history: History) -> list[OptionOutcome | None]:
        k = len(self.problem.prior)
        return [self.table.recall(history, action, k) for action in self.actions]


def _first(some: list[OptionOutcome | None], others: list[OptionOutcome | None]) -> list[OptionOutcome | None]:
    return [one or other for one, other in zip(some, others, strict=True)]


def look(knowledge: Knowledge, node: int, beliefs: NDArray[np.float64], reach: NDArray[np.float64]) -> Lookahead:
    """What options are worth in some beliefs `(n, K)` that are met with probabilities `(n,)` in a node."""
    own, near = knowledge.at(node), knowledge.near(node)
    tried = np.array([outcome is not None for outcome in own])
    ahead = Lookahead(node, beliefs, reach, np.full((len(beliefs), len(own)), -np.inf), tried)
    for a, outcome in enumerate(near):
        if outcome is not None:
            chance, after = _branches(outcome, beliefs)
            left_s = knowledge.problem.left_s(node) - outcome.seconds.mean()
            later = _later(after, knowledge, knowledge.history(node, a), knowledge.after(node, a), left_s)
            ahead.worth[:, a] = _total(outcome, beliefs, chance, later)
    if knowledge.network is not None:
        _trust(ahead, *knowledge.network.evaluate(knowledge.history(node), beliefs))
    for a, outcome in enumerate(own):
        if outcome is not None and outcome.after != OVER:
            _look_after(knowledge, ahead, a)
    return ahead


def _later(
    beliefs: NDArray[np.float64],
    knowledge: Knowledge,
    history: History,
    near: list[OptionOutcome | None],
    left_s: float,
) -> NDArray[np.float64]:
    """What beliefs `(n, m, K)` are worth without looking further, `(n, m)`, if `left_s` are left."""
    if knowledge.network is None:
        return (beliefs @ _one_more(near, left_s).T).max(axis=2)
    n, m, k = beliefs.shape
    return knowledge.network.evaluate(history, beliefs.reshape(n * m, k))[1].reshape(n, m)


def _one_more(near: list[OptionOutcome | None], left_s: float) -> NDArray[np.float64]:
    """What taking up one more option earns under each value, `(A, K)`, if `left_s` are left."""
    known = [outcome for outcome in near if outcome is not None]
    reward = np.stack([outcome.reward.mean(axis=1) for outcome in known])
    seconds = np.stack([outcome.seconds.mean(axis=1) for outcome in known])
    return np.where(seconds <= left_s, reward, reward.min())


def _trust(ahead: Lookahead, policy: NDArray[np.float64], value: NDArray[np.float64]) -> None:
    """Takes it that the option that a network would take up is worth what it says, where nothing is known of it."""
    ahead.policy = policy
    rows, favorite = np.arange(len(value)), policy.argmax(axis=1)
    known = ahead.worth[rows, favorite]
    ahead.worth[rows, favorite] = np.where(np.isfinite(known), known, value)


def _total(
    outcome: OptionOutcome, beliefs: NDArray[np.float64], chance: NDArray[np.float64], later: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What an option earns, and what comes later `(n, K · M)`, on average, `(n,)`."""
    return beliefs @ outcome.reward.mean(axis=1) + (chance * later).sum(axis=1)


def _branches(outcome: OptionOutcome, beliefs: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probabilities of all that may be seen and goes on, `(n, K · M)`, and what is believed then, `(n, K · M, K)`."""
    k, m = outcome.over.shape
    told = outcome.evidence.reshape(k * m, k) + outcome.log_survival
    chance = np.repeat(beliefs, m, axis=1) * ~outcome.over.reshape(-1) / m
    n = len(beliefs)
    pairs = np.broadcast_to(beliefs[:, None], (n, k * m, k)).reshape(-1, k)
    after = posterior(pairs, np.broadcast_to(told, (n, k * m, k)).reshape(-1, k))
    return chance, after.reshape(n, k * m, k)


def _look_after(knowledge: Knowledge, ahead: Lookahead, a: int) -> None:
    """Looks at what follows an option that has been tried, in the beliefs in which that may make a difference."""
    outcome = knowledge.at(ahead.node)[a]
    assert outcome is not None
    chance, after = _branches(outcome, ahead.beliefs)
    reach = ahead.reach[:, None] * chance
    some = (reach > NEGLIGIBLE) & (ahead.value < knowledge.table.enough)[:, None]
    if not some.any():
        return
    which = np.full(chance.shape, -1)
    merged, which[some], total = _merged(after[some], reach[some])
    child = look(knowledge, outcome.after, merged, total)
    there = outcome.after
    left_s = knowledge.problem.left_s(there)
    simple = _later(after, knowledge, knowledge.history(there), knowledge.near(there), left_s)
    later = np.where(some, child.value[which], simple)
    rows = some.any(axis=1)
    ahead.worth[rows, a] = _total(outcome, ahead.beliefs, chance, later)[rows]
    ahead.after[a] = child, which, chance


def _merged(
    beliefs: NDArray[np.float64], reach: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.float64]]:
    """Beliefs that are nearly the same taken for one: their mean `(u, K)`, which one each is, and how likely."""
    _, which = np.unique(np.round(beliefs / GRID), axis=0, return_inverse=True)
    which = which.reshape(-1)
    total = np.bincount(which, reach).astype(np.float64)
    return sum_by(which, reach[:, None] * beliefs) / total[:, None], which, total


def following(outcome: OptionOutcome, belief: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What may be believed after an option, `(n, K)`, and how likely each is, `(n,)`; of a belief `(K,)`."""
    chance, after = _branches(outcome, belief[None])
    some = chance[0] > NEGLIGIBLE
    if not some.any():
        return np.empty((0, len(belief))), np.empty(0)
    merged, _, total = _merged(after[0, some], chance[0, some])
    return merged, total


def wanted(ahead: Lookahead, knowledge: Knowledge) -> list[tuple[int, int]]:
    """Options that it would be good to try, and from which nodes; the most useful first.

    First come those that the best plan relies on; then what may be worth more, where most is to be gained.
    """
    score: dict[tuple[int, int], float] = {}
    for node, option, reach in _relied_on(ahead, ahead.reach):
        score[node, option] = score.get((node, option), 0.0) + reach
    for node, option, gain in _unexplored(ahead, knowledge, _entropy(ahead)):
        score[node, option] = score.get((node, option), 0.0) + gain
    return sorted(score, key=lambda pair: -score[pair])


def _relied_on(ahead: Lookahead, reach: NDArray[np.float64]) -> Iterator[tuple[int, int, float]]:
    """Untried options of the best plan, and how likely it comes to them."""
    for a in np.unique(ahead.best):
        mine = ahead.best == a
        if not ahead.tried[a]:
            yield ahead.node, int(a), float(reach[mine].sum())
        elif a in ahead.after:
            child, which, chance = ahead.after[a]
            flow = (reach[:, None] * chance)[mine]
            to = which[mine]
            there = np.bincount(to[to >= 0], flow[to >= 0], minlength=len(child.beliefs))
            yield from _relied_on(child, there.astype(np.float64))


def _unexplored(
    ahead: Lookahead, knowledge: Knowledge, unsure: float, discount: float = 1.0, last: int | None = None
) -> Iterator[tuple[int, int, float]]:
    """Untried options everywhere, and what there is to be gained at most, in shares of the range of returns.

    It counts the less, the more options come before; but for doing the same again, and where much has been found out.
    With a network, it counts as much as that would take the option up.
    """
    gap = knowledge.gap(ahead)
    found_out = 1.0 - _entropy(ahead) / max(unsure * float(ahead.reach.sum()), 1e-12)
    share = np.ones(len(ahead.tried)) if ahead.policy is None else ahead.reach @ ahead.policy / ahead.reach.sum()
    for new in np.flatnonzero(~ahead.tried).tolist():
        yield ahead.node, new, (1.0 if new == last else max(discount, found_out)) * gap * share[new]
    for a, (child, _, _) in ahead.after.items():
        again = last is None or a == last
        yield from _unexplored(child, knowledge, unsure, LATER * discount, a if again else None)


def _entropy(ahead: Lookahead) -> float:
    """Of the beliefs, times how likely they are met [bits]."""
    return float(ahead.reach @ entropy_bits(ahead.beliefs))
