"""A task as a decision problem for the mind: worlds are what could be, skills are what can be done.

Shape suffixes: K values of the hidden variable, M samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from embodied.agent import Carry, Skilled, worlds_of
from embodied.errors import OptionError
from embodied.hidden import Discrete
from embodied.world.env import BatchEnv
from embodied.world.state import per_world

OVER = -1  # the situation of an episode that has ended
State = dict[str, NDArray]
Evidence = Callable[[NDArray, NDArray], NDArray]  # of observations `(N, dim)` in worlds of values `(N,)`: `(N, K)`


@dataclass(frozen=True)
class Course:
    """What a skill leads to from one situation.

    Attributes:
        reward: what is earned meanwhile, `(K, M)`; evidence: log-likelihood of what is seen meanwhile under every value
            of the hidden variable, `(K, M, K)`; over: whether the episode ends with it, `(K, M)`.
        after: the situation that it leads to.
    """

    reward: NDArray[np.float64]
    evidence: NDArray[np.float64]
    over: NDArray[np.bool_]
    after: int


@dataclass(frozen=True)
class _Situation:
    """Where everything stands, for each value of what is hidden, what the agent carries there, K worlds, and how many
    skills have led there."""

    states: list[State]
    carry: Carry
    depth: int


class TaskProblem:
    """A task from a situation on that is known but for what is hidden.

    What is hidden has K values: those of a discrete variable, or some that are `supposed` of continuous ones.

    It follows `embodied.mind.problem.Problem`: a state is a situation and a value of the hidden variable, `(n, 2)`; an
    observation is the evidence that a skill brings, `(n, K)`: how likely each value makes what was seen. Situations are
    reached by MuJoCo: whatever is tried for the first time is played by M worlds for each value, with sensors and their
    noise, and remembered. Particles that are in the same situation share those worlds, so thousands of them cost no
    more than one. All skills are played at once.

    Args:
        env: A · K · M worlds to imagine in, for A skills, in "NextStep" mode. Its task must be able to `imagine`.
        agent: acts on observations; what it can set out for is what can be decided.
        here: an environment of the same task whose world `world` is where it begins; not of as many worlds.
        seed: decides the noise that is imagined.
        supposed: K values of the hidden variables to tell apart, all equally likely, `(K, k)`, such as draws from what
            a filter believes; None for the labels of a discrete variable.
        believed: how likely each of the K values is by now, `(K,)`; None for the prior.
        evidence: log-likelihood of what is observed in worlds of given values, under every value; None to ask the
            worlds (`BatchEnv.evidence`).
        carry: what the agent carries in that world, `(1, …)`; None if an episode has just begun there.
        skills_ahead: after how many skills in a row no more is imagined, nor earned.

    Attributes:
        prior: of the K values, `(K,)`.
        imagined_s: time that has been simulated, over all worlds [s].

    Raises:
        OptionError: the task has no discrete hidden variable, or no exact likelihood of it, and nothing is supposed in
            its place; or the worlds to imagine in are of another mode, or of a number that does not do.
    """

    discount = 1.0

    def __init__(
        self,
        env: BatchEnv,
        agent: Skilled,
        here: BatchEnv,
        world: int = 0,
        seed: int = 0,
        supposed: NDArray | None = None,
        evidence: Evidence | None = None,
        believed: NDArray | None = None,
        carry: Carry | None = None,
        skills_ahead: float = math.inf,
    ) -> None:
        if env.autoreset_mode is not AutoresetMode.NEXT_STEP:
            raise OptionError("worlds to imagine in must be in NextStep mode, in which an ended episode stays seen")
        self._values, self.prior = _labels(env) if supposed is None else _equally_likely(supposed)
        self._given = supposed is not None
        if believed is not None:
            self.prior = _distribution(believed, len(self.prior))
        self._k, skills = len(self.prior), len(agent.skills)
        if not skills or env.num_envs % (skills * self._k) or env.num_envs == here.num_envs:
            raise OptionError(
                f"{env.num_envs} worlds, beside {here.num_envs} real ones, to imagine {skills} skills under "
                f"{self._k} values in: a multiple of both, and not as many as there are"
            )
        self._agent, self._env, self._seed = agent, env, seed
        self._evidence = evidence or (lambda obs, value: env.evidence(obs))
        self.imagined_s = 0.0
        self._skills_ahead = skills_ahead
        self._block = env.num_envs // skills  # worlds for each skill
        self._samples = self._block // self._k
        self._value = np.tile(np.repeat(np.arange(self._k), self._samples), skills)  # of each world
        env.reset(seed=seed)
        now = env.get_state()
        real = {name: value for name, value in here.get_state().items() if not name.startswith("adversary/")}
        self._per_world = per_world(now, real)
        begun = agent.initial(self._k, seed) if carry is None else worlds_of(carry, np.zeros(self._k, np.intp))
        self._situations = [_Situation([now | self._alone(real, world)] * self._k, begun, 0)]
        self._courses: dict[tuple[int, str], Course] = {}

    @property
    def actions(self) -> list[str]:
        """Names of the skills."""
        return list(self._agent.skills)

    def initial(self, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """Draws values of the hidden variable from its prior, in the first situation."""
        return np.column_stack([np.zeros(n, np.intp), rng.choice(self._k, n, p=self.prior)])

    def over(self, states: NDArray) -> NDArray[np.bool_]:
        """Where the episode, or what is imagined of it, has ended, `(n,)`."""
        return states[:, 0] == OVER

    def step(self, states: NDArray, action: str, rng: np.random.Generator) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Plays a skill from states `(n, 2)`; returns states, evidence `(n, K)`, rewards `(n,)` and done `(n,)`."""
        n = len(states)
        after, evidence = np.column_stack([np.full(n, OVER), states[:, 1]]), np.zeros((n, self._k))
        reward, done = np.zeros(n), np.ones(n, bool)
        for situation in np.unique(states[:, 0]):
            if situation == OVER:
                continue
            rows = np.flatnonzero(states[:, 0] == situation)
            course, hidden = self.course(int(situation), action), states[rows, 1]
            sample = rng.integers(0, self._samples, len(rows))
            evidence[rows], reward[rows] = course.evidence[hidden, sample], course.reward[hidden, sample]
            done[rows] = course.over[hidden, sample]
            after[rows, 0] = np.where(done[rows], OVER, course.after)
        return after, evidence, reward, done

    def log_likelihood(self, evidence: NDArray, states: NDArray, action: str) -> NDArray[np.float64]:
        """How likely what was seen is in each of the states, up to what is the same for all, `(n,)`."""
        told = np.broadcast_to(evidence, (len(states), self._k))
        own = np.take_along_axis(told, states[:, 1:].astype(np.intp), axis=1)[:, 0]
        return own - told.max(axis=1)

    def likelihood(self, evidence: NDArray, states: NDArray, action: str) -> NDArray[np.float64]:
        """The same, not as a logarithm."""
        return np.exp(self.log_likelihood(evidence, states, action))

    def course(self, situation: int, name: str) -> Course:
        """What a skill leads to; all skills are played when the first is asked for."""
        if (situation, name) not in self._courses:
            self.play(situation)
        return self._courses[situation, name]

    def play(self, situation: int) -> None:
        """Plays every skill from a situation on, in its share of the worlds, until it or the episode is over."""
        env, hz = self._env, self._env.task.control_hz
        obs, carry = self._stand(situation)
        left = {name: seconds * hz for name, seconds in self._agent.skills.items()}
        rows = {name: slice(i * self._block, (i + 1) * self._block) for i, name in enumerate(self.actions)}
        going, first = np.ones(env.num_envs, bool), np.zeros(env.num_envs, bool)
        reward, evidence = np.zeros(env.num_envs), np.zeros((env.num_envs, self._k))
        while left:
            carry, action = self._agent.act(carry, obs, first)
            obs, earned, terminated, truncated, _ = env.step(action)
            self.imagined_s += going.sum() / hz
            reward += earned * going
            evidence += self._evidence(obs, self._value) * going[:, None]
            going &= ~(terminated | truncated)
            left = {name: more - 1 for name, more in left.items()}
            for name in [name for name, more in left.items() if more <= 0 or not going[rows[name]].any()]:
                mine = rows[name]
                depth = self._situations[situation].depth + 1
                goes_on = going[mine] & (depth < self._skills_ahead)
                after = self._arrive(mine.start, goes_on.reshape(self._k, self._samples), carry, depth)
                self._courses[situation, name] = self._course(reward[mine], evidence[mine], ~goes_on, after)
                del left[name]
                going[mine] = False

    def _course(self, reward: NDArray, evidence: NDArray, over: NDArray, after: int) -> Course:
        shape = (self._k, self._samples)
        return Course(reward.reshape(shape), evidence.reshape(*shape, self._k), over.reshape(shape), after)

    def _stand(self, situation: int) -> tuple[NDArray[np.float32], Carry]:
        """Puts every world into a situation, each block with its own intention and hidden value, each world with its
        own noise; returns what was observed there, and the agent's carry."""
        here, env, value = self._situations[situation], self._env, self._value
        own = {name: np.stack([state[name] for state in here.states])[value] for name in self._per_world}
        env.set_state(here.states[0] | own)
        env.streams.fork(self._seed * 1_000_003 + situation)
        if not (self._given and situation):  # else what is hidden has gone on from where it was put at first
            env.imagine(self._values[value])
        intention = np.repeat(np.arange(len(self.actions)), self._block)
        return env.last_obs, self._agent.intend(worlds_of(here.carry, value), intention)

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
        self._situations.append(_Situation(states, worlds_of(carry, worlds), depth))
        return len(self._situations) - 1

    def _alone(self, state: State, world: int) -> State:
        """What one world has for itself."""
        return {name: state[name][world] for name in self._per_world}


def _labels(env: BatchEnv) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The values of a discrete hidden variable `(K, 1)`, and their prior."""
    variable = env.hidden[0] if env.hidden else None
    if not isinstance(variable, Discrete):
        raise OptionError(f"{type(env.task).__name__} has no discrete hidden variable to decide about")
    return np.arange(len(variable.labels), dtype=np.float64)[:, None], np.array(variable.prior)


def _equally_likely(supposed: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values of what is hidden `(K, k)`, and as their prior that none is likelier than another."""
    values = np.asarray(supposed, np.float64)
    if values.ndim != 2 or not len(values) or not np.isfinite(values).all():
        raise OptionError(f"what is supposed must be values of what is hidden, (K, k), not {np.shape(supposed)}")
    return values, np.full(len(values), 1 / len(values))


def _distribution(believed: NDArray, k: int) -> NDArray[np.float64]:
    """Probabilities `(k,)`, checked."""
    p = np.asarray(believed, np.float64)
    if p.shape != (k,) or not (p >= 0).all() or not np.isclose(p.sum(), 1):
        raise OptionError(f"what is believed must be the probabilities of {k} values, not {believed}")
    return p / p.sum()
