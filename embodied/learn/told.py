"""Observations that also hold what the world was given: what an agent could do that need not find it out."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from embodied.errors import OptionError


class Told(VectorWrapper):
    """A randomised environment whose observations are a Dict of `obs`, or of what they are made of, and `drawn`: no
    robot sees that, a yardstick may.

    Raises:
        OptionError: nothing differs from world to world, or the environment is not in same-step mode.
    """

    def __init__(self, env: VectorEnv) -> None:
        names = getattr(env.unwrapped, "drawn_names", ())
        if not names:
            raise OptionError("there is nothing to tell: the environment's worlds do not differ")
        if env.metadata.get("autoreset_mode") is not AutoresetMode.SAME_STEP:
            raise OptionError("being told needs an environment in same-step mode")
        super().__init__(env)
        drawn = spaces.Box(-np.inf, np.inf, (len(names),), np.float32)
        seen = env.single_observation_space
        parts = dict(seen.spaces) if isinstance(seen, spaces.Dict) else {"obs": seen}
        self.single_observation_space = spaces.Dict(parts | {"drawn": drawn})
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)
        self.hidden = getattr(env.unwrapped, "hidden", ())

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts episodes and tells what their worlds were given."""
        obs, info = self.env.reset(seed=seed, options=options)
        return _told(obs, info), info

    def step(self, actions: Any) -> tuple[Any, NDArray, NDArray, NDArray, dict[str, Any]]:
        """Steps, and tells it again."""
        obs, reward, terminated, truncated, info = self.env.step(actions)
        if "final_obs" in info:
            info["final_obs"] = _told(info["final_obs"], info["final_info"])
        return _told(obs, info), reward, terminated, truncated, info


def _told(obs: Any, info: dict[str, Any]) -> dict[str, NDArray]:
    parts = obs if isinstance(obs, dict) else {"obs": obs}
    return parts | {"drawn": info["drawn"].astype(np.float32)}
