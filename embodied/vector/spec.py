"""What an environment is, as data: enough to make it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stable_baselines3.common.vec_env import VecEnv

from embodied.errors import CheckpointError
from embodied.vector.previous_action import PreviousAction
from embodied.vector.vec import GymVecEnv, make_vec

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


@dataclass(frozen=True)
class EnvSpec:
    """An environment by its id, with everything that it was made with.

    Attributes:
        id: as registered with Gymnasium.
        options: keyword arguments of its constructor.
        randomization: a file that `Randomization.save` wrote, or what is in it; None without one.
        previous: what is added to observations: "action" and "reward" of the step before.
        unsaved: options that were no plain values, so that the environment is another one without them.
    """

    id: str
    options: Mapping[str, Any] = field(default_factory=dict)
    randomization: str | Mapping[str, Any] | None = None
    previous: tuple[str, ...] = ()
    unsaved: tuple[str, ...] = ()

    def make(self, num_envs: int, **more: Any) -> GymVecEnv:
        """Makes `num_envs` of it; `more` are further options.

        Raises:
            UnknownNameError: no such id is registered.
        """
        differing = {} if self.randomization is None else {"randomize": self.randomization}
        env = make_vec(self.id, num_envs, **(dict(self.options) | differing | more))
        return GymVecEnv(PreviousAction(env, self.previous) if self.previous else env)

    @classmethod
    def of(cls, env: VecEnv | None) -> EnvSpec:
        """What an environment was made with, as far as it tells; one that does not is called by its class."""
        gym_env: Any = getattr(env, "gym_env", env)
        previous: tuple[str, ...] = ()
        if isinstance(gym_env, PreviousAction):
            previous, gym_env = gym_env.what, gym_env.env
        spec = getattr(gym_env, "spec", None)
        if spec is None:
            return cls(type(gym_env).__name__, previous=previous)
        given = {name: value for name, value in spec.kwargs.items() if name not in NOT_OPTIONS}
        plain = {name: v for name, v in given.items() if isinstance(v, str | int | float | None)}
        randomize = spec.kwargs.get("randomize")
        return cls(spec.id, plain, _described(randomize), previous, tuple(sorted(given.keys() - plain.keys())))

    def jsonable(self) -> dict[str, Any]:
        """As JSON."""
        data: dict[str, Any] = {"id": self.id, "options": dict(self.options)}
        if self.randomization is not None:
            data["randomization"] = self.randomization
        for name in ("previous", "unsaved"):
            if getattr(self, name):
                data[name] = list(getattr(self, name))
        return data

    @classmethod
    def from_jsonable(cls, data: Any, source: Path | str = "the card") -> EnvSpec:
        """The inverse of `jsonable`.

        Raises:
            CheckpointError: it describes no environment.
        """
        try:
            unknown = set(data) - set(cls.__dataclass_fields__)
            if unknown:
                raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
            lists = {name: tuple(map(str, data.get(name, ()))) for name in ("previous", "unsaved")}
            return cls(str(data["id"]), dict(data.get("options", {})), data.get("randomization"), **lists)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"{source} does not describe an environment: {error}") from error

    def __str__(self) -> str:
        options = ", ".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.id} ({options})" if options else self.id


def _described(randomize: Any) -> Any:
    """A randomization as JSON, whether it was given as an object, a file or JSON."""
    if hasattr(randomize, "jsonable"):
        return randomize.jsonable()
    return json.loads(Path(randomize).read_text(encoding="utf-8")) if isinstance(randomize, str | Path) else randomize
