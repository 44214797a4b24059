"""What Stable-Baselines3's users call, for policies that remember and for environments of either dialect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from embodied.errors import OptionError
from embodied.learn.collect import RolloutCollector
from embodied.nn.belief_head import forms_of
from embodied.nn.checkpoint import load_weights, policy_folder
from embodied.vector.soundness import sound_observation
from embodied.vector.stable import StableVecEnv
from embodied.vector.vec import as_vec_env


class StableVerbs(RolloutCollector):
    """A collector with the verbs of Stable-Baselines3's algorithms."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Chooses actions, as `SequencePolicy.predict` does; `action_masks` as in sb3-contrib."""
        return self.policy.predict(observation, state, episode_start, deterministic, action_masks)

    def get_env(self) -> VecEnv | None:
        """The environment, in the dialect in which it was given."""
        return self.env.given if isinstance(self.env, StableVecEnv) else self.env

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """Goes on in another environment of the same spaces, of any kind that the constructor takes.

        Raises:
            OptionError: it is of another number, or what it hides is of another kind.
        """
        vec = as_vec_env(env, None, () if isinstance(env, VecEnv) else self.previous)
        if vec.num_envs != self.n_envs:
            raise OptionError(f"a trainer of {self.n_envs} environments goes on with as many, not {vec.num_envs}")
        if forms_of(vec.hidden) != self._privileged.hidden:
            raise OptionError("what this environment hides is of another kind than what the policy learned to infer")
        super().set_env(vec, force_reset)
        self.memory = None

    def set_random_seed(self, seed: int | None = None) -> None:
        """Seeds everything that is random.

        Raises:
            OptionError: a seed below 0.
        """
        if seed is not None and seed < 0:
            raise OptionError(f"a seed is a whole number from 0 up, not {seed}")
        super().set_random_seed(None if seed is None else seed % 2**32)

    def set_parameters(self, load_path_or_dict: Any, exact_match: bool = True, device: Any = "auto") -> None:
        """Takes over weights that `get_parameters` returned, or that a folder holds.

        Raises:
            CheckpointError: the folder holds none, or those of another network.
        """
        if isinstance(load_path_or_dict, dict):
            super().set_parameters(load_path_or_dict, exact_match, device)
        else:
            load_weights(policy_folder(folder_of(load_path_or_dict)), self.policy)

    def _setup_learn(self, *args: Any, **kwargs: Any) -> tuple[int, Any]:
        before = self._last_obs
        total, callback = super()._setup_learn(*args, **kwargs)
        if self._last_obs is not before:
            when = "after a reset"
            self._last_obs, self._unsound = sound_observation(self._last_obs, self.n_envs, when, self._drops)
        return total, callback

    @staticmethod
    def _wrap_env(env: Any, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:
        """Takes the environment as it is: episodes are counted, and pictures turned, elsewhere."""
        return env


def folder_of(path: str | Path) -> Path:
    """The folder that a path means: callbacks of Stable-Baselines3 ask for files that end in ".zip"."""
    return Path(path).with_suffix("") if Path(path).suffix == ".zip" else Path(path)
