"""How people name environments and options on the command line."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

import embodied_envs  # noqa: F401  (registers the ids)
from embodied.errors import IMPORT_ADVICE, OptionError, UnknownNameError
from embodied_scripts.cli.options import import_module


def resolve_id(name: str) -> str:
    """Returns the registered id that `name` means, with or without prefix and version.

    `module:id` imports a module first, which registers the id, as in `gymnasium.make`.

    Raises:
        OptionError: the module cannot be imported.
        UnknownNameError: there is no such id.
    """
    module, colon, name = name.rpartition(":")
    if colon:
        import_module(module)
    for candidate in (f"embodied/{name}", f"embodied/{name}-v0", name):
        if candidate in gym.registry:
            return candidate
    known = [i.removeprefix("embodied/") for i in (*own_ids(), *foreign_ids())]
    raise UnknownNameError("environment", name, known, "" if colon else IMPORT_ADVICE)


def short_name(env_id: str) -> str:
    """The name of one of this toolkit's environments, without prefix and version."""
    return env_id.removeprefix("embodied/").removesuffix("-v0")


def foreign_ids() -> list[str]:
    """Returns the ids that modules of other people have registered, but for Gymnasium's own."""
    others = [(name, _module_of(spec)) for name, spec in gym.registry.items() if spec.namespace != "embodied"]
    return [name for name, module in others if not module.startswith(("gymnasium", "shimmy"))]


def _module_of(spec: EnvSpec) -> str:
    made_by = spec.entry_point or spec.vector_entry_point
    return made_by.partition(":")[0] if isinstance(made_by, str) else getattr(made_by, "__module__", "")


def own_ids() -> list[str]:
    """Returns the ids of this toolkit's environments."""
    return sorted(name for name in gym.registry if name.startswith("embodied/"))


@contextmanager
def any_version() -> Iterator[None]:
    """Within it, making an environment of which there is a newer version warns of nothing."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is out of date", DeprecationWarning)
        yield


def parse_options(pairs: Iterable[str]) -> dict[str, Any]:
    """Turns `key=value` into keyword arguments; values are Python literals, else strings.

    Raises:
        OptionError: a pair without "=".
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise OptionError(f"option {pair!r} must look like name=value")
        try:
            options[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            options[key] = text
    return options
