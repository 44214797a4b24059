"""Where the vector dialects meet: Gymnasium's, with its three autoreset modes, and Stable-Baselines3's.

A learner sees one thing, `Experience`: what a step led to before any reset, and what the next step starts from.
"""

from __future__ import annotations

import difflib
import inspect
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import load_env_creator
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv as VecEnv
from stable_baselines3.common.vec_env import VecMonitor

from embodied.errors import OptionError, UnknownNameError
from embodied.spaces import MASK, mask_of
from embodied.vector.batches import flags_of, merged, numbers_of, row_of, stack_observations
from embodied.vector.previous_action import PreviousAction

IMPORT_ADVICE = "; if it is another module's, import that first (on the command line: --import MODULE)"
SAME_STEP = AutoresetMode.SAME_STEP
COUNTED = ("was_done", "returns", "lengths")  # what GymVecEnv itself remembers of each environment
PRIVILEGED = ("hidden", "state", "shaping")


@dataclass
class Experience:
    """One step of N environments.

    Attributes:
        obs: what the next step starts from; the first observation of a new episode where `ended`.
        final_obs: what the step led to; equals `obs` except where `ended`.
        reward, terminated, truncated: `(N,)`.
        ignore: nothing is to be learned from this step, `(N,)`: the environment used it only to reset itself, or its
            physics failed.
        privileged, final_privileged: `hidden`, `state` and `shaping` that go with `obs` and `final_obs`;
            empty where the environment has none.
        success: `(N,)`, or None where the environment does not say.
        mask: which choices are allowed next, `(N, …)`, or None where nothing is ever forbidden.
        sampled_parameters: what each world was given in the episode of this step, `(N, k)`; None where worlds do not
            differ.
        void: the physics failed, and with it the whole episode that ends here counts for nothing, `(N,)`; one False for
            all where that cannot be.
    """

    obs: Any
    final_obs: Any
    reward: NDArray[np.float32]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    ignore: NDArray[np.bool_]
    privileged: dict[str, NDArray] = field(default_factory=dict)
    final_privileged: dict[str, NDArray] = field(default_factory=dict)
    success: NDArray[np.bool_] | None = None
    mask: NDArray[np.bool_] | None = None
    sampled_parameters: NDArray[np.float64] | None = None
    void: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((), bool))

    @property
    def ended(self) -> NDArray[np.bool_]:
        """Episodes that ended with this step, `(N,)`."""
        return self.terminated | self.truncated


