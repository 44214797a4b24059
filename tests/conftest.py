import os

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback

import embodied_envs  # noqa: F401  (registers the ids)
from embodied.learn.config import PPOConfig

SIGNPOST = "embodied/Signpost-v0"
QUICK = PPOConfig(learning_rate=5e-4, n_steps=64, n_epochs=4, minibatches=16, stats_window_size=512)


class CountEnv(gym.Env):
    """Observes how many steps it has made; ends after `length`."""

    def __init__(self, length: int = 5, truncate: bool = False) -> None:
        self.length, self.truncate = length, truncate
        self.observation_space = spaces.Box(-np.inf, np.inf, (1,), np.float32)
        self.action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.t += 1
        over = self.t == self.length
        return np.full(1, self.t, np.float32), 1.0, over and not self.truncate, over and self.truncate, {}


class Solved(BaseCallback):
    """Ends training once the last `episodes` earned more than `enough` on average."""

    def __init__(self, episodes: int, enough: float) -> None:
        super().__init__()
        self.episodes, self.enough = episodes, enough

    def _on_step(self) -> bool:
        recent = [episode["r"] for episode in self.model.ep_info_buffer][-self.episodes :]
        return len(recent) < self.episodes or np.mean(recent) <= self.enough


@pytest.fixture(autouse=True, scope="session")
def _one_thread_each():
    """The tests run side by side; what they start inherits this."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests come first, so that no worker is left alone with one in the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def trace(env, commands: np.ndarray, seed: int = 3) -> list[np.ndarray]:
    """Everything that an environment returns over a rollout, as arrays."""
    obs, info = env.reset(seed=seed)
    out = [obs, info["hidden"], info["state"], info["shaping"]]
    for command in commands:
        obs, reward, terminated, truncated, info = env.step(command)
        out += [obs, reward, terminated, truncated, info["hidden"], info["state"], info["shaping"]]
    return out


def equal(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
