"""Going on with what was begun: only what may change does."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from embodied.errors import OptionError

OF_THIS_CALL = {"run_dir", "resume", "seeds", "with_memoryless", "ray", "view", "view_every"}  # not of the run


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


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """All settings on one level, as on the command line."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value) if isinstance(value, dict) else {name: value}
    return flat
