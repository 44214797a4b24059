"""A task as a decision problem for the mind: worlds are what could be, options are what can be done.

Shape suffixes: K values of the hidden variable, M samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from embodied.agent import Carry, OptionAgent, worlds_of
from embodied.errors import OptionError
from embodied.hidden import Discrete
from embodied.world.env import BatchEnv
from embodied.world.state import per_world

OVER = -1  # the node of an episode that has ended
State = dict[str, NDArray]
Evidence = Callable[[NDArray, NDArray], NDArray]  # of observations `(N, dim)` in worlds of values `(N,)`: `(N, K)`


@dataclass(frozen=True)
class OptionOutcome:
    """What an option leads to from one node.

    Attributes:
        reward: what is earned meanwhile, `(K, M)`; evidence: log-likelihood of what is seen meanwhile under every value
            of the hidden variable, `(K, M, K)`; over: whether the episode ends with it, `(K, M)`.
        after: the node that it leads to.
    """

    reward: NDArray[np.float64]
    evidence: NDArray[np.float64]
    over: NDArray[np.bool_]
    after: int


@dataclass(frozen=True)
class _Node:
    """Where everything stands, for each value of what is hidden, what the agent carries there, K worlds, and how many
    options have led there."""

    states: list[State]
    carry: Carry
    depth: int


class TaskProblem:
    """A task from a node on that is known but for what is hidden.

    What is hidden has K values: those of a discrete variable, or some that are `hypotheses` of continuous ones.

    It follows `embodied.mind.problem.Problem`: a state is a node and a value of the hidden variable, `(n, 2)`; an
    observation is the evidence that an option brings, `(n, K)`: how likely each value makes what was seen. Situations
    are reached by MuJoCo: whatever is tried for the first time is played by M worlds for each value, with sensors and
    their noise, and remembered. Particles that are in the same node share those worlds, so thousands of them cost no
    more than one. All options are played at once.

    Args:
        env: A · K · M worlds to imagine in, for A options, in "NextStep" mode. Its task must be able to `set_hidden`.
        agent: acts on observations; what it can set out for is what can be decided.
        here: an environment of the same task whose world `world` is where it begins; not of as many worlds.
        seed: decides the noise that is imagined.
        hypotheses: K values of the hidden variables to tell apart, all equally likely, `(K, k)`, such as draws from
            what a filter believes; None for the labels of a discrete variable.
        believed: how likely each of the K values is by now, `(K,)`; None for the prior.
        evidence: log-likelihood of what is observed in worlds of given values, under every value; None to ask the
            worlds (`BatchEnv.evidence`).
        carry: what the agent carries in that world, `(1, …)`; None if an episode has just begun there.
        options_ahead: after how many options in a row no more is imagined, nor earned.

    Attributes:
        prior: of the K values, `(K,)`.
        simulated_s: time that has been simulated, over all worlds [s].

    Raises:
        OptionError: the task has no discrete hidden variable, or no exact likelihood of it, and no hypotheses in
            its place; or the worlds to imagine in are of another mode, or of a number that does not do.
    """

    discount = 1.0

    def __init__(
        self,
        env: BatchEnv,
        agent: OptionAgent,
        here: BatchEnv,
        world: int = 0,
        seed: int = 0,
        hypotheses: NDArray | None = None,
        evidence: Evidence | None = None,
        believed: NDArray | None = None,
        carry: Carry | None = None,
        options_ahead: float = math.inf,
    ) -> None:
        if env.autoreset_mode is not AutoresetMode.NEXT_STEP:
            raise OptionError("worlds to imagine in must be in NextStep mode, in which an ended episode stays seen")
        self._values, self.prior = _labels(env) if hypotheses is None else _equally_likely(hypotheses)
        self._given = hypotheses is not None
        if believed is not None:
            self.prior = _distribution(believed, len(self.prior))
        self._k, options = len(self.prior), len(agent.options)
        if not options or env.num_envs % (options * self._k) or env.num_envs == here.num_envs:
            raise OptionError(
                f"{env.num_envs} worlds, beside {here.num_envs} real ones, to imagine {options} options under "
                f"{self._k} values in: a multiple of both, and not as many as there are"
            )
        self._agent, self._env, self._seed = agent, env, seed
        self._evidence = evidence or (lambda obs, value: env.evidence(obs))
        self.simulated_s = 0.0
        self._options_ahead = options_ahead
        self._block = env.num_envs // options  # worlds for each option
        self._samples = self._block // self._k
        self._value = np.tile(np.repeat(np.arange(self._k), self._samples), options)  # of each world
        env.reset(seed=seed)
        now = env.get_state()
        real = {name: value for name, value in here.get_state().items() if not name.startswith("adversary/")}
        self._per_world = per_world(now, real)
        begun = agent.initial(self._k, seed) if carry is None else worlds_of(carry, np.zeros(self._k, np.intp))
        self._nodes = [_Node([now | self._alone(real, world)] * self._k, begun, 0)]
        self._outcomes: dict[tuple[int, str], OptionOutcome] = {}

    @property
    def actions(self) -> list[str]:
        """Names of the options."""
        return list(self._agent.options)

    def initial(self, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """Draws values of the hidden variable from its prior, in the first node."""
        return np.column_stack([np.zeros(n, np.intp), rng.choice(self._k, n, p=self.prior)])

    def over(self, states: NDArray) -> NDArray[np.bool_]:
        """Where the episode, or what is imagined of it, has ended, `(n,)`."""
        return states[:, 0] == OVER

    def step(self, states: NDArray, action: str, rng: np.random.Generator) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Plays an option from states `(n, 2)`; returns states, evidence `(n, K)`, rewards `(n,)` and done `(n,)`."""
        n = len(states)
        after, evidence = np.column_stack([np.full(n, OVER), states[:, 1]]), np.zeros((n, self._k))
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
        evidences = np.broadcast_to(evidence, (len(states), self._k))
        own = np.take_along_axis(evidences, states[:, 1:].astype(np.intp), axis=1)[:, 0]
        return own - evidences.max(axis=1)

    def likelihood(self, evidence: NDArray, states: NDArray, action: str) -> NDArray[np.float64]:
        """The same, not as a logarithm."""
        return np.exp(self.log_likelihood(evidence, states, action))

    def outcome(self, node: int, name: str) -> OptionOutcome:
        """What an option leads to; all options are played when the first is asked for."""
        if (node, name) not in self._outcomes:
            self.play(node)
        return self._outcomes[node, name]

    def play(self, node: int) -> None:
        """Plays every option from a node on, in its share of the worlds, until it or the episode is over."""
        env, hz = self._env, self._env.task.control_hz
        obs, carry = self._stand(node)
        left = {name: seconds * hz for name, seconds in self._agent.options.items()}
        rows = {name: slice(i * self._block, (i + 1) * self._block) for i, name in enumerate(self.actions)}
        going, first = np.ones(env.num_envs, bool), np.zeros(env.num_envs, bool)
        reward, evidence = np.zeros(env.num_envs), np.zeros((env.num_envs, self._k))
        while left:
            carry, action = self._agent.act(carry, obs, first)
            obs, earned, terminated, truncated, _ = env.step(action)
            self.simulated_s += going.sum() / hz
            reward += earned * going
            evidence += self._evidence(obs, self._value) * going[:, None]
            going &= ~(terminated | truncated)
            left = {name: more - 1 for name, more in left.items()}
            for name in [name for name, more in left.items() if more <= 0 or not going[rows[name]].any()]:
                mine = rows[name]
                depth = self._nodes[node].depth + 1
                goes_on = going[mine] & (depth < self._options_ahead)
                after = self._arrive(mine.start, goes_on.reshape(self._k, self._samples), carry, depth)
                self._outcomes[node, name] = self._outcome(reward[mine], evidence[mine], ~goes_on, after)
                del left[name]
                going[mine] = False

    def _outcome(self, reward: NDArray, evidence: NDArray, over: NDArray, after: int) -> OptionOutcome:
        shape = (self._k, self._samples)
        return OptionOutcome(reward.reshape(shape), evidence.reshape(*shape, self._k), over.reshape(shape), after)

    def _stand(self, node: int) -> tuple[NDArray[np.float32], Carry]:
        """Puts every world into a node, each block with its own intention and hidden value, each world with its
        own noise; returns what was observed there, and the agent's carry."""
        here, env, value = self._nodes[node], self._env, self._value
        own = {name: np.stack([state[name] for state in here.states])[value] for name in self._per_world}
        env.set_state(here.states[0] | own)
        env.streams.fork(self._seed * 1_000_003 + node)
        if not (self._given and node):  # else what is hidden has gone on from where it was put at first
            env.set_hidden(self._values[value])
        intention = np.repeat(np.arange(len(self.actions)), self._block)
        return env.last_obs, self._agent.set_option(worlds_of(here.carry, value), intention)

    def _arrive(self, start: int, going: NDArray[np.bool_], carry: Carry, depth: int) -> int:
        """Remembers where the worlds stand now: one for each value, of those `going` on `(K, M)` if there are any."""
        if not going.any():
            return OVER
        anyone = int(np.flatnonzero(going)[0])
        of_value = [
            h * self._samples + int(np.flatnonzero(going[h])[0]) if going[h].any() else anyone for h in range(self._k)
        ]
        worlds, now = start + np.array(of_value), self._env.get_state()
        states = [now | self._alone(now, world) for world in worlds]
        self._nodes.append(_Node(states, worlds_of(carry, worlds), depth))
        return len(self._nodes) - 1

    def _alone(self, state: State, world: int) -> State:
        """What one world has for itself."""
        return {name: state[name][world] for name in self._per_world}


def _labels(env: BatchEnv) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The values of a discrete hidden variable `(K, 1)`, and their prior."""
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
