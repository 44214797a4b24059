"""Acting while learning: what a policy does, sees and is worth, step by step, written down in a rollout."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import deque
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from embodied.hidden import Discrete
from embodied.learn.config import LearnerConfig
from embodied.learn.dagger import DAgger
from embodied.learn.intrinsic import PredictionError, information_gain
from embodied.learn.rollout import Rollout
from embodied.nn.belief_head import forms_of
from embodied.nn.heads import StateDependentHead
from embodied.nn.output import PolicyOutput
from embodied.nn.policy import Privilege, SequencePolicy
from embodied.nn.threads import acting_threads
from embodied.vector.experience import Experience
from embodied.vector.stable import StableVecEnv
from embodied.vector.vec import GymVecEnv, start, step

TRUSTED = 0.1  # share of a training after which a belief head is trusted to know what it knows


class RolloutCollector(OnPolicyAlgorithm):
    """The half of a learner that collects rollouts; the other half learns from them."""

    config: LearnerConfig
    env: GymVecEnv | StableVecEnv
    policy: SequencePolicy  # type: ignore[assignment]
    previous: tuple[str, ...]
    memory: Any
    generator: torch.Generator
    prediction_error: PredictionError
    belief_bits: deque[float]
    shaping_curriculum: float
    dagger: DAgger | None
    origins: dict[str, str]  # what it began with or learned from, for the card
    _privileged: Privilege
    _privileged_now: dict[str, np.ndarray]
    _stopping: bool
    _exploration: Tensor | None  # lasting noise, where it is explored with such
    _unsound: np.ndarray  # environments whose present observation holds numbers that are none

    @property
    def remembering(self) -> tuple[SequencePolicy, ...]:
        """The networks that remember while acting."""
        return (self.policy,)

    @property
    def memory_bytes(self) -> int:
        """What is remembered of one environment [bytes]."""
        remembered = [t for one in self.remembering for t in one.memories.tensors(one.initial(1)).values()]
        return sum(t.numel() * t.element_size() for t in remembered)

    @property
    def replay_bytes(self) -> int:
        """What is kept of older rollouts in the end [bytes]."""
        return 0

    @abstractmethod
    def own_tensors(self) -> dict[str, Tensor]:
        """What it learns beside its policy, by name."""

    @abstractmethod
    def begin_anew(self, reseed: bool = True) -> None:
        """Forgets the worlds, and what was remembered of them."""

    def collect_rollouts(self, env: VecEnv, callback: BaseCallback, rollout_buffer: Any, n_rollout_steps: int) -> bool:
        """Acts for `n_rollout_steps` and fills the rollout; False if a callback asks to stop."""
        with acting_threads(self.policy, self.n_envs):
            return self._collect(env, callback, rollout_buffer, n_rollout_steps)

    def _collect(self, env: VecEnv, callback: BaseCallback, rollout: Rollout, n_rollout_steps: int) -> bool:
        if self._stopping:
            self._stopping = False
            return False
        self._update_current_progress_remaining(self.num_timesteps, self._total_timesteps)
        self._prepare_imitation(rollout)
        self.policy.set_training_mode(False)
        self.memory = self.memory if self.memory is not None else self.policy.initial(self.n_envs)
        rollout.memory = self._memory_now()
        callback.on_rollout_start()
        for t in range(n_rollout_steps):
            self._renew_exploration(t)
            with torch.inference_mode(), torch.no_grad():
                action = self._act(rollout, t)
            experience, infos = step(self.env, self.policy.action_head.to_env(action), self._drops)
            experience.ignore = experience.ignore | self._unsound
            self._unsound = experience.unsound
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
            self._judge(rollout)
        callback.on_rollout_end()
        return True

    def _memory_now(self) -> Any:
        """A copy of what is remembered, as a rollout begins with it."""
        return self.policy.memories.snapshot(self.memory)

    def _judge(self, rollout: Rollout) -> Tensor:
        """Works out what the steps of a rollout were worth; returns what they earned, `(N, T)`."""
        earned = self._training_reward(rollout)
        rollout.estimate_advantages(earned, self._value_now(), self.gamma, self.gae_lambda)
        return earned

    @property
    def _drops(self) -> bool:
        return self.config.bad_numbers == "drop"

    def _act(self, rollout: Rollout, t: int) -> Tensor:
        """Reads the present observation, chooses an action and writes both down."""
        self._privileged_now = self._privileged_info()
        obs = self._rows(self._last_obs)
        first = torch.as_tensor(self._last_episode_starts, device=self.device)
        mask = self._write_mask(rollout, t)
        output, self.memory = self.policy.step(obs, first, self.memory, mask)
        own = self.policy.choose(output, rollout.imitation_only, self.generator, self._exploration)
        action = self._mix_in_expert(rollout, t, own)
        self.policy.note_action(self.memory, action)
        rollout.obs[:, t], rollout.first[:, t] = obs, first
        rollout.action[:, t] = action
        rollout.log_prob[:, t] = output.actions.log_prob(action)
        self._write_privileged(rollout, t)
        rollout.value[:, t] = self.policy.value_of(output, rollout.state[:, t], rollout.hidden[:, t])
        self._belief_now = output.belief
        if self.config.information_coef:
            rollout.belief_information[:, t] = self._belief_information(output)
        if self.policy.forward_model_head is not None:
            now = self.policy.encoder.normalized(obs)
            self.prediction_error.update_from(
                rollout, t, now, self.policy.forward_model_head(output.features, action, now)
            )
        return action

    def _mix_in_expert(self, rollout: Rollout, t: int, own: Tensor) -> Tensor:
        """Writes down what the expert would do, if there is one; returns what is done, by it or by the learner."""
        if rollout.expert_action is None:
            return own
        assert self.dagger is not None
        mask = None if rollout.mask is None else rollout.mask[:, t].cpu().numpy()
        chosen = self.dagger.expert_action(self._last_obs, np.asarray(self._last_episode_starts), mask)
        rollout.expert_action[:, t] = self.policy.action_head.from_env(chosen)
        self._write_expert_belief(rollout, t)
        controls = self.dagger.expert_controls(1 - self._current_progress_remaining).to(own.device)
        return torch.where(controls[:, None], self._disturbed(rollout.expert_action[:, t].to(own.dtype)), own)

    def _write_expert_belief(self, rollout: Rollout, t: int) -> None:
        """Writes down what the expert believes of the first hidden variable, if it says."""
        if rollout.expert_belief is None:
            return
        assert self.dagger is not None
        believed = self.dagger.expert_belief()
        if believed is None or believed.shape != rollout.expert_belief[:, t].shape:
            rollout.expert_belief = None
        else:
            rollout.expert_belief[:, t] = torch.as_tensor(believed, device=self.device)

    def _disturbed(self, action: Tensor) -> Tensor:
        """What an expert does, with noise in every other world, so that it has something to recover from."""
        assert self.dagger is not None
        if not self.dagger.noise:
            return action
        noise = torch.randn(action.shape, generator=self.generator, device=action.device)
        noise[::2] = 0
        return action + self.dagger.noise * noise

    def _prepare_imitation(self, rollout: Rollout) -> None:
        """Gives the rollout a place for expert actions as long as they count."""
        done = 1 - self._current_progress_remaining
        rollout.imitation_coef = 0.0 if self.dagger is None else self.dagger.weight(done)
        rollout.imitation_only = self.dagger is not None and self.dagger.is_active(done)
        rollout.expert_action = torch.zeros_like(rollout.action) if rollout.imitation_coef else None
        values = self.policy.belief_layout.values if rollout.imitation_coef else 0
        rollout.expert_belief = torch.zeros(*rollout.reward.shape, values, device=self.device) if values else None

    def _rows(self, obs: Any) -> Tensor:
        """Observations as rows of numbers, `(N, F)`."""
        return torch.as_tensor(self.policy.codec.rows(obs), device=self.device)

    def _renew_exploration(self, t: int) -> None:
        """Draws new exploration noise at the start of a rollout, and every `sde_sample_freq` steps."""
        head = self.policy.action_head
        every = self.sde_sample_freq if self.sde_sample_freq > 0 else self.n_steps
        if isinstance(head, StateDependentHead) and t % every == 0:
            self._exploration = head.draw_noise(self.n_envs, self.generator)

    def _write_mask(self, rollout: Rollout, t: int) -> Tensor | None:
        """Writes down which choices are allowed now."""
        if rollout.mask is None:
            return None
        rollout.mask[:, t] = torch.as_tensor(self.env.mask, device=self.device)
        return rollout.mask[:, t]

    def _training_reward(self, rollout: Rollout) -> Tensor:
        """The signal to be earned: reward, shaping and curiosity, `(N, T)`."""
        training_reward = self.config.reward_coef * rollout.reward + rollout.shaping
        if self.config.intrinsic_coef:
            training_reward = training_reward + self.config.intrinsic_coef * self.prediction_error.in_units(rollout)
        if self.config.information_coef:
            training_reward = training_reward + self._trust * self.config.information_coef * self._gain(rollout)
        return training_reward

    @property
    def _trust(self) -> float:
        """The share in which what the policy takes itself to know counts by now: at first that is worth nothing."""
        return min(1.0, (1 - self._current_progress_remaining) / TRUSTED)

    def _belief_information(self, output: PolicyOutput) -> Tensor:
        """What the policy takes itself to know of what is hidden, `(N,)` [nats]."""
        assert output.belief is not None
        return self.policy.belief_layout.information(output.belief)

    def _gain(self, rollout: Rollout) -> Tensor:
        """What was found out with each step, in the policy's own view, `(N, T)`."""
        rows = torch.arange(self.n_envs, device=self.device)
        last = self._belief_information(self._evaluate_without_memory(self._last_obs, rows))
        cut_off = rollout.truncated | rollout.ignore
        return information_gain(
            rollout.belief_information, last, rollout.terminated & ~rollout.ignore, cut_off, self.gamma
        )

    def _remember(self, rollout: Rollout, t: int, experience: Experience) -> None:
        """Writes down what the action led to, and moves on to the next observation."""
        as_tensor = lambda array: torch.as_tensor(array, device=self.device)  # noqa: E731
        bootstrapped = self._bootstrapped_failures(experience)
        rollout.reward[:, t] = as_tensor(experience.reward * (1 - bootstrapped))
        rollout.terminated[:, t] = as_tensor(experience.terminated)
        rollout.truncated[:, t] = as_tensor(experience.truncated)
        rollout.ignore[:, t] = as_tensor(experience.ignore)
        rollout.shaping[:, t] = as_tensor(self._shaping_signal(experience))
        rollout.bootstrap[:, t] = self._value_beyond(experience, bootstrapped)
        if self._belief_now is not None and (experience.ended & ~experience.void).any():
            self._count_bits(rollout.hidden[:, t], as_tensor(experience.ended & ~experience.void))
        if experience.ignore.any():  # a reset step belongs to no episode: nothing flows through it
            rollout.terminated[:, t] |= rollout.ignore[:, t]
            rollout.bootstrap[:, t] = torch.where(rollout.ignore[:, t], rollout.value[:, t], rollout.bootstrap[:, t])
        self._last_obs = experience.obs
        self._last_episode_starts = experience.ended | experience.ignore

    def _count_bits(self, hidden: Tensor, ended: Tensor) -> None:
        """Writes down how many bits about all hidden variables the policy's belief held when an episode ended."""
        assert self._belief_now is not None
        nats = self.policy.belief_layout.log_density(self._belief_now[ended], hidden[ended]).sum(-1)
        self.belief_bits.extend((self._prior_bits + nats / math.log(2)).tolist())

    def _shaping_signal(self, experience: Experience) -> np.ndarray:
        """γΦ′ − Φ (Ng, Harada & Russell 1999); Φ = 0 after a terminal step once the shaping curriculum has ended."""
        if not self._is_shaped:
            return np.zeros(self.n_envs, np.float32)
        after = experience.final_privileged["shaping"] * np.where(experience.terminated, self._curriculum_share, 1.0)
        return (self.gamma * after - self._privileged_now["shaping"]).astype(np.float32)

    def _bootstrapped_failures(self, experience: Experience) -> np.ndarray:
        """The share in which an episode that just ended in failure is treated as if it went on, `(N,)`.

        Else one learns to dare no ending at all long before an ending can succeed.
        """
        if not self._curriculum_share or experience.success is None:
            return np.zeros(self.n_envs, np.float32)
        failed = experience.terminated & ~experience.success & ~experience.ignore
        return (self._curriculum_share * failed).astype(np.float32)

    def _value_beyond(self, experience: Experience, bootstrapped: np.ndarray) -> Tensor:
        """The value of where episodes were cut off, or failed and were bootstrapped, `(N,)`; 0 elsewhere."""
        share = experience.truncated.astype(np.float32)
        if (
            self._is_shaped and self._curriculum_share
        ):  # what shaping_curriculum keeps of the last potential is no promise any more
            share *= 1 - self._curriculum_share * (experience.final_privileged["shaping"] != 0)
        share += bootstrapped
        values = torch.zeros(self.n_envs, device=self.device)
        rows = torch.as_tensor(np.flatnonzero(share), device=self.device)
        if len(rows):
            own = torch.as_tensor(share, device=self.device)[rows]
            values[rows] = own * self._value_of(experience.final_obs, experience.final_privileged, rows)
        return values

    @property
    def _is_shaped(self) -> bool:
        return self.config.shaping and "shaping" in self._privileged_now

    @property
    def _curriculum_share(self) -> float:
        """The share of an episode's last potential that counts now."""
        done = 1 - self._current_progress_remaining
        return max(0.0, 1 - done / self.shaping_curriculum) if self.shaping_curriculum else 0.0

    def _value_now(self) -> Tensor:
        """The value of the present observation, without committing it to memory, `(N,)`."""
        fresh = torch.as_tensor(self._last_episode_starts, device=self.device)
        value = self._value_of(self._last_obs, self._privileged_info(), torch.arange(self.n_envs, device=self.device))
        return value.masked_fill(fresh, 0.0)

    def _value_of(self, obs: Any, privileged: dict[str, np.ndarray], rows: Tensor) -> Tensor:
        """The value of observations in some environments, leaving the memory as it is."""
        as_rows = lambda array: torch.as_tensor(array, dtype=torch.float32, device=self.device)[rows]  # noqa: E731
        if self._privileged.state:
            hidden = as_rows(privileged.get("hidden", np.zeros((self.n_envs, 0))))
            return self.policy.evaluate_value(as_rows(privileged["state"]), hidden)
        output = self._evaluate_without_memory(obs, rows)
        assert output.value is not None
        return output.value

    def _evaluate_without_memory(self, obs: Any, rows: Tensor) -> PolicyOutput:
        """Reads observations in some environments as if episodes went on there, leaving the memory as it is."""
        memory = self.policy.memories.rows(self.memory, rows)
        goes_on = torch.zeros(len(rows), dtype=torch.bool, device=self.device)
        return self.policy.step(self._rows(obs)[rows], goes_on, memory)[0]

    def _look_for_privilege(self) -> Privilege:
        """Finds out which privileged information the environment has; resets it once."""
        assert self.env is not None
        self._last_obs, self._unsound = start(self.env, self._drops)
        self._last_episode_starts = np.ones(self.n_envs, bool)
        privileged = self._privileged_info()
        hidden = self.env.hidden
        self._prior_bits = sum(variable.entropy_bits for variable in hidden if isinstance(variable, Discrete))
        state = privileged["state"].shape[1] if "state" in privileged and self.config.privileged_critic else 0
        return Privilege(state, forms_of(hidden))

    def _privileged_info(self) -> dict[str, np.ndarray]:
        """Privileged information of the present; nothing if the environment is none of Gymnasium's dialect."""
        return self.env.privileged

    def _write_privileged(self, rollout: Rollout, t: int) -> None:
        for name, target in (("state", rollout.state), ("hidden", rollout.hidden)):
            if target.shape[-1]:
                target[:, t] = torch.as_tensor(self._privileged_now[name], device=self.device)
