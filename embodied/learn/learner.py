"""What all learners of sequences are made of: a policy with memory, an environment of either dialect, a folder."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from embodied.errors import CheckpointError, OptionError, TrainingError
from embodied.learn.config import LearnerConfig
from embodied.learn.intrinsic import PredictionError
from embodied.learn.rollout import Rollout
from embodied.learn.saving import resume_trainer, save_trainer, saved_settings, warn_of_unsaved
from embodied.learn.verbs import StableVerbs, folder_of
from embodied.nn.checkpoint import check_spaces, policy_folder, read_card
from embodied.nn.config import NetworkConfig
from embodied.nn.heads import check_actions
from embodied.nn.policy import SequencePolicy, load_policy, policy_class
from embodied.vector.spec import EnvSpec
from embodied.vector.vec import as_vec_env

WORLDS_PER_SEED = 1_000_003  # so that runs of neighboring seeds share no world
OF_STABLE_BASELINES3: dict[str, Any] = {  # what an on-policy algorithm is told; what, where a learner has no such thing
    "n_steps": 1, "gamma": 1.0, "gae_lambda": 1.0, "ent_coef": 0.0, "vf_coef": 0.0, "max_grad_norm": 1.0,
    "use_sde": False, "sde_sample_freq": -1, "stats_window_size": 100,
}  # fmt: skip


class SequenceLearner(StableVerbs):
    """A learner of sequences, without what it makes of rollouts (`train`).

    Observations may be Box (pictures too), Discrete, MultiDiscrete, MultiBinary, and Dict or Tuple of these.

    Args:
        policy: alias of a policy ("TransformerPolicy", "GRUPolicy", "MlpPolicy", or one of another package), a
            `NetworkConfig`, a class, or a policy, whose weights are the start.
        env: an id, an `Env`, a Gymnasium `VectorEnv` or a Stable-Baselines3 `VecEnv`.
        config: hyperparameters; `settings` are some of them by name, and override it.
        n_envs: number of environments when `env` is an id.
        previous: observe "action" and "reward" of the step before, too.
        policy_kwargs: keyword arguments of the policy's class.
        tensorboard_log, verbose, seed, device: as in Stable-Baselines3.

    Raises:
        OptionError: settings that do not fit each other, or that do not exist.
        UnknownNameError: no environment of that id, or no such policy.
    """

    config_type: ClassVar[type[LearnerConfig]]
    epsilon: ClassVar[float] = 1e-5  # of Adam

    def __init__(
        self,
        policy: str | NetworkConfig | type[SequencePolicy] | SequencePolicy,
        env: Any,
        config: LearnerConfig | None = None,
        *,
        n_envs: int | None = None,
        previous: Sequence[str] = (),
        policy_kwargs: dict[str, Any] | None = None,
        tensorboard_log: str | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: torch.device | str = "auto",
        _init_setup_model: bool = True,
        **settings: Any,
    ) -> None:
        self.config = config = (config or self.config_type()).with_settings(settings)
        self._start = policy if isinstance(policy, SequencePolicy) else None
        if "squash" in (policy_kwargs or {}):
            raise OptionError("actions are squashed by SequenceSAC, and by no other learner")
        made, own_kwargs = _policy_of(policy)
        vec = as_vec_env(env, n_envs, tuple(previous))
        check_actions(vec.action_space)
        super().__init__(
            policy=made,  # type: ignore[arg-type]
            env=vec,
            learning_rate=config.learning_rate_schedule,
            **{name: getattr(config, name, default) for name, default in OF_STABLE_BASELINES3.items()},
            tensorboard_log=tensorboard_log,
            policy_kwargs=own_kwargs | (policy_kwargs or {}),
            verbose=verbose,
            seed=seed,
            device=device,
            _init_setup_model=False,
            supported_action_spaces=(spaces.Box, spaces.Discrete, spaces.MultiDiscrete),
        )
        self.previous = EnvSpec.of(self.env).previous
        self.normalize = config.normalize or (self._start is not None and self._start.normalize)
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        if self.seed is not None and self.env is not None:
            self.env.seed(self.seed * WORLDS_PER_SEED % 2**31)
        self.generator = torch.Generator(self.device)
        self.generator.manual_seed(int(np.random.SeedSequence(self.seed).generate_state(1)[0]))
        self._privileged = self._look_for_privilege()
        if self.config.information_coef and not self._privileged.hidden:
            raise OptionError("information is about what is hidden: this environment declares nothing hidden")
        if self.config.state_coef and not self._privileged.state:
            raise OptionError("state_coef is for environments with a privileged state: this one has none")
        recommended = getattr(getattr(self.env, "gym_env", None), "shaping_curriculum", 0.0)
        given, config = self.config.shaping_curriculum, self.config
        self.shaping_curriculum = (recommended if config.shaping else 0.0) if given is None else given
        self.belief_bits: deque[float] = deque(maxlen=self._stats_window_size)
        self.policy = self.policy_class(  # type: ignore[assignment]
            self.observation_space,
            self.action_space,
            self.lr_schedule,
            privilege=self._privileged,
            use_sde=self.use_sde,
            forward_model=bool(config.forward_model_coef),
            predict_state=bool(config.state_coef),
            normalize=self.normalize,
            masked=self.env.mask is not None,
            **self._policy_extras(),
            **self.policy_kwargs,
        ).to(self.device)
        if self._start is not None:
            self.policy.load_matching_weights(self._start)
        self.policy.half_precision = config.bfloat16
        if config.compile:
            self.policy.core.sequence = torch.compile(self.policy.core.sequence)  # type: ignore[method-assign]
        self._weights = list(self.policy.parameters())
        self._setup_beside()
        self.policy.optimizer = torch.optim.Adam(self._weights, self.lr_schedule(1), eps=self.epsilon, fused=True)
        self.rollout_buffer = Rollout.empty(  # type: ignore[assignment]
            self.n_envs,
            self.n_steps,
            self.policy.codec.size,
            self.policy.action_head.size,
            self._privileged.state,
            len(self._privileged.hidden),
            0 if self.env.mask is None else self.policy.action_head.mask_size,
            self.device,
        )
        self.begin_anew(reseed=False)
        self.origins = {}
        self._stopping = False
        self._exploration = None
        self._privileged_now: dict[str, np.ndarray] = {}

    def _setup_beside(self) -> None:
        """Makes what is learned beside the policy, and adds it to the weights."""

    def _policy_extras(self) -> dict[str, Any]:
        """What else this learner's policies are made with."""
        return {}

    def save(self, path: str | Path, exclude: Any = None, include: Any = None) -> None:  # type: ignore[override]
        """Writes policy and trainer into the folder `path` (without ".zip"), as safetensors and JSON."""
        save_trainer(self, folder_of(path))

    @classmethod
    def load(cls, path: str | Path, env: Any = None, device: Any = "auto", **kwargs: Any) -> Self:  # type: ignore[override]
        """Builds a trainer that goes on where the saved one stopped, with its settings unless `kwargs` has others.

        `path` is the folder that `save` wrote, or that of a run of `embodied train`.

        Warns:
            SettingNotSavedWarning: something was no plain value, such as a schedule that is a function, and is
                neither saved nor given.

        Raises:
            CheckpointError: the folder is incomplete or damaged, or was saved for another environment.
        """
        folder = policy_folder(folder_of(path))
        saved, card, settings = load_policy(folder), read_card(folder), saved_settings(folder, cls.config_type)
        spec = EnvSpec.from_jsonable(card["env"], folder)
        if env is None and spec.id not in gym.registry:
            raise CheckpointError(
                f"{folder} was trained on {spec.id}, which cannot be made by its name: give the environment, "
                "load(path, env=…), or import the module that registers it"
            )
        warn_of_unsaved(folder, settings, spec if env is None else None, kwargs)
        n_envs = kwargs.pop("n_envs", settings.n_envs)
        vec = spec.make(n_envs) if env is None else as_vec_env(env, n_envs, settings.previous)
        check_spaces(card, vec.observation_space, vec.action_space, EnvSpec.of(vec).id)
        given = {"seed": settings.seed, "device": device} | kwargs
        model = cls(type(saved), vec, settings.config, policy_kwargs=_kwargs_of(saved), **given)
        model.resume(folder)
        return model

    def resume(self, folder: Path) -> None:
        """Takes weights, optimizer and counters from a folder that `save` wrote, and the worlds if they are there.

        Raises:
            CheckpointError: the folder is incomplete or damaged, or its network is another one.
        """
        resume_trainer(self, folder)

    def begin_anew(self, reseed: bool = True) -> None:
        """Forgets the worlds, and what was remembered of them: new episodes begin with the next steps.

        A trainer that is resumed without its worlds goes on like this.

        Args:
            reseed: whether the worlds' seed is one of its own for this number of steps.
        """
        if reseed and self.env is not None:
            sequence = np.random.SeedSequence([self.seed or 0, self.num_timesteps])
            self.env.seed(int(sequence.generate_state(1)[0]) >> 1)
            self._last_obs = None
        self.dagger = None
        self.memory = None
        self.prediction_error = PredictionError().to(self.device)

    def stop(self) -> None:
        """Ends `learn` before the next rollout, where it can be resumed as if it had never stopped."""
        self._stopping = True

    def _sequences(self, rollout: Rollout) -> Rollout:
        """The rollout; in single steps for who remembers nothing: shuffled ones say more than those in a row."""
        if self.policy.core.has_memory or self.policy.forward_model_head is not None:
            return rollout
        return rollout.in_single_steps(self.policy.initial(rollout.reward.numel()))

    def _observe(self, rollout: Rollout) -> None:
        """Tells the policy how what it saw is spread; only now, so that acting and training saw the same."""
        counts = ~rollout.ignore
        self.policy.update_normalizer(rollout.obs[counts], rollout.state[counts], rollout.hidden[counts])

    def _descend(self, loss: Tensor, networks: Sequence[SequencePolicy]) -> None:
        """Descends a loss, and how unequally networks use their experts.

        Raises:
            TrainingError: the gradient is no number.
        """
        balances = [one.core.regularizer() for one in networks]
        self.policy.optimizer.zero_grad(set_to_none=True)
        sum((balance for balance in balances if balance is not None), loss).backward()
        norm = torch.nn.utils.clip_grad_norm_(self._weights, self.max_grad_norm, foreach=True)
        if not norm.isfinite():
            raise TrainingError(
                f"the gradient of update {self._n_updates} is no number after {self.num_timesteps} steps: lower the "
                "learning rate, or scale rewards and observations; what was saved before is intact"
            )
        self.policy.optimizer.step()

    def own_tensors(self) -> dict[str, Tensor]:
        """What it learns beside its policy, by name: saved with it, and written to when it is resumed."""
        return {}


def _kwargs_of(policy: SequencePolicy) -> dict[str, Any]:
    """The keyword arguments with which another policy of the same network is made."""
    same = ("previous_action", "plain_critic")
    return policy.settings() | {name: policy.extras()[name] for name in same}


def _policy_of(
    given: str | NetworkConfig | type[SequencePolicy] | SequencePolicy,
) -> tuple[type[SequencePolicy], dict[str, Any]]:
    """The class of a policy, and the keyword arguments that are known of it."""
    if isinstance(given, SequencePolicy):
        return type(given), _kwargs_of(given)
    if isinstance(given, NetworkConfig):
        made = policy_class(given.policy)
        return made, given.settings_for(made.config_type)
    return (policy_class(given) if isinstance(given, str) else given), {}
