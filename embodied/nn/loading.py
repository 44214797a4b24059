"""Networks built again from a folder, and found by the name of their class."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from embodied.errors import CheckpointError, UnknownNameError
from embodied.files import DAMAGED, one_line
from embodied.nn.checkpoint import WEIGHTS, build_space, load_tensors, policy_folder, read_card, refuse_no_numbers
from embodied.nn.generation import current, verify
from embodied.nn.privilege import Privilege

BEFORE = {"previous_action": False, "plain_critic": True}  # what policies were that say nothing of it


def load_network(path: str | Path, device: torch.device | str, class_of: Callable[[str], type]) -> Any:
    """Builds a saved network again, with its weights.

    Args:
        path: its folder, or that of a run.
        device: where it acts.
        class_of: the class of that name.

    Raises:
        CheckpointError: the folder holds no intact policy, or one of an unknown class.
    """
    folder = policy_folder(path)
    card, weights = read_card(folder), load_tensors(current(folder, WEIGHTS))
    with torch.device("meta"):  # whatever a card claims, what is built is as large as its weights
        claimed = {name: tensor.shape for name, tensor in _built(card, folder, class_of).state_dict().items()}
    _check_weights(weights, claimed, folder)
    network = _built(card, folder, class_of)
    verify(folder, [WEIGHTS])
    network.load_state_dict(weights)
    return network.to(device).eval()


def class_named(name: str, base: type, group: str) -> Any:
    """Returns the subclass of `base` of that name: one that was imported, or that an installed package provides.

    Args:
        group: of the entry points by which packages provide theirs.

    Raises:
        UnknownNameError: there is none; the message lists those there are.
    """
    known = {cls.__name__: cls for cls in _subclasses(base)}
    if name in known:
        return known[name]
    provided = {entry.name: entry for entry in entry_points(group=group)}
    if name not in provided:
        raise UnknownNameError("policy", name, {*known, *provided})
    return provided[name].load()


def _built(card: dict[str, Any], folder: Path, class_of: Callable[[str], type]) -> nn.Module:
    try:
        return class_of(card["policy"])(
            build_space(card["observation_space"]),
            build_space(card["action_space"]),
            privilege=Privilege.from_card(card["privilege"]),
            **(BEFORE | card["settings"]),
        )
    except (*DAMAGED, RecursionError, AssertionError) as error:
        raise CheckpointError(f"the card in {folder} does not describe a policy: {one_line(error)}") from error


def _check_weights(weights: dict[str, Tensor], claimed: dict[str, torch.Size], folder: Path) -> None:
    """Refuses weights of another network, and those that are no numbers."""
    shapes = {name: tensor.shape for name, tensor in weights.items()}
    if shapes != claimed:
        odd = sorted(name for name in {*shapes, *claimed} if shapes.get(name) != claimed.get(name))
        raise CheckpointError(f"{folder / WEIGHTS} does not fit its card: {', '.join(odd[:3])}")
    refuse_no_numbers(weights, f"the weights in {folder} are no numbers")


def _subclasses(cls: type) -> list[type]:
    direct: list[type] = cls.__subclasses__()
    return direct + [sub for child in direct for sub in _subclasses(child)]
