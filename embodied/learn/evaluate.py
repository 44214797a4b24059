"""What an agent achieves, what it finds out on the way, and whether it knows what it knows.

Bits gathered are measured on the history of observations by the task's exact filter, not on what an agent
claims. An agent's own belief, where it has one, is judged for calibration separately, at its last decision.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from embodied.agent import Agent
from embodied.hidden import Discrete
from embodied.learn.vec import Experience, GymVecEnv, step
from embodied.mind.belief import DiscreteFilter
from embodied.mind.information import calibration_error, entropy_bits, negative_log_likelihood

CERTAINTY = 0.95  # posterior probability from which an observer counts as certain
CALIBRATION_BINS = 10


@dataclass(frozen=True)
class Report:
    """Measures over episodes; None where the task or the agent cannot say.

    Attributes:
        success, success_error: share of successful episodes and its standard error.
        reward, reward_error: mean return and its standard error.
        length_s: mean duration [s], None without a control rate.
        bits: mean information in the history about the hidden variable [bits].
        certain: share of episodes whose history made an ideal observer certain.
        seconds_to_certainty: when it became so, mean over those episodes [s].
        lead_s: how long before the end of the episode that was, mean over those episodes [s].
        belief_bits: information in the agent's own belief, against the prior [bits].
        calibration_error, belief_nll: of the agent's own belief at its last decision.
    """

    episodes: int
    success: float | None
    success_error: float | None
    reward: float
    reward_error: float
    length_s: float | None
    bits: float | None
    certain: float | None
    seconds_to_certainty: float | None
    lead_s: float | None
    belief_bits: float | None
    calibration_error: float | None
    belief_nll: float | None


@dataclass
class _Episodes:
    """What is kept of each finished episode."""

    reward: list[float] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    success: list[bool] = field(default_factory=list)
    entropy: list[float] = field(default_factory=list)
    certain_at: list[float] = field(default_factory=list)  # steps; infinite if never
    belief: list[NDArray] = field(default_factory=list)
    truth: list[int] = field(default_factory=list)


def evaluate(agent: Agent, env: GymVecEnv, episodes: int = 512, seed: int = 10_000) -> Report:
    """Runs at least `episodes` episodes and measures them; the same worlds for every agent.

    Each world of `env` contributes equally many episodes, so that short ones do not count more.
    """
    return _run(agent, env, -(-episodes // env.num_envs), seed)


def _run(agent: Agent, env: GymVecEnv, per_world: int, seed: int) -> Report:
    n = env.num_envs
    observer = _Observer(env)
    kept = _Episodes()
    env.seed(seed)
    obs = env.reset()
    first = np.ones(n, bool)
    carry = agent.initial(n, seed)
    shown = getattr(agent, "shown", None)  # of agents that are shown less than there is to see
    total, steps, done_so_far = np.zeros(n), np.zeros(n, int), np.zeros(n, int)
    while (done_so_far < per_world).any():
        truth = env.privileged.get("hidden")
        if hasattr(agent, "allowed"):
            agent.allowed = env.mask
        carry, action = agent.act(carry, obs, first)
        observer.see(shown(carry) if shown else obs, first)
        belief = getattr(agent, "belief", lambda _: None)(carry)
        experience, _ = step(env, action)
        total += experience.reward
        steps += ~experience.ignore
        ended = experience.ended
        if ended.any():
            if shown is None:
                observer.see_last(experience)
            counted = np.flatnonzero(ended & (done_so_far < per_world))
            _keep(kept, counted, experience, total, steps, observer, belief, truth)
            done_so_far[ended] += 1
            total[ended], steps[ended] = 0, 0
        obs, first = experience.obs, ended | experience.ignore
    return _report(kept, env, observer)


class _Observer:
    """An ideal observer of the history: the exact filter of the task's first hidden variable, if it has one."""

    def __init__(self, env: GymVecEnv) -> None:
        variables = env.hidden
        self.variable = variables[0] if variables and isinstance(variables[0], Discrete) else None
        self._log_likelihood = getattr(env.gym_env, "log_likelihood", lambda obs: None)
        self.filter = DiscreteFilter(self.variable, env.num_envs) if self.variable else None
        self.certain_at = np.full(env.num_envs, np.inf)
        self._steps = np.zeros(env.num_envs)

    def see(self, obs: NDArray, first: NDArray) -> None:
        """Takes in the observations before a decision."""
        if self.filter is None:
            return
        self.filter.begin(first)
        self.certain_at[first] = np.inf
        self._steps[first] = 0
        self._take_in(obs)

    def see_last(self, experience: Experience) -> None:
        """Takes in the observation with which an episode ended."""
        if self.filter is not None:
            self._take_in(experience.final_obs, experience.ended)

    def _take_in(self, obs: NDArray, rows: NDArray | None = None) -> None:
        evidence = self._log_likelihood(obs)
        if evidence is None:
            self.filter = None
            return
        assert self.filter is not None
        self.filter.update(evidence if rows is None else evidence * rows[:, None])
        certain = (self.filter.probabilities.max(axis=1) >= CERTAINTY) & np.isinf(self.certain_at)
        self.certain_at[certain] = self._steps[certain]
        self._steps += 1 if rows is None else 0


