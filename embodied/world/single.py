"""One world as an ordinary Gymnasium environment."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from embodied.errors import ActionError
from embodied.hidden import Hidden
from embodied.world.duel import Versus
from embodied.world.env import BatchEnv
from embodied.world.task import Task, TaskMetadata


class SingleEnv(TaskMetadata, gym.Env):
    """A vector environment of one world, with the leading axis taken off.

    Args:
        batch_env: of one world, without autoreset: a `BatchEnv`, or one seat of a duel.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": round(Task.control_hz)}  # noqa: RUF012

    def __init__(self, batch_env: BatchEnv | Versus) -> None:
        self.batch_env = batch_env
        self.task = batch_env.task
        self.contract = getattr(batch_env, "contract", None)
        self.layout = batch_env.layout
        self.form = batch_env.form
        self.render_mode = batch_env.render_mode
        self.observation_space = batch_env.single_observation_space
        self.action_space = batch_env.single_action_space

    @property
    def hidden(self) -> tuple[Hidden, ...]:
        """The hidden variables, as declared."""
        return self.batch_env.hidden

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts a new episode; with a seed, the first one of that seed."""
        super().reset(seed=seed)
        if seed is None and not self.batch_env.started:
            seed = int(self.np_random.integers(2**31))
        sampled = (options or {}).get("sampled_parameters")
        obs, info = self.batch_env.reset(
            seed=seed, options=None if sampled is None else {"sampled_parameters": np.atleast_2d(sampled)}
        )
        return _first_of(obs), _first(info)

    def step(self, action: NDArray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Makes one decision; see `BatchEnv.step` for the errors it raises."""
        action = np.asarray(action, np.float64)
        if action.shape != self.action_space.shape:
            raise ActionError(f"the action has shape {action.shape}, expected {self.action_space.shape}")
        obs, reward, terminated, truncated, info = self.batch_env.step(action[None])
        return _first_of(obs), float(reward[0]), bool(terminated[0]), bool(truncated[0]), _first(info)

    def render(self) -> NDArray[np.uint8] | None:
        """Returns a picture of the world, `(480, 640, 3)`."""
        frames = self.batch_env.render()
        return None if frames is None else frames[0]

    def close(self) -> None:
        """Frees the renderer."""
        self.batch_env.close()


def _first_of(obs: Any) -> Any:
    return {key: value[0] for key, value in obs.items()} if isinstance(obs, dict) else obs[0]


def _first(info: dict[str, Any]) -> dict[str, Any]:
    return {key: value[0] for key, value in info.items() if not key.startswith("_")}
