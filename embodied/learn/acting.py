"""Acting while learning: what a policy does, sees and is worth, step by step, written down in a rollout."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from embodied.hidden import Discrete
from embodied.learn.belief_form import forms_of
from embodied.learn.curiosity import Surprise, information_gain
from embodied.learn.heads import StateDependentHead
from embodied.learn.lessons import Lessons
from embodied.learn.policy import Privilege, Reading, SequencePolicy
from embodied.learn.resources import acting_threads
from embodied.learn.rollout import Rollout
from embodied.learn.vec import Experience, GymVecEnv, allowed, step

TRUSTED = 0.1  # share of a training after which a belief head is trusted to know what it knows


class Acting(OnPolicyAlgorithm):
    """The half of `SequencePPO` that collects rollouts; the other half learns from them."""

    policy: SequencePolicy  # type: ignore[assignment]
    memory: Any
    generator: torch.Generator
    surprise: Surprise
    belief_bits: deque[float]
    shaping: bool
    guidance: float
    reward_coef: float
    curiosity_coef: float
    information_coef: float
    privileged_critic: bool
    lessons: Lessons | None
    _privileged: Privilege
    _privileged_now: dict[str, np.ndarray]
    _stopping: bool

    def collect_rollouts(self, env, callback: BaseCallback, rollout_buffer: Any, n_rollout_steps: int) -> bool:
        """Acts for `n_rollout_steps` and fills the rollout; False if a callback asks to stop."""
        with acting_threads(self.policy, self.n_envs):
            return self._collect(env, callback, rollout_buffer, n_rollout_steps)

    def _collect(self, env: VecEnv, callback: BaseCallback, rollout: Rollout, n_rollout_steps: int) -> bool:
        if self._stopping:
            self._stopping = False
            return False
        self._update_current_progress_remaining(self.num_timesteps, self._total_timesteps)
        self._go_to_school(rollout)
        self.policy.set_training_mode(False)
        self.memory = self.memory if self.memory is not None else self.policy.initial(self.n_envs)
        rollout.memory = self.policy.core.snapshot(self.memory)
        callback.on_rollout_start()
        for t in range(n_rollout_steps):
            self._renew_exploration(t)
            with torch.inference_mode(), torch.no_grad():
                action = self._act(rollout, t)
            experience, infos = step(env, self.policy.action_head.to_env(action))
            rewards, dones = experience.reward, experience.ended
            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            goes_on = callback.on_step()
            self._update_info_buffer(infos, dones)
            with torch.inference_mode():
                self._remember(rollout, t, experience)
            if not goes_on:
                return False
        with torch.inference_mode():
            rollout.estimate_advantages(self._wanted(rollout), self._value_now(), self.gamma, self.gae_lambda)
        callback.on_rollout_end()
        return True

    def _act(self, rollout: Rollout, t: int) -> Tensor:
        """Reads the present observation, chooses an action and writes both down."""
        self._privileged_now = self._told()
        obs = self._rows(self._last_obs)
        first = torch.as_tensor(self._last_episode_starts, device=self.device)
        mask = self._write_mask(rollout, t)
        reading, self.memory = self.policy.step(obs, first, self.memory, mask)
        action = self._taught(rollout, t, self.policy.choose(reading, deterministic=False, generator=self.generator))
        rollout.obs[:, t], rollout.first[:, t] = obs, first
        rollout.action[:, t] = action
        rollout.log_prob[:, t] = reading.actions.log_prob(action)
        self._write_privileged(rollout, t)
        rollout.value[:, t] = self.policy.value_of(reading, rollout.state[:, t], rollout.hidden[:, t])
        self._belief_now = reading.belief
        if self.information_coef:
            rollout.known[:, t] = self._known(reading)
        if self.policy.forecast_head is not None:
            now = self.policy.encoder.normalised(obs)
            self.surprise.see(rollout, t, now, self.policy.forecast_head(reading.features, action, now))
        return action

    def _taught(self, rollout: Rollout, t: int, own: Tensor) -> Tensor:
        """Writes down what the teacher would do, if there is one; returns what is done, by it or by the learner."""
        if rollout.lesson is None:
            return own
        assert self.lessons is not None
        mask = None if rollout.mask is None else rollout.mask[:, t].cpu().numpy()
        said = self.lessons.say(self._last_obs, np.asarray(self._last_episode_starts), mask)
        rollout.lesson[:, t] = self.policy.action_head.from_env(said)
        hands = self.lessons.hands(1 - self._current_progress_remaining).to(own.device)
        return torch.where(hands[:, None], rollout.lesson[:, t].to(own.dtype), own)

    def _go_to_school(self, rollout: Rollout) -> None:
        """Gives the rollout a place for what a teacher says as long as that counts."""
        done = 1 - self._current_progress_remaining
        rollout.imitation = 0.0 if self.lessons is None else self.lessons.weight(done)
        rollout.taught = self.lessons is not None and self.lessons.last(done)
        rollout.lesson = torch.zeros_like(rollout.action) if rollout.imitation else None

    def _rows(self, obs: Any) -> Tensor:
        """Observations as rows of numbers, `(N, F)`."""
        return torch.as_tensor(self.policy.codec.rows(obs), device=self.device)

    def _renew_exploration(self, t: int) -> None:
        """Draws new exploration noise at the start of a rollout, and every `sde_sample_freq` steps."""
        head = self.policy.action_head
        every = self.sde_sample_freq if self.sde_sample_freq > 0 else self.n_steps
        if isinstance(head, StateDependentHead) and t % every == 0:
            head.resample(self.n_envs, self.generator)

    def _write_mask(self, rollout: Rollout, t: int) -> Tensor | None:
        """Writes down which choices are allowed now."""
        if rollout.mask is None:
            return None
        rollout.mask[:, t] = torch.as_tensor(allowed(self.env), device=self.device)  # type: ignore[arg-type]
        return rollout.mask[:, t]

    def _wanted(self, rollout: Rollout) -> Tensor:
        """The signal to be earned: reward, shaping and curiosity, `(N, T)`."""
        wanted = self.reward_coef * rollout.reward + rollout.shaping
        if self.curiosity_coef:
            wanted = wanted + self.curiosity_coef * self.surprise.in_units(rollout)
        if self.information_coef:
            wanted = wanted + self._trust * self.information_coef * self._gain(rollout)
        return wanted

    @property
    def _trust(self) -> float:
        """The share in which what the policy takes itself to know counts by now: at first that is worth nothing."""
        return min(1.0, (1 - self._current_progress_remaining) / TRUSTED)

    def _known(self, reading: Reading) -> Tensor:
        """What the policy takes itself to know of what is hidden, `(N,)` [nats]."""
        assert reading.belief is not None
        return self.policy.belief_form.information(reading.belief)

    def _gain(self, rollout: Rollout) -> Tensor:
        """What was found out with each step, in the policy's own view, `(N, T)`."""
        rows = torch.arange(self.n_envs, device=self.device)
        last = self._known(self._glance(self._last_obs, rows))
        cut_off = rollout.truncated | rollout.ignore
        return information_gain(rollout.known, last, rollout.terminated & ~rollout.ignore, cut_off, self.gamma)

    def _remember(self, rollout: Rollout, t: int, experience: Experience) -> None:
        """Writes down what the action led to, and moves on to the next observation."""
        as_tensor = lambda array: torch.as_tensor(array, device=self.device)  # noqa: E731
        forgiven = self._forgiven(experience)
        rollout.reward[:, t] = as_tensor(experience.reward * (1 - forgiven))
        rollout.terminated[:, t] = as_tensor(experience.terminated)
        rollout.truncated[:, t] = as_tensor(experience.truncated)
        rollout.ignore[:, t] = as_tensor(experience.ignore)
        rollout.shaping[:, t] = as_tensor(self._shaping_signal(experience))
        rollout.bootstrap[:, t] = self._value_beyond(experience, forgiven)
        if self._belief_now is not None and experience.ended.any():
            self._count_bits(rollout.hidden[:, t], as_tensor(experience.ended))
        if experience.ignore.any():  # a reset step belongs to no episode: nothing flows through it
            rollout.terminated[:, t] |= rollout.ignore[:, t]
            rollout.bootstrap[:, t] = torch.where(rollout.ignore[:, t], rollout.value[:, t], rollout.bootstrap[:, t])
        self._last_obs = experience.obs
        self._last_episode_starts = experience.ended | experience.ignore

    def _count_bits(self, hidden: Tensor, ended: Tensor) -> None:
        """Writes down how many bits about all hidden variables the policy's belief held when an episode ended."""
        assert self._belief_now is not None
        nats = self.policy.belief_form.log_density(self._belief_now[ended], hidden[ended]).sum(-1)
        self.belief_bits.extend((self._prior_bits + nats / math.log(2)).tolist())

    def _shaping_signal(self, experience: Experience) -> np.ndarray:
        """γΦ′ − Φ, with Φ = 0 after a terminal step (Ng, Harada & Russell 1999), but for what guidance keeps of it."""
        if not self._is_shaped:
            return np.zeros(self.n_envs, np.float32)
        after = experience.final_privileged["shaping"] * np.where(experience.terminated, self._kept, 1.0)
        return (self.gamma * after - self._privileged_now["shaping"]).astype(np.float32)

    def _forgiven(self, experience: Experience) -> np.ndarray:
        """The share in which an episode that just ended in failure is treated as if it went on, `(N,)`.

        Else one learns to dare no ending at all long before an ending can succeed.
        """
        if not self._kept or experience.success is None:
            return np.zeros(self.n_envs, np.float32)
        failed = experience.terminated & ~experience.success & ~experience.ignore
        return (self._kept * failed).astype(np.float32)

    def _value_beyond(self, experience: Experience, forgiven: np.ndarray) -> Tensor:
        """The value of where episodes were cut off, or failed and were forgiven, `(N,)`; 0 elsewhere."""
        share = experience.truncated.astype(np.float32)
        if self._is_shaped and self._kept:  # what guidance keeps of the last potential is no promise any more
            share *= 1 - self._kept * (experience.final_privileged["shaping"] != 0)
        share += forgiven
        values = torch.zeros(self.n_envs, device=self.device)
        rows = torch.as_tensor(np.flatnonzero(share), device=self.device)
        if len(rows):
            own = torch.as_tensor(share, device=self.device)[rows]
            values[rows] = own * self._peek(experience.final_obs, experience.final_privileged, rows)
        return values

    @property
    def _is_shaped(self) -> bool:
        return self.shaping and "shaping" in self._privileged_now

    @property
    def _kept(self) -> float:
        """The share of an episode's last potential that counts now."""
        done = 1 - self._current_progress_remaining
        return max(0.0, 1 - done / self.guidance) if self.guidance else 0.0

    def _value_now(self) -> Tensor:
        """The value of the present observation, without committing it to memory, `(N,)`."""
        fresh = torch.as_tensor(self._last_episode_starts, device=self.device)
        value = self._peek(self._last_obs, self._told(), torch.arange(self.n_envs, device=self.device))
        return value.masked_fill(fresh, 0.0)

    def _peek(self, obs: Any, privileged: dict[str, np.ndarray], rows: Tensor) -> Tensor:
        """The value of observations in some environments, leaving the memory as it is."""
        as_rows = lambda array: torch.as_tensor(array, dtype=torch.float32, device=self.device)[rows]  # noqa: E731
        if self._privileged.state:
            hidden = as_rows(privileged.get("hidden", np.zeros((self.n_envs, 0))))
            return self.policy.judge(as_rows(privileged["state"]), hidden)
        reading = self._glance(obs, rows)
        assert reading.value is not None
        return reading.value

    def _glance(self, obs: Any, rows: Tensor) -> Reading:
        """Reads observations in some environments as if episodes went on there, leaving the memory as it is."""
        memory = self.policy.core.rows(self.memory, rows)
        goes_on = torch.zeros(len(rows), dtype=torch.bool, device=self.device)
        return self.policy.step(self._rows(obs)[rows], goes_on, memory)[0]

    def _look_for_privilege(self) -> Privilege:
        """Finds out what the environment tells beyond observations; resets it once."""
        assert self.env is not None
        self._last_obs = self.env.reset()  # type: ignore[assignment]
        self._last_episode_starts = np.ones(self.n_envs, bool)
        privileged = self._told()
        hidden = self.env.hidden if isinstance(self.env, GymVecEnv) else ()
        self._prior_bits = sum(variable.entropy_bits for variable in hidden if isinstance(variable, Discrete))
        state = privileged["state"].shape[1] if "state" in privileged and self.privileged_critic else 0
        return Privilege(state, forms_of(hidden))

    def _told(self) -> dict[str, np.ndarray]:
        """What the environment now tells beyond its observations; nothing if it is none of Gymnasium's dialect."""
        return self.env.privileged if isinstance(self.env, GymVecEnv) else {}

    def _write_privileged(self, rollout: Rollout, t: int) -> None:
        for name, target in (("state", rollout.state), ("hidden", rollout.hidden)):
            if target.shape[-1]:
                target[:, t] = torch.as_tensor(self._privileged_now[name], device=self.device)
