"""Proximal policy optimisation for policies that remember (Schulman et al. 2017), on Stable-Baselines3.

A rollout's steps are read in sequence, starting from the very memory that acting had, so that what acting saw
is what training sees.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from embodied.errors import OptionError
from embodied.hidden import Discrete
from embodied.learn.checkpoint import check_spaces, read_card
from embodied.learn.curiosity import Surprise
from embodied.learn.heads import StateDependentHead
from embodied.learn.losses import Losses, ppo_losses
from embodied.learn.policy import Privilege, SequencePolicy, load_policy
from embodied.learn.resources import acting_threads
from embodied.learn.rollout import Rollout
from embodied.learn.saving import resume_trainer, save_trainer, saved_settings
from embodied.learn.vec import Experience, GymVecEnv, allowed, as_vec_env, describe_env, step

WORLDS_PER_SEED = 1_000_003  # so that runs of neighbouring seeds share no world


class SequencePPO(OnPolicyAlgorithm):
    """Trains a `SequencePolicy` on any Gymnasium environment.

    Observations may be Box (pictures too), Discrete, MultiDiscrete, MultiBinary, and Dict or Tuple of these; actions
    Box, Discrete or MultiDiscrete. Choices that `info["action_mask"]`, an observation `action_mask` or a method
    `action_masks()` forbids are never taken.

    Args:
        policy: class of the policy, built with `policy_kwargs`; or a policy, whose weights are the start.
        env: an id, an `Env`, a Gymnasium `VectorEnv` or a Stable-Baselines3 `VecEnv`.
        n_envs: number of environments when `env` is an id.
        n_steps: steps per environment and rollout.
        minibatches: minibatches per epoch; each holds whole sequences of n_envs / minibatches environments.
        privileged_critic: let the critic see `info["state"]` and `info["hidden"]` where the environment has
            them. The policy never does.
        belief_coef: weight of the loss of the belief head, which predicts the discrete hidden variable.
        shaping: add the potential-based signal that the environment offers; without guidance, and once that has ended,
            it leaves the optimum unchanged.
        guidance: share of the training during which the potential at which an episode ends counts as well, less and
            less. A critic soon knows the potential, and then shaping that gives all of it back at the end says no more
            (Wiewiora 2003); what is kept goes on to say where progress lies, and in the end nothing is kept.
        recall: observe "action" and "reward" of the step before, too.
        target_kl: end an update when the policy has moved further than one and a half times this.
        use_sde: explore with noise that depends on the state, drawn anew every `sde_sample_freq` steps (−1: once per
            rollout).
        forecast_coef: weight of the loss of predicting the next observation; 0 for no such head.
        curiosity_coef: reward, in units of its own spread, for how wrong that prediction was.
        reward_coef: weight of the environment's reward; 0 for learning from curiosity or forecasts alone.
        bfloat16: let encoder and core calculate in bfloat16; worth it on a GPU.
        compile: let `torch.compile` fuse the reading of sequences; needs a minute and a C++ compiler (GPU: Triton).

    Raises:
        OptionError: settings that do not fit each other.
        UnknownNameError: no environment of that id.
    """

    policy: SequencePolicy  # type: ignore[assignment]

    def __init__(
        self,
        policy: type[SequencePolicy] | SequencePolicy,
        env: Any,
        learning_rate: Any = 5e-4,
        n_envs: int | None = None,
        n_steps: int = 64,
        minibatches: int = 16,
        n_epochs: int = 4,
        gamma: float = 0.99,
        gae_lambda: float = 0.95,
        clip_range: float = 0.2,
        ent_coef: float = 0.0,
        vf_coef: float = 0.5,
        belief_coef: float = 0.1,
        forecast_coef: float = 0.0,
        curiosity_coef: float = 0.0,
        reward_coef: float = 1.0,
        target_kl: float | None = None,
        recall: tuple[str, ...] = (),
        use_sde: bool = False,
        sde_sample_freq: int = -1,
        max_grad_norm: float = 0.5,
        privileged_critic: bool = True,
        shaping: bool = True,
        guidance: float = 0.0,
        bfloat16: bool = False,
        compile: bool = False,
        stats_window_size: int = 512,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: torch.device | str = "auto",
        _init_setup_model: bool = True,
    ) -> None:
        self.minibatches = minibatches
        self.n_epochs = n_epochs
        self.clip_range = clip_range
        self.belief_coef = belief_coef
        self.privileged_critic = privileged_critic
        self.shaping, self.guidance = shaping, guidance
        self.forecast_coef, self.curiosity_coef, self.reward_coef = forecast_coef, curiosity_coef, reward_coef
        self.target_kl, self.recall = target_kl, tuple(recall)
        self.bfloat16, self.compile = bfloat16, compile
        self._start: SequencePolicy | None = None
        if isinstance(policy, SequencePolicy):
            self._start, policy_kwargs = policy, policy.settings() | (policy_kwargs or {})
            policy = type(policy)
        super().__init__(
            policy=policy,  # type: ignore[arg-type]
            env=as_vec_env(env, n_envs, self.recall),
            learning_rate=learning_rate,
            n_steps=n_steps,
            gamma=gamma,
            gae_lambda=gae_lambda,
            ent_coef=ent_coef,
            vf_coef=vf_coef,
            max_grad_norm=max_grad_norm,
            use_sde=use_sde,
            sde_sample_freq=sde_sample_freq,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            policy_kwargs=policy_kwargs,
            verbose=verbose,
            seed=seed,
            device=device,
            _init_setup_model=False,
            supported_action_spaces=(spaces.Box, spaces.Discrete, spaces.MultiDiscrete),
        )
        if minibatches < 1 or n_epochs < 1 or n_steps < 1:
            raise OptionError("minibatches, n_epochs and n_steps must be at least 1")
        if curiosity_coef and (not forecast_coef or n_steps < 2):
            raise OptionError(
                "curiosity is about forecasts: give forecast_coef (--forecast), too, and at least 2 n_steps"
            )
        if _init_setup_model:
            self._setup_model()

    # --- Stable-Baselines3's verbs -------------------------------------------------------------------------

    @staticmethod
    def _wrap_env(env: Any, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:
        """Takes the environment as it is: episodes are counted, and pictures turned, elsewhere."""
        return env

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        if self.seed is not None and self.env is not None:
            self.env.seed(self.seed * WORLDS_PER_SEED % 2**31)
        self.generator = torch.Generator(self.device)
        self.generator.manual_seed(int(np.random.SeedSequence(self.seed).generate_state(1)[0]))
        self._privileged = self._look_for_privilege()
        self.belief_bits: deque[float] = deque(maxlen=self._stats_window_size)
        self.policy = self.policy_class(  # type: ignore[assignment]
            self.observation_space,
            self.action_space,
            self.lr_schedule,
            privilege=self._privileged,
            use_sde=self.use_sde,
            forecasts=bool(self.forecast_coef),
            **self.policy_kwargs,
        ).to(self.device)
        if self._start is not None:
            self.policy.adopt(self._start)
        self.policy.half_precision = self.bfloat16
        if self.compile:
            self.policy.core.sequence = torch.compile(self.policy.core.sequence)  # type: ignore[method-assign]
        self._weights = list(self.policy.parameters())
        self.policy.optimizer = torch.optim.Adam(self._weights, self.lr_schedule(1), eps=1e-5, fused=True)
        self.rollout_buffer = Rollout.empty(  # type: ignore[assignment]
            self.n_envs,
            self.n_steps,
            self.policy.codec.size,
            self.policy.action_head.size,
            self._privileged.state,
            len(self._privileged.hidden),
            0 if allowed(self.env) is None else self.policy.action_head.mask_size,  # type: ignore[arg-type]
            self.device,
        )
        self.memory: Any = None
        self.surprise = Surprise().to(self.device)
        self._stopping = False
        self._privileged_now: dict[str, np.ndarray] = {}

    def collect_rollouts(self, env, callback: BaseCallback, rollout_buffer: Any, n_rollout_steps: int) -> bool:
        """Acts for `n_rollout_steps` and fills the rollout; False if a callback asks to stop."""
        with acting_threads(self.policy, self.n_envs):
            return self._collect(env, callback, rollout_buffer, n_rollout_steps)

    def _collect(self, env: VecEnv, callback: BaseCallback, rollout: Rollout, n_rollout_steps: int) -> bool:
        if self._stopping:
            self._stopping = False
            return False
        self._update_current_progress_remaining(self.num_timesteps, self._total_timesteps)
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

    def train(self) -> None:
        """Improves the policy on the rollout: epochs of minibatches of whole sequences."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        rollout: Rollout = self.rollout_buffer  # type: ignore[assignment]
        self.policy.return_scale.update(rollout.returns)
        _, self._return_spread = self.policy.return_scale.mean_and_spread
        history = []
        for _ in range(self.n_epochs):
            for rows in rollout.minibatches(self.minibatches, self.generator):
                losses = ppo_losses(self.policy, rollout, rows, self.clip_range, self._return_spread)
                self._descend(losses)
                history.append(losses)
            self._n_updates += 1
            if self.target_kl is not None and history[-1].approx_kl > 1.5 * self.target_kl:
                break
        self._report(rollout, history)

    def save(self, path: str | Path, exclude: Any = None, include: Any = None) -> None:  # type: ignore[override]
        """Writes policy and trainer into the folder `path`, as safetensors and JSON."""
        save_trainer(self, Path(path))

    @classmethod
    def load(cls, path: str | Path, env: Any = None, device: Any = "auto", **kwargs: Any) -> SequencePPO:  # type: ignore[override]
        """Builds a trainer that goes on where the saved one stopped, with its settings unless `kwargs` has others.

        The learning rate, which may be a function, is not saved: the default holds unless it is given.

        Raises:
            CheckpointError: the folder is incomplete or damaged, or was saved for another environment.
        """
        folder = Path(path)
        saved, card = load_policy(folder), read_card(folder)
        target = card["env"]["id"] if env is None else env
        options = card["env"]["options"] if env is None else {}
        settings = saved_settings(folder) | kwargs
        recall = tuple(settings.pop("recall"))
        n_envs = settings.pop("n_envs", None) if isinstance(target, str) else None
        vec = as_vec_env(target, n_envs, recall, **options)
        check_spaces(card, vec.observation_space, vec.action_space, describe_env(vec)["id"])
        model = cls(type(saved), vec, policy_kwargs=saved.settings(), device=device, **settings)
        model.recall = recall
        model.resume(folder)
        return model

    def resume(self, folder: Path) -> None:
        """Takes weights, optimiser and counters from a folder that `save` wrote, and the worlds if they are there.

        Raises:
            CheckpointError: the folder is incomplete or damaged, or its network is another one.
        """
        resume_trainer(self, folder)

    def stop(self) -> None:
        """Ends `learn` before the next rollout, where it can be resumed as if it had never stopped."""
        self._stopping = True

    # --- acting --------------------------------------------------------------------------------------------

    def _act(self, rollout: Rollout, t: int) -> Tensor:
        """Reads the present observation, chooses an action and writes both down."""
        self._privileged_now = self._told()
        obs = self._rows(self._last_obs)
        first = torch.as_tensor(self._last_episode_starts, device=self.device)
        mask = self._write_mask(rollout, t)
        reading, self.memory = self.policy.step(obs, first, self.memory, mask)
        action = self.policy.choose(reading, deterministic=False, generator=self.generator)
        rollout.obs[:, t], rollout.first[:, t] = obs, first
        rollout.action[:, t] = action
        rollout.log_prob[:, t] = reading.actions.log_prob(action)
        self._write_privileged(rollout, t)
        rollout.value[:, t] = self.policy.value_of(reading, rollout.state[:, t], rollout.hidden[:, t])
        self._belief_now = self.policy.belief(reading)
        if self.policy.forecast_head is not None:
            now = self.policy.encoder.normalised(obs)
            self.surprise.see(rollout, t, now, self.policy.forecast_head(reading.features, action, now))
        return action

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
        return wanted

    def _remember(self, rollout: Rollout, t: int, experience: Experience) -> None:
        """Writes down what the action led to, and moves on to the next observation."""
        as_tensor = lambda array: torch.as_tensor(array, device=self.device)  # noqa: E731
        rollout.reward[:, t] = as_tensor(experience.reward)
        rollout.terminated[:, t] = as_tensor(experience.terminated)
        rollout.truncated[:, t] = as_tensor(experience.truncated)
        rollout.ignore[:, t] = as_tensor(experience.ignore)
        rollout.shaping[:, t] = as_tensor(self._shaping_signal(experience))
        rollout.bootstrap[:, t] = self._value_of_truncated(experience)
        if self._belief_now is not None and experience.ended.any():
            self._count_bits(rollout.hidden[:, t], as_tensor(experience.ended))
        if experience.ignore.any():  # a reset step belongs to no episode: nothing flows through it
            rollout.terminated[:, t] |= rollout.ignore[:, t]
            rollout.bootstrap[:, t] = torch.where(rollout.ignore[:, t], rollout.value[:, t], rollout.bootstrap[:, t])
        self._last_obs = experience.obs
        self._last_episode_starts = experience.ended | experience.ignore

    def _count_bits(self, hidden: Tensor, ended: Tensor) -> None:
        """Writes down how many bits the policy's belief held when an episode ended."""
        assert self._belief_now is not None
        of_truth = self._belief_now[ended].gather(1, hidden[ended, :1].long()).squeeze(1)
        self.belief_bits.extend((self._prior_bits + of_truth.clamp(min=1e-6).log2()).tolist())

    def _shaping_signal(self, experience: Experience) -> np.ndarray:
        """γΦ′ − Φ, with Φ = 0 after a terminal step (Ng, Harada & Russell 1999), but for what guidance keeps of it."""
        if not self._is_shaped:
            return np.zeros(self.n_envs, np.float32)
        after = experience.final_privileged["shaping"] * np.where(experience.terminated, self._kept, 1.0)
        return (self.gamma * after - self._privileged_now["shaping"]).astype(np.float32)

    def _value_of_truncated(self, experience: Experience) -> Tensor:
        """The value of where truncated episodes were cut off, `(N,)`; 0 elsewhere."""
        values = torch.zeros(self.n_envs, device=self.device)
        rows = torch.as_tensor(np.flatnonzero(experience.truncated), device=self.device)
        if len(rows):
            values[rows] = self._peek(experience.final_obs, experience.final_privileged, rows)
        if not self._is_shaped or not self._kept:
            return values
        guided = torch.as_tensor(experience.final_privileged["shaping"] != 0, device=self.device)
        return values * (1 - self._kept * guided)

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
        memory = self.policy.core.rows(self.memory, rows)
        goes_on = torch.zeros(len(rows), dtype=torch.bool, device=self.device)
        reading, _ = self.policy.step(self._rows(obs)[rows], goes_on, memory)
        assert reading.value is not None
        return reading.value

    # --- privilege -----------------------------------------------------------------------------------------

    def _look_for_privilege(self) -> Privilege:
        """Finds out what the environment tells beyond observations; resets it once."""
        assert self.env is not None
        self._last_obs = self.env.reset()  # type: ignore[assignment]
        self._last_episode_starts = np.ones(self.n_envs, bool)
        privileged = self._told()
        hidden = self.env.hidden if isinstance(self.env, GymVecEnv) else ()
        self._prior_bits = hidden[0].entropy_bits if hidden and isinstance(hidden[0], Discrete) else 0.0
        values = tuple(len(variable.labels) if isinstance(variable, Discrete) else 0 for variable in hidden)
        state = privileged["state"].shape[1] if "state" in privileged and self.privileged_critic else 0
        return Privilege(state, values)

    def _told(self) -> dict[str, np.ndarray]:
        """What the environment now tells beyond its observations; nothing if it is none of Gymnasium's dialect."""
        return self.env.privileged if isinstance(self.env, GymVecEnv) else {}

    def _write_privileged(self, rollout: Rollout, t: int) -> None:
        for name, target in (("state", rollout.state), ("hidden", rollout.hidden)):
            if target.shape[-1]:
                target[:, t] = torch.as_tensor(self._privileged_now[name], device=self.device)

    # --- learning ------------------------------------------------------------------------------------------

    def _descend(self, losses: Losses) -> None:
        self.policy.optimizer.zero_grad(set_to_none=True)
        loss = losses.total(self.vf_coef, self.ent_coef, self.belief_coef, self.forecast_coef)
        balance = self.policy.core.regulariser()
        (loss if balance is None else loss + balance).backward()
        torch.nn.utils.clip_grad_norm_(self._weights, self.max_grad_norm, foreach=True)
        self.policy.optimizer.step()

    def _report(self, rollout: Rollout, history: list[Losses]) -> None:
        for name in Losses.__dataclass_fields__:
            mean = torch.stack([getattr(losses, name).detach() for losses in history]).mean()
            self.logger.record(f"train/{name}", mean.item())
        if self.belief_bits:
            self.logger.record("rollout/belief_bits", float(np.mean(self.belief_bits)))
        unexplained = (rollout.returns - rollout.value).var() / rollout.returns.var().clamp(min=1e-8)
        self.logger.record("train/explained_variance", 1 - unexplained.item())
