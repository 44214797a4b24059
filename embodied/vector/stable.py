"""Environments of Stable-Baselines3's dialect, heard as those of Gymnasium's are (see `GymVecEnv`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecMonitor

from embodied.hidden import EXTRAS
from embodied.spaces import MASK
from embodied.vector.batches import row_of, stack_observations
from embodied.vector.experience import Experience
from embodied.vector.masks import masks_of_sb3
from embodied.vector.members import checked_extras


class StableVecEnv(VecEnvWrapper):
    """A vector environment of Stable-Baselines3 whose `experience` is what the last step led to.

    Attributes:
        given: the environment itself, without what counts its episodes.
        mask: which choices are allowed now, `(N, …)`; None where nothing is ever forbidden.
    """

    hidden: tuple[Any, ...] = ()

    def __init__(self, env: VecEnv) -> None:
        super().__init__(env if is_monitored(env) else VecMonitor(env))
        self.given = env
        self.privileged: dict[str, NDArray] = {}
        self.experience: Experience | None = None
        self.steps = 0
        self._masks = masks_of_sb3(env)
        declared = env.get_attr(EXTRAS)[0] if env.has_attr(EXTRAS) else None
        self._tells = checked_extras(declared) is not None

    @property
    def mask(self) -> NDArray[np.bool_] | None:
        return self._masks.now

    def reset(self) -> Any:
        """Starts new episodes everywhere and returns their first observations."""
        obs = self.venv.reset()
        self._read_masks(obs, self.venv.unwrapped.reset_infos)
        return obs

    def step_wait(self) -> Any:
        """Steps, and returns what Stable-Baselines3 expects; the arrays are in `experience`."""
        obs, reward, ended, infos = self.venv.step_wait()
        self.steps += 1
        fresh = self.venv.unwrapped.reset_infos
        self._read_masks(obs, [fresh[i] if ended[i] else infos[i] for i in range(self.num_envs)])
        self.experience = self._experience(obs, reward, ended, infos)
        return obs, reward, ended, infos

    def _experience(self, obs: Any, reward: NDArray, ended: NDArray, infos: list[dict[str, Any]]) -> Experience:
        truncated = np.array([bool(info.get("TimeLimit.truncated", False)) for info in infos]) & ended
        final = obs
        if ended.any():
            finals = [infos[i].get("terminal_observation", row_of(obs, i)) for i in range(self.num_envs)]
            final = stack_observations(finals)
        success = [bool(info.get("is_success", False)) for info in infos]
        void = np.array([self._tells and bool(info.get("failed", False)) for info in infos])
        return Experience(
            obs=obs,
            final_obs=final,
            reward=np.asarray(reward, np.float32),
            terminated=ended & ~truncated,
            truncated=truncated,
            ignore=void,
            void=void,
            success=np.array(success) if any("is_success" in info for info in infos) else None,
            mask=self.mask,
        )

    def _read_masks(self, obs: Any, infos: list[dict[str, Any]]) -> None:
        told = np.array([MASK in info for info in infos])
        info = {MASK: [info.get(MASK) for info in infos], f"_{MASK}": told} if told.any() else {}
        self._masks.read(obs, info, np.ones(self.num_envs, bool))


def is_monitored(env: VecEnv) -> bool:
    """Whether something counts the episodes of an environment."""
    return isinstance(env, VecMonitor) or all(env.env_is_wrapped(Monitor))