def _keep(
    kept: _Episodes,
    worlds: NDArray,
    experience: Experience,
    total: NDArray,
    steps: NDArray,
    observer: _Observer,
    belief: NDArray | None,
    truth: NDArray | None,
) -> None:
    kept.reward += total[worlds].tolist()
    kept.steps += steps[worlds].tolist()
    if experience.success is not None:
        kept.success += experience.success[worlds].tolist()
    if observer.filter is not None:
        kept.entropy += entropy_bits(observer.filter.probabilities[worlds]).tolist()
        kept.certain_at += observer.certain_at[worlds].tolist()
    if belief is not None and truth is not None:
        kept.belief += list(belief[worlds])
        kept.truth += truth[worlds, 0].astype(int).tolist()


def _report(kept: _Episodes, env: GymVecEnv, observer: _Observer) -> Report:
    hz = getattr(getattr(env.gym_env, "task", None), "control_hz", None)
    certain_at = np.array(kept.certain_at)
    sure = certain_at[np.isfinite(certain_at)]
    lead = np.array(kept.steps)[: len(certain_at)] - certain_at
    prior = observer.variable.entropy_bits if observer.variable else 0.0
    belief = np.array(kept.belief) if kept.belief else None
    success, success_error = _mean_and_error(kept.success)
    reward, reward_error = _mean_and_error(kept.reward)
    return Report(
        episodes=len(kept.reward),
        success=success,
        success_error=success_error,
        reward=reward or 0.0,
        reward_error=reward_error or 0.0,
        length_s=float(np.mean(kept.steps)) / hz if hz else None,
        bits=prior - float(np.mean(kept.entropy)) if kept.entropy else None,
        certain=float(np.isfinite(certain_at).mean()) if kept.entropy else None,
        seconds_to_certainty=float(sure.mean()) / hz if len(sure) and hz else None,
        lead_s=float(lead[np.isfinite(lead)].mean()) / hz if len(sure) and hz else None,
        belief_bits=None if belief is None else prior - negative_log_likelihood(belief, kept.truth) / float(np.log(2)),
        calibration_error=None if belief is None else calibration_error(belief, kept.truth, CALIBRATION_BINS),
        belief_nll=None if belief is None else negative_log_likelihood(belief, kept.truth),
    )


def _mean_and_error(values: list) -> tuple[float | None, float | None]:
    if not values:
        return None, None
    array = np.asarray(values, np.float64)
    return float(array.mean()), float(array.std(ddof=1) / np.sqrt(len(array))) if len(array) > 1 else 0.0
