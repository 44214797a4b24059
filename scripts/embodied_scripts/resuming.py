"""Going on with what was begun: only what may change does, and no folder names what lies outside of it.

A run may come from somebody else. What its settings say of modules, devices and paths is not followed: a randomization
is kept in the folder, and the rest is to be given again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from embodied.errors import CheckpointError, OptionError
from embodied.files import is_path
from embodied.nn.checkpoint import save_json
from embodied.nn.policy import load_policy
from embodied.randomization.spec import Randomization
from embodied_policies.option_policy import OptionPolicy, chooses_options

# what is not of the run
OF_THIS_CALL = {"run_dir", "resume", "seeds", "with_memoryless", "ray", "view", "view_every", "device"}
RANDOMIZATION, EXPERT, POLICY = "randomization.json", "expert", "policy"


def settings_as_json(asked: Any) -> dict[str, Any]:
    """The settings of a run, as its folder keeps them."""
    return {key: value for key, value in asdict(asked).items() if key not in OF_THIS_CALL}


def refuse_changes(folder: Path, begun: Any, given: Any, plain: Any, free: Collection[str] = ("steps", "id")) -> None:
    """Refuses to go on with other settings than a run was begun with.

    Args:
        begun, given, plain: settings of one class, as the run was begun with, as they are given, and by default.
        free: names of those that may change.

    Raises:
        OptionError: something was given that is neither the default nor what the run has.
    """
    had, wanted, usual = (_flat(settings_as_json(one)) for one in (begun, given, plain))
    for name in had.keys() - {*free}:
        if wanted[name] not in (usual[name], had[name]):
            before = "its default" if had[name] is None else repr(had[name])
            raise OptionError(f"{folder} was begun with {name} = {before}, which --resume cannot change")


def keep_randomization(folder: Path, file: str | None) -> None:
    """Writes the randomization of a file into a run's folder."""
    if file is not None:
        save_json(folder / RANDOMIZATION, Randomization.load(file).jsonable())


def kept_randomization(folder: Path) -> str:
    """The file that `keep_randomization` wrote.

    Raises:
        CheckpointError: there is none.
    """
    if not (folder / RANDOMIZATION).is_file():
        raise CheckpointError(f"{folder} was begun with a randomization, and holds none: is {RANDOMIZATION} missing?")
    return str(folder / RANDOMIZATION)


def keep_expert(folder: Path, expert: str | None) -> None:
    """Copies an expert that is the policy of a run into another run's folder."""
    if expert is not None and (kept := Path(expert) / POLICY).is_dir():
        (OptionPolicy.load(kept) if chooses_options(kept) else load_policy(kept)).save(folder / EXPERT / POLICY)


def refuse_paths(folder: Path, begun: Collection[str], given: Collection[str]) -> None:
    """Refuses options that are paths, as a folder has them, unless they are given again.

    Raises:
        OptionError: there is one.
    """
    paths = [option for option in begun if is_path(option) and option not in given]
    if paths:
        raise OptionError(f"{folder} was begun with {paths[0]}, a path outside of it: give it again (--options)")


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """All settings on one level, as on the command line."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value) if isinstance(value, dict) else {name: value}
    return flat
