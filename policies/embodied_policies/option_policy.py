"""A policy over options that is learned from plans: it decides at once what a planner would after a second of thought.

Shape suffixes: n beliefs or worlds, A options, K values of the hidden variable.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from embodied.agent import Carry, InformedAgent, OptionAgent, with_worlds, worlds_of
from embodied.errors import CheckpointError, OptionError
from embodied.files import checked
from embodied.mind.belief import posterior
from embodied.mind.options.outcome_table import History
from embodied.mind.options.search_targets import SearchTargets
from embodied.nn.checkpoint import policy_folder, read_card, save_policy
from embodied.nn.policy import SequencePolicy, load_policy
from embodied_policies.mlp import MlpPolicy
from embodied_policies.proactive import Evidence

OFTEN = 4  # times that an option was taken up, from which on they are not told apart


class _Options(msgspec.Struct):
    """What a card says of them."""

    options: list[str]
    values: Annotated[int, msgspec.Meta(ge=1)]


def chooses_options(path: str | Path) -> bool:
    """Whether a saved policy is one over options.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    return "options" in read_card(policy_folder(path))


class OptionPolicy:
    """Probabilities of options, and what a belief is worth, by what is believed and what was done before.

    It serves a planner as a `PolicyValue`.

    Args:
        policy: reads K + 2 A numbers (see `rows`), and chooses one of the options.
        options: their names; values: K.

    Raises:
        OptionError: the policy reads or chooses something else.
    """

    def __init__(self, policy: SequencePolicy, options: Sequence[str], values: int) -> None:
        self.policy, self.options, self.values = policy.eval(), list(options), values
        fits = policy.codec.size == values + 2 * len(self.options) and policy.value_head is not None
        if not fits or policy.action_space != spaces.Discrete(len(self.options)):
            raise OptionError(f"this policy does not choose among {len(self.options)} options of {values} values")
        self._index = {name: i for i, name in enumerate(self.options)}

    @classmethod
    def untrained(
        cls, options: Sequence[str], values: int, layers: int = 3, width: int = 64, seed: int = 0
    ) -> OptionPolicy:
        """One that has learned nothing yet; its first weights are those of the seed."""
        seen = spaces.Box(0.0, 1.0, (values + 2 * len(options),), np.float32)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            policy = MlpPolicy(seen, spaces.Discrete(len(options)), layers=layers, width=width)
        return cls(policy, options, values)

    def evaluate(
        self, history: History, beliefs: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Probabilities of options `(n, A)` and values `(n,)` of beliefs `(n, K)` after the same options in each."""
        return self.read(self._rows_after(history, beliefs))

    def check(self, options: Collection[str], values: int) -> None:
        """Refuses to decide among other options, or about another hidden variable.

        Raises:
            OptionError: they are others.
        """
        if [*options] != self.options or values != self.values:
            raise OptionError("this policy was learned for other options, or for another hidden variable")

    def read(self, rows: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Probabilities of options `(n, A)` and values `(n,)` of rows that `rows` made."""
        with torch.inference_mode():
            first = torch.zeros(len(rows), dtype=torch.bool)
            output, _ = self.policy.step(torch.as_tensor(rows), first, self.policy.initial(len(rows)))
            assert output.value is not None
            chances = output.actions.base_dist.probs[:, 0]  # type: ignore[attr-defined]
            return chances.double().numpy(), output.value.double().numpy()

    def rows(
        self, beliefs: NDArray[np.float64], counts: NDArray[np.float64], last: int | NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """What the policy reads of beliefs `(n, K)`: how often each option was taken up `(n, A)`, and which last (−1:
        none)."""
        known = np.arange(len(self.options)) == np.reshape(last, (-1, 1))
        often = np.minimum(counts, OFTEN) / OFTEN
        return np.hstack([beliefs, often, np.broadcast_to(known, often.shape)]).astype(np.float32)

    def _rows_after(self, history: History, beliefs: NDArray[np.float64]) -> NDArray[np.float32]:
        """The same after the same options in each."""
        done = np.array([self._index[name] for name in history], np.intp)
        counts = np.bincount(done, minlength=len(self.options)).astype(np.float64)
        return self.rows(beliefs, np.tile(counts, (len(beliefs), 1)), done[-1] if len(done) else -1)

    def lessons(self, targets: Sequence[SearchTargets]) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """What plans teach: rows `(n, …)`, best options, values and weights `(n,)`.

        Raises:
            OptionError: they have tried nothing.
        """
        if not targets:
            raise OptionError("no plan has tried what it decided, so there is nothing to learn: let it think longer")
        rows = np.concatenate([self._rows_after(t.history, t.beliefs) for t in targets])
        best, value, reach = (
            np.concatenate([getattr(t, name) for t in targets]) for name in ("best", "value", "reach")
        )
        return rows, best, value, reach

    def save(self, folder: Path, about: dict[str, Any] | None = None) -> None:
        """Writes weights (safetensors) and card (JSON), with what else is to be known `about` it."""
        card = {**self.policy.card(), "options": self.options, "values": self.values, **(about or {})}
        save_policy(folder, self.policy, card)

    @classmethod
    def load(cls, path: str | Path) -> OptionPolicy:
        """Reads what `save` wrote.

        Raises:
            CheckpointError: it is missing or damaged, or no policy over options.
        """
        folder = policy_folder(path)
        known = {name: read_card(folder).get(name) for name in ("options", "values")}
        card = checked(known, _Options, f"{folder} holds no policy over options", CheckpointError)
        try:
            return cls(load_policy(folder), card.options, card.values)
        except OptionError as wrong:
            raise CheckpointError(f"{folder}: {wrong}") from None


@dataclass(frozen=True)
class _Course:
    """What goes on in n worlds.

    Attributes:
        belief: `(n, K)`; counts: how often each option was taken up, `(n, A)`; option: the present one, `(n,)`.
        left: decisions until it is over, `(n,)`.
        carry: of the agent that acts.
    """

    belief: NDArray[np.float64]
    counts: NDArray[np.float64]
    option: NDArray[np.intp]
    left: NDArray[np.float64]
    carry: Carry


class OptionPolicyAgent:
    """Decides by a policy over options, in all worlds at once, whenever an option is over there.

    Args:
        network: decides.
        agent: acts; its options are those of the network.
        evidence: what is seen of the hidden variable (`embodied.world.Evidence`), as its log-likelihood.
        prior: of the hidden variable, `(K,)`.
        control_hz: decisions of an environment per second.
        estimate: what an agent that can be informed (`InformedAgent`) is told of all worlds, `(n, k)`.

    Raises:
        OptionError: other options, or what is seen is no likelihood.
    """

    def __init__(
        self,
        network: OptionPolicy,
        agent: OptionAgent,
        evidence: Evidence,
        prior: NDArray[np.float64],
        control_hz: float,
        estimate: Callable[[], NDArray[np.float64]] | None = None,
    ) -> None:
        network.check(agent.options, len(prior))
        if not evidence.exact:
            raise OptionError("a policy over options needs the likelihood of what is seen: this task knows none")
        self._network, self._agent, self._source = network, agent, evidence
        self._prior, self._estimate = np.asarray(prior, np.float64), estimate
        self._lasts = np.array([seconds * control_hz for seconds in agent.options.values()])
        self._seed = 0

    def initial(self, n: int, seed: int) -> _Course:
        """Returns the carry of worlds in which nothing has begun."""
        self._seed = seed
        counts = np.zeros((n, len(self._lasts)))
        return _Course(np.tile(self._prior, (n, 1)), counts, np.full(n, -1), np.zeros(n), self._agent.initial(n, seed))

    def act(self, carry: _Course, obs: NDArray, first: NDArray) -> tuple[_Course, NDArray]:
        """Goes on with options, and decides anew where one is over; actions as the options give them."""
        now = self._begun(carry, np.flatnonzero(first))
        now = replace(now, belief=posterior(now.belief, self._source.of(obs)))
        if self._estimate is not None and isinstance(self._agent, InformedAgent):
            now = replace(now, carry=self._agent.inform(now.carry, self._estimate()))
        now = self._decided(now, np.flatnonzero(now.left <= 0))
        acted, action = self._agent.act(now.carry, obs, np.zeros(len(obs), bool))
        return replace(now, left=now.left - 1, carry=acted), action

    def belief(self, carry: _Course) -> NDArray[np.float64]:
        """Probabilities of the hidden variable, `(n, K)`."""
        return carry.belief

    def _begun(self, now: _Course, worlds: NDArray[np.intp]) -> _Course:
        """As it is where an episode begins in some worlds."""
        return now if not worlds.size else with_worlds(now, worlds, self.initial(len(worlds), self._seed))

    def _decided(self, now: _Course, worlds: NDArray[np.intp]) -> _Course:
        """Takes up an option in some worlds."""
        if not worlds.size:
            return now
        some = worlds_of(now, worlds)
        chances, _ = self._network.read(self._network.rows(some.belief, some.counts, some.option))
        option = chances.argmax(axis=1)
        counts = some.counts + (np.arange(len(self._lasts)) == option[:, None])
        part = replace(some, option=option, counts=counts, left=self._lasts[option])
        return with_worlds(now, worlds, replace(part, carry=self._agent.set_option(some.carry, option)))
