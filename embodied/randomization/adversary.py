"""An adversary that sets the world: it learns to hide things where the player fails, within the prior's support."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embodied.errors import OptionError
from embodied.hidden import Discrete, Hidden
from embodied.seeding import WorldStreams

LEARNING_RATE = 0.03  # of the preference in the situation at hand, per episode
FORGETTING = 1e-3  # share of the preferences that is lost per episode: what works no longer is given up
MEMORY = 1e-2  # weight of an episode in how often players fail
Rows = NDArray[np.intp]


class Adversary:
    """Chooses the discrete hidden variable of each episode by how a situation looks when it begins.

    Preferences are linear in the privileged state and added to the logarithm of the prior, so that what the prior
    excludes is never chosen; they follow the policy gradient of the player's failures (REINFORCE, Williams 1992, with
    a running mean as its baseline, weighted for what was sampled from the prior instead, in steps of equal size
    whatever the situation).

    Args:
        share: of episodes that it decides; the others are sampled from the prior, so that players do not forget those.
        hidden: the task's hidden variables: one, and a discrete one.
        streams: decide what is sampled.
        features: size of a privileged state.

    Attributes:
        prior: `(K,)`.
        learns: whether it goes on learning.

    Raises:
        OptionError: the share is none, or the task hides several things, or nothing discrete.
    """

    def __init__(self, share: float, hidden: tuple[Hidden, ...], streams: WorldStreams, features: int) -> None:
        if not 0 < share <= 1:
            raise OptionError(f"adversary is the share of episodes that it decides, in (0, 1], not {share}")
        if len(hidden) != 1 or not isinstance(hidden[0], Discrete):
            raise OptionError("an adversary chooses one discrete hidden variable; this task hides something else")
        self.learns = True
        self._share = share
        prior = np.array(hidden[0].prior)
        prior.flags.writeable = False
        self.prior = prior
        with np.errstate(divide="ignore"):
            self._log_prior = np.log(prior)
        self._log_prior.flags.writeable = False
        k, n = len(prior), streams.n
        self._last = int(np.flatnonzero(prior)[-1])  # the last value that is possible
        self._random = streams.stream(("begin/adversary", 2))
        self._preference = np.zeros((k, 1 + features))
        self._failing = 0.5
        self._seen, self._step = np.zeros((n, 1 + features)), np.zeros((n, k))  # of each episode, when it began

    def probabilities(self, state: NDArray) -> NDArray[np.float64]:
        """What it would choose in privileged states `(n, d)`, where it decides, `(n, K)`."""
        return self._softmax(_with_constant(state))

    def choose(self, worlds: Rows, state: NDArray) -> NDArray[np.float64]:
        """Returns hidden values `(n, 1)` for episodes that begin in `worlds`, in privileged states `(n, d)`."""
        seen, sample = _with_constant(state), self._random.uniform(0, worlds=worlds)
        own = self._softmax(seen)
        played = self._share * own + (1 - self._share) * self.prior
        decided = np.where((sample[:, :1] < self._share), own, self.prior)
        chosen = np.minimum((sample[:, 1:] >= np.cumsum(decided, axis=1)).sum(axis=1), self._last)
        rows = np.arange(len(worlds))
        step = -own
        step[rows, chosen] += 1
        self._seen[worlds] = seen
        self._step[worlds] = step * (own[rows, chosen] / played[rows, chosen])[:, None]
        return chosen[:, None].astype(np.float64)

    def learn(self, ended: NDArray[np.bool_], success: NDArray[np.bool_]) -> None:
        """Takes in which worlds have ended their episode, and which of them with success, `(N,)` each."""
        rows = np.flatnonzero(ended)
        if not self.learns or not rows.size:
            return
        failed, seen = (~success[rows]).astype(np.float64), self._seen[rows]
        rate = LEARNING_RATE * (failed - self._failing) / (seen**2).sum(axis=1)
        self._preference *= (1 - FORGETTING) ** len(rows)
        self._preference += np.einsum("n,nk,nd->kd", rate, self._step[rows], seen)
        self._failing += (1 - (1 - MEMORY) ** len(rows)) * (failed.mean() - self._failing)

    def _softmax(self, seen: NDArray) -> NDArray[np.float64]:
        logits = seen @ self._preference.T + self._log_prior
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True)


def _with_constant(state: NDArray) -> NDArray[np.float64]:
    return np.column_stack([np.ones(len(state)), state])
