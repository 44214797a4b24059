"""What an environment is, as data: enough to make it again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import msgspec
from gymnasium import spaces
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.wrappers import FilterObservation, TimeLimit
from stable_baselines3.common.vec_env import VecEnv

from embodied.errors import CheckpointError, OptionError, UnknownNameError
from embodied.files import checked, is_path, read_json
from embodied.spaces import MASK
from embodied.vector.members import members_of
from embodied.vector.previous_action import PreviousAction
from embodied.vector.vec import GymVecEnv, has_no_time_limit, make_vec

# what `gymnasium.make_vec` keeps beside the options of the environment itself
NOT_OPTIONS = (
    "num_envs",
    "threads",
    "autoreset_mode",
    "adversary",
    "render_mode",
    "vectorization_mode",
    "vector_kwargs",
    "wrappers",
    "randomize",
)


class _SavedSpec(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    options: dict[str, str | int | float | bool | None] = {}
    randomization: dict[str, Any] | None = None
    previous: tuple[Literal["action", "reward"], ...] = ()
    unsaved: tuple[str, ...] = ()
    observe: tuple[str, ...] = ()


@dataclass(frozen=True)
class EnvSpec:
    """An environment by its id, with everything that it was made with.

    Attributes:
        id: as registered with Gymnasium.
        options: keyword arguments of its constructor.
        randomization: a file that `Randomization.save` wrote, or what is in it; None without one.
        previous: what is added to observations: "action" and "reward" of the step before.
        observe: keys of a Dict observation that are kept, with any mask; empty for all.
        unsaved: options that were no plain values, so that the environment is another one without them.
    """

    id: str
    options: Mapping[str, Any] = field(default_factory=dict)
    randomization: str | Mapping[str, Any] | None = None
    previous: tuple[str, ...] = ()
    unsaved: tuple[str, ...] = ()
    observe: tuple[str, ...] = ()

    def make(self, num_envs: int, longest: int | None = None, **more: Any) -> GymVecEnv:
        """Makes `num_envs` of it; `more` are further options.

        Args:
            longest: steps after which episodes are cut off where the environment has no time limit of its own.

        Raises:
            UnknownNameError: no such id is registered, or nothing of that name is observed.
        """
        differing: dict[str, Any] = {} if self.randomization is None else {"randomize": self.randomization}
        wrappers: list[Callable[[gym.Env], gym.Env]] = [partial(_observing, self.observe)] if self.observe else []
        if longest is not None and has_no_time_limit(self.id):
            wrappers.append(partial(TimeLimit, max_episode_steps=longest))
        if wrappers:
            differing["wrappers"] = wrappers
        env = make_vec(self.id, num_envs, **(dict(self.options) | differing | more))
        return GymVecEnv(PreviousAction(env, self.previous) if self.previous else env)

    @classmethod
    def of(cls, env: VecEnv | None) -> EnvSpec:
        """What an environment was made with, as far as it tells; one that does not is called by its class."""
        gym_env: Any = getattr(env, "gym_env", env)
        previous: tuple[str, ...] = ()
        if isinstance(gym_env, PreviousAction):
            previous, gym_env = gym_env.what, gym_env.env
        spec = _spec_of(gym_env)
        if spec is None:
            return cls(_name_of(gym_env), previous=previous)
        given = {name: value for name, value in spec.kwargs.items() if name not in NOT_OPTIONS}
        plain = {name: v for name, v in given.items() if isinstance(v, str | int | float | None)}
        randomize = spec.kwargs.get("randomize")
        observe = _observed(gym_env)
        unsaved = sorted(given.keys() - plain.keys()) + ["wrappers"] * (bool(spec.additional_wrappers) and not observe)
        return cls(spec.id, plain, _described(randomize), previous, tuple(unsaved), observe)

    def jsonable(self) -> dict[str, Any]:
        """As JSON."""
        data: dict[str, Any] = {"id": self.id, "options": dict(self.options)}
        if self.randomization is not None:
            data["randomization"] = self.randomization
        for name in ("previous", "unsaved", "observe"):
            if getattr(self, name):
                data[name] = list(getattr(self, name))
        return data

    @classmethod
    def from_jsonable(cls, data: Any, source: Path | str = "the card") -> EnvSpec:
        """The inverse of `jsonable`.

        Raises:
            CheckpointError: it describes no environment.
        """
        saved = checked(data, _SavedSpec, f"{source} does not describe an environment", CheckpointError)
        paths = [name for name, value in saved.options.items() if isinstance(value, str) and is_path(value)]
        if paths:
            raise CheckpointError(f"{source} asks for an environment with the path {paths[0]}: make it yourself")
        return cls(**{name: getattr(saved, name) for name in cls.__dataclass_fields__})

    def __str__(self) -> str:
        options = ", ".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.id} ({options})" if options else self.id


def _observing(keys: tuple[str, ...], env: gym.Env) -> gym.Env:
    """An environment of whose observations some keys are left."""
    known = env.observation_space.spaces if isinstance(env.observation_space, spaces.Dict) else {}
    for key in keys:
        if key not in known:
            raise UnknownNameError("part of an observation", key, known)
    return FilterObservation(env, [*keys, *({MASK} & known.keys() - {*keys})])


def _observed(env: Any) -> tuple[str, ...]:
    """The keys that `_observing` has left of what the members of a vector environment observe."""
    member = next(iter(members_of(env)), None) if isinstance(env, VectorEnv) else None
    while isinstance(member, gym.Wrapper):
        if isinstance(member, FilterObservation):
            return tuple(str(key) for key in member.filter_keys if key != MASK)
        member = member.env
    return ()


def _spec_of(env: Any) -> gym.envs.registration.EnvSpec | None:
    """What Gymnasium knows of how an environment was made; of several alike that were given, the first."""
    if getattr(env, "spec", None) is not None or not isinstance(env, VectorEnv):
        return getattr(env, "spec", None)
    members = members_of(env)
    return members[0].spec if members and not isinstance(env, VectorWrapper) else None


def _name_of(env: Any) -> str:
    """The class of an environment that nobody registered; of the members, where a vector environment has some."""
    given = getattr(env, "given", env)
    members = members_of(given) if isinstance(given, VectorEnv) else ()
    return type(members[0].unwrapped if members else given).__name__


def _described(randomize: Any) -> Any:
    """A randomization as JSON, whether it was given as an object, a file or JSON."""
    if hasattr(randomize, "jsonable"):
        return randomize.jsonable()
    return read_json(Path(randomize), OptionError) if isinstance(randomize, str | Path) else randomize
