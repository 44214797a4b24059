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
from stable_baselines3.common.vec_env import VecEnv

from embodied.agent import Agent
from embodied.errors import OptionError
from embodied.learn.acting import Acting
from embodied.learn.checkpoint import check_spaces, read_card
from embodied.learn.curiosity import Surprise
from embodied.learn.demonstrations import Demonstrations
from embodied.learn.lessons import LEAST_SPREAD, Lessons
from embodied.learn.losses import Losses, ppo_losses
from embodied.learn.policy import SequencePolicy, load_policy
from embodied.learn.rollout import Rollout
from embodied.learn.saving import resume_trainer, save_trainer, saved_settings
from embodied.learn.vec import allowed, as_vec_env, describe_env

WORLDS_PER_SEED = 1_000_003  # so that runs of neighbouring seeds share no world


class SequencePPO(Acting):
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
        guidance: share of the training during which the potential at which an episode ends counts as well, and failures
            that end one are forgiven, less and less (None: what the environment recommends, else 0). A critic soon
            knows the potential, and then shaping that gives all of it back at the end says no more (Wiewiora 2003); and
            one learns to dare no ending long before an ending can succeed. In the end nothing of this is kept.
        teacher: an agent that says, for the share `lessons` of the training, what to do at every step. It is imitated
            then, in situations of its own and more and more in those of the learner; reinforcement goes on from there.
        reminders: weight of imitating the teacher after the lessons, beside reinforcement; fades until the end.
        recall: observe "action" and "reward" of the step before, too.
        target_kl: end an update when the policy has moved further than one and a half times this.
        use_sde: explore with noise that depends on the state, drawn anew every `sde_sample_freq` steps (−1: once per
            rollout).
        forecast_coef: weight of the loss of predicting the next observation; 0 for no such head.
        curiosity_coef: reward, in units of its own spread, for how wrong that prediction was.
        information_coef: reward for every nat by which the policy's own belief about what is hidden becomes more
            certain; potential-based, so that the best policy stays the best.
        reward_coef: weight of the environment's reward; 0 for learning from curiosity or forecasts alone.
        normalise: bring measurements to zero mean and unit spread, as they become known; for environments whose bounds
            are infinite, or far wider than what occurs.
        bfloat16: let encoder and core calculate in bfloat16; worth it on a GPU.
        compile: let `torch.compile` fuse the reading of sequences; needs a minute and a C++ compiler (GPU: Triton).

    Raises:
        OptionError: settings that do not fit each other.
        UnknownNameError: no environment of that id.
    """

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
        information_coef: float = 0.0,
        reward_coef: float = 1.0,
        target_kl: float | None = None,
        recall: tuple[str, ...] = (),
        use_sde: bool = False,
        sde_sample_freq: int = -1,
        max_grad_norm: float = 0.5,
        privileged_critic: bool = True,
        shaping: bool = True,
        guidance: float | None = None,
        teacher: Agent | None = None,
        lessons: float = 0.3,
        reminders: float = 0.0,
        normalise: bool = False,
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
        self.shaping, self._guidance_given = shaping, guidance
        self.forecast_coef, self.curiosity_coef, self.reward_coef = forecast_coef, curiosity_coef, reward_coef
        self.information_coef = information_coef
        self.target_kl, self.recall = target_kl, tuple(recall)
        self.normalise, self.bfloat16, self.compile = normalise, bfloat16, compile
        self._teacher, self._lessons_share, self._reminders = teacher, lessons, reminders
        self._start: SequencePolicy | None = None
        if isinstance(policy, SequencePolicy):
            self._start, policy_kwargs = policy, policy.settings() | (policy_kwargs or {})
            self.normalise |= policy.extras()["normalises"]
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
        if self.information_coef and not self._privileged.hidden:
            raise OptionError("information is about what is hidden: this environment declares nothing hidden")
        given, recommended = self._guidance_given, getattr(getattr(self.env, "gym_env", None), "guidance", 0.0)
        self.guidance = (recommended if self.shaping else 0.0) if given is None else given
        self.belief_bits: deque[float] = deque(maxlen=self._stats_window_size)
        self.policy = self.policy_class(  # type: ignore[assignment]
            self.observation_space,
            self.action_space,
            self.lr_schedule,
            privilege=self._privileged,
            use_sde=self.use_sde,
            forecasts=bool(self.forecast_coef),
            normalises=self.normalise,
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
        self.lessons = (
            None
            if self._teacher is None
            else Lessons(self._teacher, self._lessons_share, self.n_envs, self.seed or 0, self._reminders)
        )
        self.memory: Any = None
        self.surprise = Surprise().to(self.device)
        self._stopping = False
        self._privileged_now: dict[str, np.ndarray] = {}

    def train(self) -> None:
        """Improves the policy on the rollout: epochs of minibatches of whole sequences."""
        self._update_learning_rate(self.policy.optimizer)
        rollout = self._sequences(self.rollout_buffer)  # type: ignore[arg-type]
        history = self._improve(rollout, self.n_epochs, self.minibatches)
        self._observe(rollout)
        self._report(rollout, history)

    def study(self, shown: Demonstrations, epochs: int = 30) -> list[float]:
        """Imitates what somebody demonstrated, before it learns from reward; critic and belief learn, too.

        A minibatch holds as many episodes as one of a rollout holds environments.

        Args:
            shown: the episodes, by `embodied.learn.demonstrations.record`.
            epochs: how often all of them are gone through.

        Returns:
            Minus the log-likelihood of what was demonstrated, at every minibatch [nats].

        Raises:
            CheckpointError: they are of other observations or actions, or tell the critic too little.
        """
        shown.check(self.policy)
        told = self._privileged.state, len(self._privileged.hidden)
        rollout = self._sequences(shown.as_rollout(self.policy, self.gamma, *told))
        self._observe(rollout)
        minibatches = -(-len(shown) * self.minibatches // self.n_envs)
        return [losses.imitation.item() for losses in self._improve(rollout, epochs, minibatches)]

    def _improve(self, rollout: Rollout, epochs: int, minibatches: int) -> list[Losses]:
        """Goes through a rollout, minibatch by minibatch."""
        self.policy.set_training_mode(True)
        self.policy.return_scale.update(rollout.returns[~rollout.ignore])
        _, self._return_spread = self.policy.return_scale.mean_and_spread
        history = []
        for _ in range(epochs):
            for rows in rollout.minibatches(minibatches, self.generator):
                losses = ppo_losses(self.policy, rollout, rows, self.clip_range, self._return_spread)
                self._descend(losses, keep_exploring=rollout.taught)
                history.append(losses)
            self._n_updates += 1
            if self.target_kl is not None and not rollout.taught and history[-1].approx_kl > 1.5 * self.target_kl:
                break
        return history

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

    # --- learning ------------------------------------------------------------------------------------------

    def _descend(self, losses: Losses, keep_exploring: bool) -> None:
        self.policy.optimizer.zero_grad(set_to_none=True)
        loss = losses.total(self.vf_coef, self.ent_coef, self.belief_coef, self.forecast_coef)
        balance = self.policy.core.regulariser()
        (loss if balance is None else loss + balance).backward()
        torch.nn.utils.clip_grad_norm_(self._weights, self.max_grad_norm, foreach=True)
        self.policy.optimizer.step()
        if keep_exploring:
            self.policy.action_head.keep_exploring(LEAST_SPREAD)

    def _sequences(self, rollout: Rollout) -> Rollout:
        """The rollout; in single steps for who remembers nothing: shuffled ones say more than those in a row."""
        if self.policy.core.remembers or self.policy.forecast_head is not None:
            return rollout
        return rollout.in_single_steps(self.policy.initial(rollout.reward.numel()))

    def _observe(self, rollout: Rollout) -> None:
        """Tells the policy how what it saw is spread; only now, so that acting and training saw the same."""
        counts = ~rollout.ignore
        self.policy.observe(rollout.obs[counts], rollout.state[counts], rollout.hidden[counts])

    def _report(self, rollout: Rollout, history: list[Losses]) -> None:
        for name in Losses.__dataclass_fields__:
            mean = torch.stack([getattr(losses, name).detach() for losses in history]).mean()
            self.logger.record(f"train/{name}", mean.item())
        if self.belief_bits:
            self.logger.record("rollout/belief_bits", float(np.mean(self.belief_bits)))
        unexplained = (rollout.returns - rollout.value).var() / rollout.returns.var().clamp(min=1e-8)
        self.logger.record("train/explained_variance", 1 - unexplained.item())
