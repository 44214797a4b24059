"""Observations that also hold the previous action and reward: the usual inputs of a policy with memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from embodied.errors import OptionError

KNOWN = ("action", "reward")


class PreviousAction(VectorWrapper):
    """A vector environment whose observations are a Dict of `obs` and of the previous `action` and `reward`.

    At the start of an episode both are zero.

    Raises:
        OptionError: `what` holds something else, or the environment resets itself in a step of its own.
    """

    def __init__(self, env: VectorEnv, what: tuple[str, ...] = KNOWN) -> None:
        unknown = set(what) - set(KNOWN)
        if unknown or not what:
            raise OptionError(f"previous is {what!r}; known: {', '.join(KNOWN)}")
        if env.metadata.get("autoreset_mode") is AutoresetMode.NEXT_STEP:
            raise OptionError("previous actions need an environment in same-step mode, or without autoreset")
        super().__init__(env)
        self.what = what
        extra = {
            "action": env.single_action_space,
            "reward": spaces.Box(-np.inf, np.inf, (1,), np.float32),
        }
        parts = {"obs": env.single_observation_space} | {name: extra[name] for name in what}
        self.single_observation_space = spaces.Dict(parts)
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)
        self._none = {name: _nothing(extra[name], env.num_envs) for name in what}

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts episodes, all or those of `options["reset_mask"]`, with nothing before them."""
        mask = np.array((options or {}).get("reset_mask", np.ones(self.num_envs, bool)))  # Gymnasium takes it out
        obs, info = self.env.reset(seed=seed, options=options)
        kept = getattr(self, "_last", self._none)
        self._last = {name: _where(mask, self._none[name], kept[name]) for name in self.what}
        return {"obs": obs} | self._last, info

    def step(self, actions: Any) -> tuple[Any, NDArray, NDArray, NDArray, dict[str, Any]]:
        """Steps, and adds what was done and what it brought."""
        obs, reward, terminated, truncated, info = self.env.step(actions)
        now = {"action": np.asarray(actions), "reward": np.asarray(reward, np.float32)[:, None]}
        done = np.asarray(terminated) | np.asarray(truncated)
        if self.env.metadata.get("autoreset_mode") is AutoresetMode.SAME_STEP:
            if "final_obs" in info:
                info["final_obs"] = _final(info["final_obs"], now, self.what)
            self._last = {name: _where(done, self._none[name], now[name]) for name in self.what}
        else:
            self._last = {name: now[name] for name in self.what}
        return {"obs": obs} | self._last, reward, terminated, truncated, info


def without_previous(obs: Any) -> Any:
    """Observations without the previous action and reward, where `PreviousAction` has added them."""
    return obs["obs"] if isinstance(obs, dict) and "obs" in obs else obs


def _nothing(space: spaces.Space, n: int) -> NDArray:
    """An action that was not taken: zeros, or the first choice."""
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        start = np.asarray(space.start)
        return np.tile(start, (n, *[1] * start.ndim))
    return np.zeros((n, *(space.shape or ())), np.float32)


def _where(mask: NDArray, a: NDArray, b: NDArray) -> NDArray:
    return np.where(mask.reshape(-1, *[1] * (b.ndim - 1)), a, b)


def _final(final: Any, now: dict[str, NDArray], what: tuple[str, ...]) -> Any:
    """Last observations with what was done in them: arrays where they are one, else per world, None for none."""
    if isinstance(final, np.ndarray) and final.dtype != object:
        return {"obs": final} | {name: now[name] for name in what}
    rows = np.empty(len(final), object)
    for i, obs in enumerate(final):
        rows[i] = None if obs is None else {"obs": obs} | {name: now[name][i] for name in what}
    return rows
