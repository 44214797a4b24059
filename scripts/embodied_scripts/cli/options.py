"""Options of a subcommand, from a TOML file and from flags, which override it."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints

import tyro

from embodied.errors import OptionError, UnknownNameError
from embodied.files import read_toml

CONFIG, IMPORT = "--config", "--import"
NOT_IN_A_FILE = ("resume", "config")
FLAGS = {"run_dir": "run"}  # fields that are called otherwise on the command line
IMPORTED: dict[str, None] = {}  # somebody's modules, in the order of their import


def parse(name: str, options: type, arguments: list[str]) -> Any:
    """Returns the options of `embodied NAME`, an instance of `options`.

    `--import MODULE` imports a module first, which may register environments and policies. `--config FILE.toml` gives
    defaults: tables for nested options (`[ppo]`, `[network]`), plain keys for the others.

    Raises:
        OptionError: the file or the module cannot be read, or holds what is no option.
    """
    rest, modules = _taken(arguments, IMPORT)
    rest, files = _taken(rest, CONFIG)
    for module in modules:
        import_module(module)
    default: dict[str, Any] = {}
    for file in files:
        default = {"default": options_in(options, Path(file), default.get("default"))}
    more = f"Also: {CONFIG} FILE.toml (defaults for these options), {IMPORT} MODULE (registers environments, policies)."
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of tyro: a required option whose default comes from a file
        return tyro.cli(
            options,
            prog=f"embodied {name}",
            description=f"{(options.__doc__ or '').strip()}\n\n{more}",
            args=rest,
            config=(tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes),
            **default,
        )


def import_module(name: str) -> ModuleType:
    """Imports somebody's module, also from the working directory.

    Raises:
        OptionError: it cannot be imported.
    """
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    name = name.removesuffix(".py").replace("/", ".")
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        raise OptionError(f"module {name!r} cannot be imported: {error}") from error
    IMPORTED.setdefault(name)
    return module


def import_flags() -> str:
    """The flags with which another command imports the modules that this one did, with a space before each."""
    return "".join(f" {IMPORT} {name}" for name in IMPORTED)


def _taken(arguments: list[str], flag: str) -> tuple[list[str], list[str]]:
    """Arguments without a flag, and the values that it was given."""
    rest, values, position = [], [], 0
    while position < len(arguments):
        one = arguments[position]
        if one == flag:
            if position + 1 == len(arguments):
                raise OptionError(f"{flag} needs a value")
            values.append(arguments[position + 1])
            position += 2
            continue
        if one.startswith(f"{flag}="):
            values.append(one.removeprefix(f"{flag}="))
        else:
            rest.append(one)
        position += 1
    return rest, values


def options_in(options: type, path: Path, before: Any = None) -> Any:
    """Options as a file has them, those it does not name as they were."""
    data = read_toml(path, OptionError)
    if before is None:
        required = [one.name for one in fields(options) if one.default is one.default_factory]
        before = options(**{name: data.get(name, tyro.MISSING) for name in required})
    return _replaced(before, data, path)


def _replaced(options: Any, data: Mapping[str, Any], path: Path) -> Any:
    known = {FLAGS.get(one.name, one.name): one.name for one in fields(options) if one.name not in NOT_IN_A_FILE}
    types = get_type_hints(type(options))
    values: dict[str, Any] = {}
    for flag, value in data.items():
        if flag not in known:
            raise OptionError(f"{path}: {UnknownNameError('option', flag, known)}")
        name = known[flag]
        now = getattr(options, name)
        if is_dataclass(now) != isinstance(value, dict):
            raise OptionError(f"{path}: {name} must {'' if is_dataclass(now) else 'not '}be a table")
        values[name] = _replaced(now, value, path) if is_dataclass(now) else _typed(value, types[name])
    try:
        return replace(options, **values)
    except TypeError as error:
        raise OptionError(f"{path}: {error}") from error


def _typed(value: Any, wanted: Any) -> Any:
    """A value of a TOML file as the field has it: lists are tuples, and names of files are paths."""
    if isinstance(value, list):
        return tuple(value)
    return Path(value) if isinstance(value, str) and Path in (wanted, *get_args(wanted)) else value