class GymVecEnv(VecEnv):
    """A Gymnasium vector environment as a Stable-Baselines3 one; `experience` keeps the last step's arrays.

    All autoreset modes are understood; same-step is best. With autoreset disabled, episodes are restarted
    here. In next-step mode the environment spends one step on its reset: that step is marked `ignore`, and
    its observation belongs to no episode.
    """

    def __init__(self, env: VectorEnv) -> None:
        self.gym_env = env
        self.mode = AutoresetMode(env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP))
        self._seed: int | None = None
        self._was_done = np.zeros(env.num_envs, bool)
        self._returns = np.zeros(env.num_envs)
        self._lengths = np.zeros(env.num_envs, int)
        declared = _declared_hidden(env)
        self.hidden: tuple[Any, ...] = declared or ()
        self._tells = declared is not None
        self.privileged: dict[str, NDArray] = {}
        self.mask: NDArray[np.bool_] | None = None
        members = getattr(env, "envs", ())
        self._asks = bool(members) and all(hasattr(member.unwrapped, "action_masks") for member in members)
        self.experience: Experience | None = None
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

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
        self.mask = self._mask_in(obs, info)
        return obs

    def restart(self, worlds: NDArray[np.bool_]) -> Any:
        """Starts new episodes in some worlds, whatever happens there; returns what is observed now everywhere."""
        obs, info = self.gym_env.reset(options={"reset_mask": worlds})
        self._was_done[worlds] = False
        self._returns[worlds], self._lengths[worlds] = 0, 0
        self.privileged, self.mask = self._privileged(info), self._mask_in(obs, info)
        return obs

    def step_async(self, actions: NDArray) -> None:
        """Keeps the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> Any:
        """Steps, and returns what Stable-Baselines3 expects; the arrays are in `experience`."""
        obs, reward, terminated, truncated, info = self.gym_env.step(self._actions)
        void = self._failed(info.get("final_info", info))
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
            success=flags_of(info["success"]) if "success" in info else None,
            mask=self._mask_in(obs, info),
            sampled_parameters=info.get("final_info", info).get("sampled_parameters"),
        )
        self._was_done = experience.ended
        if experience.ended.any():
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
            if "success" in final:
                experience.success = flags_of(final["success"])
        elif self.mode is AutoresetMode.DISABLED:
            experience.obs, info = self.gym_env.reset(options={"reset_mask": experience.ended})
            fresh, mask = self._privileged(info), self._mask_in(experience.obs, info)
            experience.privileged = {
                key: merged(value, fresh[key], experience.ended) for key, value in experience.privileged.items()
            }
            if experience.mask is not None and mask is not None:
                experience.mask = merged(experience.mask, mask, experience.ended)

    def _failed(self, info: dict[str, Any]) -> NDArray[np.bool_]:
        """Where the physics failed, as an environment that declares its hidden variables tells, `(N,)`."""
        if not self._tells or "failed" not in info:
            return np.zeros(self.num_envs, bool)
        return flags_of(info["failed"])

    def _mask_in(self, obs: Any, info: dict[str, Any]) -> NDArray[np.bool_] | None:
        """Which choices are allowed: by the environments' own method, the observation, or the info."""
        if self._asks:
            return _mask_rows(np.stack([member.unwrapped.action_masks() for member in self.gym_env.envs]))  # type: ignore[attr-defined]
        return _mask_from(obs, info)

    def _privileged(self, info: dict[str, Any]) -> dict[str, NDArray]:
        """What an environment that declares its hidden variables, if only to have none, tells beyond observations."""
        if not self._tells:
            return {}
        return {key: numbers_of(info[key]) for key in PRIVILEGED if key in info}

    def _infos(self, experience: Experience) -> list[dict[str, Any]]:
        """Returns the per-environment dicts of Stable-Baselines3, filled where an episode ended."""
        self._returns += experience.reward
        self._lengths += ~experience.ignore
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for i in np.flatnonzero(experience.ended).tolist():
            infos[i] = {
                "episode": {"r": float(self._returns[i]), "l": int(self._lengths[i])},
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
        """Returns an attribute of the vector environment, once per environment asked for."""
        value = getattr(self.gym_env, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Sets an attribute of the vector environment as a whole."""
        setattr(self.gym_env, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Calls a method of the vector environment as a whole."""
        return [getattr(self.gym_env, method_name)(*args, **kwargs)]

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """Episode statistics are kept here, so this counts as monitored."""
        return [issubclass(wrapper_class, Monitor) for _ in self._get_indices(indices)]

    def get_images(self) -> list[Any]:
        """Returns one picture per environment."""
        return list(self.gym_env.render() or [])


def as_vec_env(
    env: str | gym.Env | VectorEnv | VecEnv, num_envs: int | None = None, previous: tuple[str, ...] = (), **options: Any
) -> VecEnv:
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
        return env if _is_monitored(env) else VecMonitor(env)
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
    if _resets_itself(gym.spec(env_id).vector_entry_point):
        return gym.make_vec(env_id, num_envs, autoreset_mode=AutoresetMode.SAME_STEP, **options)
    same_step = {"autoreset_mode": AutoresetMode.SAME_STEP}
    return gym.make_vec(env_id, num_envs, vectorization_mode="sync", vector_kwargs=same_step, **options)


def _resets_itself(entry_point: Any) -> bool:
    """Whether an entry point makes a native vector environment in the autoreset mode that it is asked for."""
    if isinstance(entry_point, str):
        entry_point = load_env_creator(entry_point)
    return entry_point is not None and "autoreset_mode" in inspect.signature(entry_point).parameters


def step(env: VecEnv, actions: NDArray) -> tuple[Experience, list[dict[str, Any]]]:
    """Steps an environment of Stable-Baselines3's dialect; returns arrays, and its infos for callbacks."""
    obs, reward, ended, infos = env.step(actions)
    if isinstance(env, GymVecEnv) and env.experience is not None:
        return env.experience, infos
    truncated = np.array([bool(info.get("TimeLimit.truncated", False)) for info in infos]) & ended
    final = obs
    if ended.any():
        finals = [infos[i].get("terminal_observation", row_of(obs, i)) for i in range(env.num_envs)]
        final = stack_observations(finals)
    success = [bool(info.get("is_success", False)) for info in infos] if _has_success(infos) else None
    void = np.array([bool(info.get("failed", False)) for info in infos])
    void &= void.any() and env.has_attr("hidden")  # else it is another environment's word
    return Experience(
        obs=obs,
        final_obs=final,
        reward=np.asarray(reward, np.float32),
        terminated=ended & ~truncated,
        truncated=truncated,
        ignore=void,
        void=void,
        success=None if success is None else np.array(success),
    ), infos


def allowed(env: VecEnv) -> NDArray[np.bool_] | None:
    """Which choices an environment of either dialect allows now, `(N, …)`; None if nothing is ever forbidden."""
    if isinstance(env, GymVecEnv):
        return env.mask
    if not env.has_attr("action_masks"):
        return None
    return _mask_rows(np.stack(env.env_method("action_masks")))


def _mask_from(obs: Any, info: dict[str, Any]) -> NDArray[np.bool_] | None:
    """Which choices are allowed, as an observation or else the info of a vector environment tells."""
    mask = mask_of(obs)
    if mask is None and MASK in info:
        rows = _mask_rows(info[MASK])
        known = np.asarray(info.get(f"_{MASK}", np.ones(len(rows), bool)))
        return rows | ~known[:, None]  # where no mask is given, nothing is forbidden
    return None if mask is None else _mask_rows(mask)


def _mask_rows(mask: Any) -> NDArray[np.bool_]:
    if isinstance(mask, tuple):  # one array per choice of a MultiDiscrete space
        return np.concatenate([np.asarray(part) for part in mask], axis=-1).astype(bool)
    rows = numbers_of(mask)
    return rows.reshape(len(rows), -1).astype(bool)


def _is_monitored(env: VecEnv) -> bool:
    return isinstance(env, VecMonitor) or all(env.env_is_wrapped(Monitor))


def _declared_hidden(env: VectorEnv) -> tuple[Any, ...] | None:
    """The hidden variables that an environment, or the first of several, declares; None if it declares nothing."""
    members = getattr(env, "envs", ())
    return getattr(members[0].unwrapped if members else env.unwrapped, "hidden", None)


def _has_success(infos: list[dict[str, Any]]) -> bool:
    return any("is_success" in info for info in infos)


def _similar_ids(env_id: str) -> list[str]:
    own = [name for name in gym.registry if name.startswith("embodied/")]
    return sorted({*own, *difflib.get_close_matches(env_id, list(gym.registry), n=5)})
