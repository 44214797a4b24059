"""Observations that also hold what the world was given: what an agent could do that need not find it out."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from embodied.errors import OptionError


class PrivilegedObs(VectorWrapper):
    """A randomized environment whose observations also hold `sampled_parameters`: a Dict of `obs`, or of its parts; no
    robot sees that, a yardstick may.

    Raises:
        OptionError: nothing differs from world to world, or the environment is not in same-step mode.
    """

    def __init__(self, env: VectorEnv) -> None:
        names = getattr(env.unwrapped, "sampled_parameter_names", ())
        if not names:
            raise OptionError("there are no sampled parameters: the environment's worlds do not differ")
        if env.metadata.get("autoreset_mode") is not AutoresetMode.SAME_STEP:
            raise OptionError("privileged observations need an environment in same-step mode")
        super().__init__(env)
        parameters = spaces.Box(-np.inf, np.inf, (len(names),), np.float32)
        seen = env.single_observation_space
        parts = dict(seen.spaces) if isinstance(seen, spaces.Dict) else {"obs": seen}
        self.single_observation_space = spaces.Dict(parts | {"sampled_parameters": parameters})
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts episodes; observations hold the sampled parameters of their worlds."""
        obs, info = self.env.reset(seed=seed, options=options)
        return _privileged(obs, info), info

    def step(self, actions: Any) -> tuple[Any, NDArray, NDArray, NDArray, dict[str, Any]]:
        """Steps; observations hold them again."""
        obs, reward, terminated, truncated, info = self.env.step(actions)
        if "final_obs" in info:
            info["final_obs"] = _privileged(info["final_obs"], info["final_info"])
        return _privileged(obs, info), reward, terminated, truncated, info


def _privileged(obs: Any, info: dict[str, Any]) -> dict[str, NDArray]:
    parts = obs if isinstance(obs, dict) else {"obs": obs}
    return parts | {"sampled_parameters": info["sampled_parameters"].astype(np.float32)}
