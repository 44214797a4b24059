"""The environments that a vector environment is made of, and what they have beyond Gymnasium's interface."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import gymnasium as gym
from gymnasium.vector import AsyncVectorEnv, VectorEnv, VectorWrapper

from embodied.errors import OptionError
from embodied.hidden import EXTRAS, Extras


def members_of(env: VectorEnv) -> Sequence[gym.Env]:
    """The environments that live in this process; none where the vector environment is one by nature."""
    return getattr(env.unwrapped, "envs", ())


def layers_of(env: VectorEnv) -> Iterator[VectorEnv]:
    """A vector environment and what it wraps, from the outside in."""
    yield env
    while isinstance(env, VectorWrapper):
        env = env.env
        yield env


def has_method(env: VectorEnv, name: str) -> bool:
    """Whether every member has a method, itself or by a wrapper at any depth (see `call`)."""
    base = env.unwrapped
    if isinstance(base, AsyncVectorEnv):  # its workers die of a question about what they do not have
        like_them = base.env_fns[0]()
        try:
            return like_them.has_wrapper_attr(name)
        finally:
            like_them.close()
    members = members_of(env)
    return bool(members) and all(member.has_wrapper_attr(name) for member in members)


def extras_of(env: VectorEnv) -> Extras | None:
    """What an environment, or the first of several, declares to tell beyond observations; None if nothing.

    Raises:
        OptionError: it declares something else under that name.
    """
    members, base = members_of(env), env.unwrapped
    if isinstance(base, AsyncVectorEnv):
        declared = base.get_attr(EXTRAS)[0] if has_method(env, EXTRAS) else None
    else:
        declared = getattr(members[0].unwrapped if members else base, EXTRAS, None)
    return checked_extras(declared)


def checked_extras(declared: Any) -> Extras | None:
    """What was declared, if it was.

    Raises:
        OptionError: it is no `Extras`.
    """
    if declared is None or isinstance(declared, Extras):
        return declared
    raise OptionError(f"{EXTRAS} of an environment is {declared!r}, where an embodied.hidden.Extras belongs")
