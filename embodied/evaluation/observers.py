"""Observers of the act-step loop: what they keep of each episode."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodied.agent import OccludedAgent, belief_of
from embodied.evaluation.loop import Decision, Observer
from embodied.hidden import Discrete
from embodied.mind.belief import DiscreteFilter
from embodied.mind.information import entropy_bits
from embodied.vector.experience import Experience
from embodied.vector.previous_action import without_previous
from embodied.vector.vec import VecEnv

CERTAINTY = 0.95  # posterior probability from which an observer counts as certain


class Returns(Observer):
    """Return, length [steps] and success of each episode; no success where the environment does not say.

    `void` counts the episodes whose physics failed, which are none of them.
    """

    def __init__(self) -> None:
        self.reward: list[float] = []
        self.steps: list[int] = []
        self.success: list[bool] = []
        self.void = 0

    def on_start(self, env: VecEnv) -> None:
        self._total, self._steps = np.zeros(env.num_envs), np.zeros(env.num_envs, int)

    def on_step(self, decision: Decision, experience: Experience) -> None:
        self._total[decision.first], self._steps[decision.first] = 0, 0
        self._total += experience.reward
        self._steps += ~experience.ignore
        self.void += int(experience.void.sum())

    def on_end(self, worlds: NDArray[np.intp], decision: Decision, experience: Experience) -> None:
        returns, lengths = experience.counted(self._total, self._steps)
        self.reward += returns[worlds].tolist()
        self.steps += lengths[worlds].astype(int).tolist()
        if experience.success is not None:
            self.success += experience.success[worlds].tolist()


class HistoryBelief(Observer):
    """An ideal observer of the history: the exact filter of the task's first hidden variable, if it has one.

    Args:
        agent: what it was shown counts, where it is shown less than there is (`OccludedAgent`).

    Attributes:
        entropy: of the posterior at the end of each episode [bits].
        certain_at: number of decisions after which the posterior was certain; infinite if it never was.
    """

    def __init__(self, agent: Any) -> None:
        self._agent = agent if isinstance(agent, OccludedAgent) else None
        self.variable: Discrete | None = None
        self.entropy: list[float] = []
        self.certain_at: list[float] = []

    def on_start(self, env: VecEnv) -> None:
        variables = getattr(env, "hidden", ())
        self.variable = variables[0] if variables and isinstance(variables[0], Discrete) else None
        self._log_likelihood = getattr(getattr(env, "gym_env", None), "log_likelihood", lambda obs: None)
        self.filter = DiscreteFilter(self.variable, env.num_envs) if self.variable else None
        self._certain_at = np.full(env.num_envs, np.inf)
        self._steps = np.zeros(env.num_envs)

    def on_decision(self, decision: Decision) -> None:
        if self.filter is None:
            return
        first = decision.first
        self.filter.begin(first)
        self._certain_at[first], self._steps[first] = np.inf, 0
        self._update(decision.obs if self._agent is None else self._agent.shown(decision.carry))

    def on_step(self, decision: Decision, experience: Experience) -> None:
        if self._agent is None and self.filter is not None and experience.ended.any():
            self._update(experience.final_obs, experience.ended)

    def on_end(self, worlds: NDArray[np.intp], decision: Decision, experience: Experience) -> None:
        if self.filter is not None:
            self.entropy += entropy_bits(self.filter.probabilities[worlds]).tolist()
            self.certain_at += self._certain_at[worlds].tolist()

    def _update(self, obs: NDArray, worlds: NDArray | None = None) -> None:
        evidence = self._log_likelihood(without_previous(obs))
        if evidence is None:
            self.filter = None
            return
        assert self.filter is not None
        self.filter.update(evidence if worlds is None else evidence * worlds[:, None])
        certain = (self.filter.probabilities.max(axis=1) >= CERTAINTY) & np.isinf(self._certain_at)
        self._certain_at[certain] = self._steps[certain]
        self._steps += 1 if worlds is None else 0


class LastBelief(Observer):
    """An agent's own belief at the last decision of each episode, `(k,)`, and the hidden value, if it has a belief."""

    def __init__(self, agent: Any) -> None:
        self._agent = agent
        self.belief: list[NDArray] = []
        self.truth: list[int] = []

    def on_end(self, worlds: NDArray[np.intp], decision: Decision, experience: Experience) -> None:
        belief, truth = belief_of(self._agent, decision.carry), decision.privileged.get("hidden")
        if belief is not None and truth is not None:
            self.belief += list(belief[worlds])
            self.truth += truth[worlds, 0].astype(int).tolist()


class Endings(Observer):
    """How each episode ended: its success, and the values of what was hidden at the end, `(k,)`."""

    def __init__(self) -> None:
        self.success: list[bool] = []
        self.hidden: list[NDArray] = []

    def on_end(self, worlds: NDArray[np.intp], decision: Decision, experience: Experience) -> None:
        assert experience.success is not None
        self.success += experience.success[worlds].tolist()
        self.hidden += list(experience.final_privileged["hidden"][worlds])
