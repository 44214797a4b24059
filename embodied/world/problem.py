"""A task as a decision problem for the mind: worlds are what could be, options are what can be done.

Shape suffixes: K values of the hidden variable, M samples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embodied.agent import Carry
from embodied.errors import OptionError
from embodied.hidden import Discrete
from embodied.mind.options.problem import OVER, ROOT, OptionOutcome
from embodied.world.env import BatchEnv
from embodied.world.imagination import Imagination, Play, Seen

BITS = 20  # of the number of a world within a play, in its seed


class TaskProblem:
    """A task from a node on that is known but for what is hidden.

    What is hidden has K values: those of a discrete variable, or some that are `hypotheses` of continuous ones.

    It follows `embodied.mind.options.problem.OptionProblem`: what an option leads to from a node is tried in MuJoCo
    when somebody asks for it, M times for each value, with sensors and their noise, and remembered.

    It also follows `embodied.mind.problem.Problem`: a state is a node and a value of the hidden variable, `(n, 2)`; an
    observation is the evidence that an option brings, `(n, K)`. Particles that are in the same node share the worlds of
    a play, so thousands of them cost no more than one.

    Args:
        imagination: worlds to try options in. Their task must be able to `set_hidden`.
        here: an environment of the same task whose world `world` is where it begins; not of as many worlds.
        seed: decides the noise that is imagined.
        samples: M.
        hypotheses: K values of the hidden variables to tell apart, all equally likely, `(K, k)`, such as draws from
            what a filter believes; None for the labels of a discrete variable.
        believed: how likely each of the K values is by now, `(K,)`; None for the prior.
        evidence: log-likelihood of what is observed in some worlds, under every value (see `Play.seen_of`); None to go
            by what the worlds show (`Evidence`).
        carry: what the agent carries in that world, `(1, …)`; None if an episode has just begun there.

    Attributes:
        prior: of the K values, `(K,)`.

    Raises:
        OptionError: the task has no discrete hidden variable, or no exact likelihood of it, and no hypotheses in
            its place; or there are too few worlds to imagine in, or as many as real ones.
    """

    discount = 1.0

    def __init__(
        self,
        imagination: Imagination,
        here: BatchEnv,
        world: int = 0,
        seed: int = 0,
        samples: int = 1,
        hypotheses: NDArray | None = None,
        evidence: Seen | None = None,
        believed: NDArray | None = None,
        carry: Carry | None = None,
    ) -> None:
        values, self.prior = labels_of(here) if hypotheses is None else _equally_likely(hypotheses)
        if believed is not None:
            self.prior = _distribution(believed, len(self.prior))
        self._imagination, self._samples, self._seed, self._seen_of = imagination, samples, seed, evidence
        shown = imagination.evidence
        self._size, self._exact = (shown.size, shown.exact) if evidence is None else (len(self.prior), True)
        self.actions = list(imagination.agent.options)
        begun = imagination.agent.initial(1, seed) if carry is None else carry
        self._nodes = [imagination.snapshot(here, world, values, begun)]
        self._episode_s = here.task.episode_s
        self._plays: dict[tuple[int, str], Play] = {}
        self._outcomes: dict[tuple[int, str], OptionOutcome] = {}

    @property
    def simulated_s(self) -> float:
        """Time that has been simulated for this problem, over all worlds [s]."""
        return float(sum(play.seconds.sum() for play in self._plays.values()))

    @property
    def exact(self) -> bool:
        """Whether what is seen is its own log-likelihood."""
        return self._exact

    @property
    def vacant(self) -> bool:
        """Whether there are worlds to try more than what has been asked for."""
        return self._imagination.vacant

    def known(self, node: int, action: str) -> OptionOutcome | None:
        """What an option leads to, if it has been tried."""
        key = (node, action)
        if key not in self._outcomes:
            play = self._plays.get(key)
            if play is None or not play.done:
                return None
            self._outcomes[key] = self._concluded(play)
        return self._outcomes[key]

    def ask(self, node: int, action: str) -> bool:
        """Has an option tried from a node; False if that has been asked for before."""
        if (node, action) in self._plays:
            return False
        option = self.actions.index(action)
        seed = ((self._seed * 1_000_003 + node) * len(self.actions) + option) % 2 ** (63 - BITS) << BITS
        play = Play(self._nodes[node], option, self._samples, seed, self._size, self._seen_of)
        self._plays[node, action] = play
        self._imagination.play(play)
        return True

    def advance(self) -> bool:
        """Moves all that is tried on by one decision; False if nothing is."""
        return self._imagination.advance()

    def stop(self) -> None:
        """Gives up what has been asked for and is not yet known."""
        self._imagination.stop([play for play in self._plays.values() if not play.done])
        self._plays = {key: play for key, play in self._plays.items() if play.done}

    def left_s(self, node: int) -> float:
        """Time until the episode ends, from a node on [s]."""
        return self._episode_s - self._nodes[node].elapsed_s

    def outcome(self, node: int, action: str) -> OptionOutcome:
        """What an option leads to; it is tried first if it has not been."""
        self.ask(node, action)
        while (outcome := self.known(node, action)) is None:
            self.advance()
        return outcome

    def initial(self, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """Draws values of the hidden variable from its prior, in the first node."""
        return np.column_stack([np.full(n, ROOT), rng.choice(len(self.prior), n, p=self.prior)])

    def step(self, states: NDArray, action: str, rng: np.random.Generator) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Plays an option from states `(n, 2)`; returns states, evidence `(n, K)`, rewards `(n,)` and done `(n,)`."""
        n = len(states)
        after, evidence = np.column_stack([np.full(n, OVER), states[:, 1]]), np.zeros((n, len(self.prior)))
        reward, done = np.zeros(n), np.ones(n, bool)
        for node in np.unique(states[:, 0]):
            if node == OVER:
                continue
            rows = np.flatnonzero(states[:, 0] == node)
            outcome, hidden = self.outcome(int(node), action), states[rows, 1]
            sample = rng.integers(0, self._samples, len(rows))
            evidence[rows], reward[rows] = outcome.evidence[hidden, sample], outcome.reward[hidden, sample]
            done[rows] = outcome.over[hidden, sample]
            after[rows, 0] = np.where(done[rows], OVER, outcome.after)
        return after, evidence, reward, done

    def log_likelihood(self, evidence: NDArray, states: NDArray, action: str) -> NDArray[np.float64]:
        """How likely what was seen is in each of the states, up to what is the same for all, `(n,)`."""
        evidences = np.broadcast_to(evidence, (len(states), len(self.prior)))
        own = np.take_along_axis(evidences, states[:, 1:].astype(np.intp), axis=1)[:, 0]
        return own - evidences.max(axis=1)

    def likelihood(self, evidence: NDArray, states: NDArray, action: str) -> NDArray[np.float64]:
        """The same, not as a logarithm."""
        return np.exp(self.log_likelihood(evidence, states, action))

    def _concluded(self, play: Play) -> OptionOutcome:
        """What a play has led to, and to which node."""
        after = OVER
        if play.end is not None:
            after = len(self._nodes)
            self._nodes.append(play.end)
        return OptionOutcome(play.reward, play.seen, play.over, play.seconds, after, self._exact)


def labels_of(env: BatchEnv) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The values of a discrete hidden variable `(K, 1)`, and their prior.

    Raises:
        OptionError: there is no such variable.
    """
    variable = env.hidden[0] if env.hidden else None
    if not isinstance(variable, Discrete):
        raise OptionError(f"{type(env.task).__name__} has no discrete hidden variable to decide about")
    return np.arange(len(variable.labels), dtype=np.float64)[:, None], np.array(variable.prior)


def _equally_likely(hypotheses: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values of what is hidden `(K, k)`, and as their prior that none is likelier than another."""
    values = np.asarray(hypotheses, np.float64)
    if values.ndim != 2 or not len(values) or not np.isfinite(values).all():
        raise OptionError(f"hypotheses must be values of what is hidden, (K, k), not {np.shape(hypotheses)}")
    return values, np.full(len(values), 1 / len(values))


def _distribution(believed: NDArray, k: int) -> NDArray[np.float64]:
    """Probabilities `(k,)`, checked."""
    p = np.asarray(believed, np.float64)
    if p.shape != (k,) or not (p >= 0).all() or not np.isclose(p.sum(), 1):
        raise OptionError(f"what is believed must be the probabilities of {k} values, not {believed}")
    return p / p.sum()
