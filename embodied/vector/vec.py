"""Where the vector dialects meet: Gymnasium's, with its three autoreset modes, and Stable-Baselines3's.

A learner sees one thing, `Experience`: what a step led to before any reset, and what the next step starts from.
"""

from __future__ import annotations

import difflib
import inspect
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import load_env_creator
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv
from stable_baselines3.common.vec_env import VecEnv as VecEnv

from embodied.errors import IMPORT_ADVICE, OptionError, UnknownNameError
from embodied.hidden import PRIVILEGED, Hidden
from embodied.vector.batches import episodes_in, flags_of, merged, numbers_of, row_of, success_in
from embodied.vector.experience import Experience as Experience
from embodied.vector.masks import masks_of_gym
from embodied.vector.members import extras_of, has_method, members_of
from embodied.vector.previous_action import PreviousAction
from embodied.vector.soundness import sound, sound_observation
from embodied.vector.stable import StableVecEnv

SAME_STEP = AutoresetMode.SAME_STEP
COUNTED = ("was_done", "returns", "lengths")  # what GymVecEnv itself remembers of each environment


class GymVecEnv(DummyVecEnv):
    """A Gymnasium vector environment as a Stable-Baselines3 one; `experience` keeps the last step's arrays.

    All autoreset modes are understood; same-step is best. With autoreset disabled, episodes are restarted
    here. In next-step mode the environment spends one step on its reset: that step is marked `ignore`, and
    its observation belongs to no episode.

    It is a `DummyVecEnv` in name only: callbacks of Stable-Baselines3 compare the classes of environments.
    """

    def __init__(self, env: VectorEnv) -> None:
        self.gym_env = env
        self.mode = AutoresetMode(env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP))
        self._seed: int | None = None
        self._was_done = np.zeros(env.num_envs, bool)
        self._returns = np.zeros(env.num_envs)
        self._lengths = np.zeros(env.num_envs, int)
        self._extras = extras_of(env)
        self._masks = masks_of_gym(env)
        self.privileged: dict[str, NDArray] = {}
        self.mask: NDArray[np.bool_] | None = None
        self.experience: Experience | None = None
        self.steps = 0
        VecEnv.__init__(self, env.num_envs, env.single_observation_space, env.single_action_space)

    @property
    def hidden(self) -> tuple[Hidden, ...]:
        """The hidden variables that the environment declares."""
        return self._extras.hidden if self._extras else ()

    def seed(self, seed: int | None = None) -> list[int | None]:
        """Seeds the next reset; environment `i` gets `seed + i`."""
        self._seed = seed
        return [None if seed is None else seed + i for i in range(self.num_envs)]

    def reset(self) -> Any:
        """Starts new episodes everywhere and returns their first observations."""
        obs, info = self.gym_env.reset(seed=self._seed)
        self._seed = None
        self._was_done[:] = False
        self._returns[:], self._lengths[:] = 0, 0
        self.privileged = self._privileged(info)
        self.mask = self._masks.read(obs, info, np.ones(self.num_envs, bool))
        return obs

    def restart(self, worlds: NDArray[np.bool_]) -> Any:
        """Starts new episodes in some worlds, whatever happens there; returns what is observed now everywhere."""
        obs, info = self.gym_env.reset(options={"reset_mask": worlds})
        self._was_done[worlds] = False
        self._returns[worlds], self._lengths[worlds] = 0, 0
        self.privileged = self._privileged(info)
        self._restarted_masks(obs, info, worlds)
        return obs

    def step_async(self, actions: NDArray) -> None:
        """Keeps the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> Any:
        """Steps, and returns what Stable-Baselines3 expects; the arrays are in `experience`."""
        obs, reward, terminated, truncated, info = self.gym_env.step(self._actions)
        self.steps += 1
        final = info.get("final_info", info)
        void = self._failed(final)
        only_reset = self._was_done & (self.mode is AutoresetMode.NEXT_STEP)
        experience = Experience(
            obs=obs,
            final_obs=obs,
            reward=np.asarray(reward, np.float32),
            terminated=np.asarray(terminated),
            truncated=np.asarray(truncated) & ~np.asarray(terminated),
            ignore=only_reset | void,
            void=void,
            privileged=self._privileged(info),
            final_privileged=self._privileged(info),
            success=success_in(info, self.num_envs),
            sampled_parameters=final.get("sampled_parameters") if self._extras else None,
        )
        ended = self._was_done = experience.ended
        acting = np.ones_like(ended) if self.mode is AutoresetMode.SAME_STEP else ~ended
        experience.mask = self._masks.read(obs, info, acting)
        if ended.any():
            experience.episode_return, experience.episode_length = episodes_in(final, info, ended)
            self._separate(experience, info)
        self.privileged, self.mask = experience.privileged, experience.mask
        self.experience = experience
        return experience.obs, experience.reward, experience.ended, self._infos(experience)

    def _separate(self, experience: Experience, info: dict[str, Any]) -> None:
        """Tells the end of the old episodes from the beginning of the new ones."""
        if self.mode is AutoresetMode.SAME_STEP:
            final = info.get("final_info", {})
            experience.final_obs = merged(experience.obs, info["final_obs"], experience.ended)
            experience.final_privileged = {
                key: merged(value, final.get(key, value), experience.ended)
                for key, value in experience.privileged.items()
            }
            told = success_in(final, self.num_envs)
            experience.success = experience.success if told is None else told
        elif self.mode is AutoresetMode.DISABLED:
            experience.obs, info = self.gym_env.reset(options={"reset_mask": experience.ended})
            fresh = self._privileged(info)
            experience.privileged = {
                key: merged(value, fresh[key], experience.ended) for key, value in experience.privileged.items()
            }
            self.mask = experience.mask
            experience.mask = self._restarted_masks(experience.obs, info, experience.ended)

    def _restarted_masks(self, obs: Any, info: dict[str, Any], worlds: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
        """Masks of which those of some worlds are of new episodes."""
        before, fresh = self.mask, self._masks.read(obs, info, worlds)
        self.mask = fresh if before is None or fresh is None else np.where(worlds[:, None], fresh, before)
        return self.mask

    def _failed(self, info: dict[str, Any]) -> NDArray[np.bool_]:
        """Where the physics failed, as an environment that declares its extras tells, `(N,)`."""
        if self._extras is None or "failed" not in info:
            return np.zeros(self.num_envs, bool)
        return flags_of(info["failed"])

    def _privileged(self, info: dict[str, Any]) -> dict[str, NDArray]:
        """What an environment that declares its extras, if only to have none, tells beyond observations."""
        if self._extras is None:
            return {}
        return {key: numbers_of(info[key]) for key in PRIVILEGED if key in info}

    def _infos(self, experience: Experience) -> list[dict[str, Any]]:
        """Returns the per-environment dicts of Stable-Baselines3, filled where an episode ended."""
        self._returns += experience.reward
        self._lengths += ~experience.ignore
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        returns, lengths = experience.counted(self._returns, self._lengths)
        for i in np.flatnonzero(experience.ended).tolist():
            infos[i] = {
                "episode": {"r": float(returns[i]), "l": int(lengths[i])},
                "terminal_observation": row_of(experience.final_obs, i),
                "TimeLimit.truncated": bool(experience.truncated[i]),
            }
            if experience.success is not None:
                infos[i]["is_success"] = bool(experience.success[i])
            if experience.sampled_parameters is not None:
                infos[i]["sampled_parameters"] = experience.sampled_parameters[i]
        self._returns[experience.ended] = 0
        self._lengths[experience.ended] = 0
        return infos

    def get_state(self) -> dict[str, NDArray] | None:
        """Everything that decides what happens next, by name; None if the environment cannot tell."""
        inner = getattr(self.gym_env.unwrapped, "get_state", None)
        if inner is None or self.gym_env is not self.gym_env.unwrapped:
            return None
        own = {name: getattr(self, f"_{name}") for name in COUNTED}
        privileged = {f"privileged/{key}": value for key, value in self.privileged.items()}
        return {f"env/{name}": value for name, value in inner().items()} | own | privileged

    def set_state(self, state: dict[str, NDArray]) -> None:
        """Goes on exactly where the environment of that state stood.

        Raises:
            CheckpointError: the state is of another environment.
        """
        inner: Any = self.gym_env.unwrapped
        inner.set_state({name[4:]: value for name, value in state.items() if name.startswith("env/")})
        for name in COUNTED:
            getattr(self, f"_{name}")[...] = state[name]
        self.privileged = {
            key.removeprefix("privileged/"): v for key, v in state.items() if key.startswith("privileged/")
        }

    def close(self) -> None:
        """Closes the environment."""
        self.gym_env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Returns an attribute of every environment asked for, or of the vector environment that all are one with.

        Raises:
            AttributeError: there is none of that name.
        """
        if has_method(self.gym_env, attr_name):
            values = self.gym_env.unwrapped.get_attr(attr_name)  # type: ignore[attr-defined]
            return [values[i] for i in self._get_indices(indices)]
        value = getattr(self.gym_env, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Sets an attribute of every environment asked for, or of the vector environment that all are one with."""
        members = members_of(self.gym_env)
        for i in self._get_indices(indices) if members else ():
            members[i].set_wrapper_attr(attr_name, value)
        if not members:
            setattr(self.gym_env, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Calls a method of every environment asked for, or of the vector environment that all are one with."""
        members = members_of(self.gym_env)
        if members and has_method(self.gym_env, method_name):
            return [members[i].get_wrapper_attr(method_name)(*args, **kwargs) for i in self._get_indices(indices)]
        if has_method(self.gym_env, method_name):
            values = self.gym_env.unwrapped.call(method_name, *args, **kwargs)  # type: ignore[attr-defined]
            return [values[i] for i in self._get_indices(indices)]
        value = getattr(self.gym_env, method_name)(*args, **kwargs)
        return [value for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """Episode statistics are kept here, so this counts as monitored."""
        return [issubclass(wrapper_class, Monitor) for _ in self._get_indices(indices)]

    def get_images(self) -> list[Any]:
        """Returns one picture per environment."""
        return list(self.gym_env.render() or [])


def as_vec_env(
    env: str | gym.Env | VectorEnv | VecEnv, num_envs: int | None = None, previous: tuple[str, ...] = (), **options: Any
) -> GymVecEnv | StableVecEnv:
    """Returns any environment in Stable-Baselines3's dialect.

    Args:
        env: a Gymnasium id, an `Env`, a Gymnasium `VectorEnv` or a Stable-Baselines3 `VecEnv`.
        num_envs: how many, when `env` is an id (default 1).
        previous: what is added to observations: "action" and "reward" of the step before (see `PreviousAction`).
        options: for `gymnasium.make_vec`, when `env` is an id.

    Raises:
        UnknownNameError: no such id.
    """
    if isinstance(env, VecEnv):
        if previous:
            raise OptionError("previous needs an environment of Gymnasium, not of Stable-Baselines3")
        return env if isinstance(env, GymVecEnv | StableVecEnv) else StableVecEnv(env)
    if isinstance(env, str):
        vector: VectorEnv = make_vec(env, num_envs or 1, **options)
    else:
        vector = env if isinstance(env, VectorEnv) else SyncVectorEnv([lambda: env], autoreset_mode=SAME_STEP)
    return GymVecEnv(PreviousAction(vector, previous) if previous else vector)


def make_vec(env_id: str, num_envs: int, **options: Any) -> VectorEnv:
    """`gymnasium.make_vec` in same-step mode, with an error that lists close names. The id must be registered.

    Raises:
        UnknownNameError: no such id.
    """
    if env_id not in gym.registry:
        raise UnknownNameError("environment", env_id, _similar_ids(env_id), IMPORT_ADVICE)
    if _resets_itself(gym.spec(env_id).vector_entry_point) and "wrappers" not in options:
        return gym.make_vec(env_id, num_envs, autoreset_mode=AutoresetMode.SAME_STEP, **options)
    given = {"vectorization_mode": "sync"} | options
    given["vector_kwargs"] = {"autoreset_mode": AutoresetMode.SAME_STEP} | (options.get("vector_kwargs") or {})
    return gym.make_vec(env_id, num_envs, **given)


def has_no_time_limit(env_id: str) -> bool:
    """Whether Gymnasium ends no episode of a registered environment, and it is made one by one."""
    spec = gym.registry.get(env_id)
    return spec is not None and spec.max_episode_steps is None and not _resets_itself(spec.vector_entry_point)


def _resets_itself(entry_point: Any) -> bool:
    """Whether an entry point makes a native vector environment in the autoreset mode that it is asked for."""
    if isinstance(entry_point, str):
        entry_point = load_env_creator(entry_point)
    return entry_point is not None and "autoreset_mode" in inspect.signature(entry_point).parameters


def step(
    env: GymVecEnv | StableVecEnv, actions: NDArray, drop: bool = False
) -> tuple[Experience, list[dict[str, Any]]]:
    """Steps an environment; returns arrays, and its infos for callbacks of Stable-Baselines3.

    Args:
        drop: leave out what holds numbers that are none; else that is an error.

    Raises:
        ObservationError: an observation or a reward is no number, or too large to be learned from.
    """
    *_, infos = env.step(actions)
    assert env.experience is not None
    return sound(env.experience, f"after step {env.steps}", drop), infos


def start(env: GymVecEnv | StableVecEnv, drop: bool = False) -> tuple[Any, NDArray[np.bool_]]:
    """Starts new episodes everywhere; returns their first observations, and which of them were mended, `(N,)`.

    Raises:
        ObservationError: without `drop`; one is no number, or too large to be learned from.
    """
    return sound_observation(env.reset(), env.num_envs, "after a reset", drop)


def _similar_ids(env_id: str) -> list[str]:
    own = [name for name in gym.registry if name.startswith("embodied/")]
    return sorted({*own, *difflib.get_close_matches(env_id, list(gym.registry), n=5)})
