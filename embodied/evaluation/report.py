"""Success, return, information gathered and calibration of an agent.

Information is measured on the history of observations by the task's exact filter, not on what an agent claims. The
calibration of an agent's own belief, where it has one, is measured separately, at its last decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from embodied.agent import Agent
from embodied.evaluation.loop import run
from embodied.evaluation.observers import HistoryBelief, LastBelief, Returns
from embodied.mind.information import calibration_error, negative_log_likelihood
from embodied.vector.vec import as_vec_env

CALIBRATION_BINS = 10


@dataclass(frozen=True)
class Report:
    """Measures over episodes; None where the task or the agent cannot say.

    Attributes:
        episodes: how many count; void: how many do not, as their physics failed.
        success, success_error: share of successful episodes and its standard error.
        reward, reward_error: mean return and its standard error.
        length_s: mean duration [s], None without a control rate.
        information_bits: mutual information of history and hidden variable, mean over episodes [bits].
        certain: share of episodes in which the exact posterior reached 95 %.
        time_to_certainty_s: time to that 95 % posterior, mean over those episodes [s].
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
    information_bits: float | None
    certain: float | None
    time_to_certainty_s: float | None
    lead_s: float | None
    belief_bits: float | None
    calibration_error: float | None
    belief_nll: float | None
    void: int = 0


def evaluate(agent: Agent, env: Any, episodes: int = 512, seed: int = 10_000) -> Report:
    """Runs at least `episodes` episodes and measures them; the same worlds for every agent.

    Each world of `env` contributes equally many episodes, so that short ones do not count more. An episode whose
    physics failed is void, and another one is played in its place.

    Args:
        env: an environment of either vector dialect, a single `gymnasium.Env`, or an id.
    """
    env = as_vec_env(env)
    returns, history, own = Returns(), HistoryBelief(agent), LastBelief(agent)
    run(agent, env, seed, (returns, history, own), -(-episodes // env.num_envs))
    task = getattr(getattr(env, "gym_env", None), "task", None)
    return _report(returns, history, own, getattr(task, "control_hz", None))


def _report(returns: Returns, history: HistoryBelief, own: LastBelief, hz: float | None) -> Report:
    certain_at = np.array(history.certain_at)
    sure = certain_at[np.isfinite(certain_at)]
    lead = np.array(returns.steps)[: len(certain_at)] - certain_at
    prior = history.variable.entropy_bits if history.variable else 0.0
    belief = np.array(own.belief) if own.belief else None
    success, success_error = _mean_and_error(returns.success)
    reward, reward_error = _mean_and_error(returns.reward)
    return Report(
        episodes=len(returns.reward),
        success=success,
        success_error=success_error,
        reward=reward or 0.0,
        reward_error=reward_error or 0.0,
        length_s=float(np.mean(returns.steps)) / hz if hz else None,
        information_bits=prior - float(np.mean(history.entropy)) if history.entropy else None,
        certain=float(np.isfinite(certain_at).mean()) if history.entropy else None,
        time_to_certainty_s=float(sure.mean()) / hz if len(sure) and hz else None,
        lead_s=float(lead[np.isfinite(lead)].mean()) / hz if len(sure) and hz else None,
        belief_bits=None if belief is None else prior - negative_log_likelihood(belief, own.truth) / float(np.log(2)),
        calibration_error=None if belief is None else calibration_error(belief, own.truth, CALIBRATION_BINS),
        belief_nll=None if belief is None else negative_log_likelihood(belief, own.truth),
        void=returns.void,
    )


def _mean_and_error(values: list) -> tuple[float | None, float | None]:
    if not values:
        return None, None
    array = np.asarray(values, np.float64)
    return float(array.mean()), float(array.std(ddof=1) / np.sqrt(len(array))) if len(array) > 1 else 0.0
