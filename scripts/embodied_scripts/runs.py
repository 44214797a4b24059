"""Runs on disk: their policies, and the environment that they were trained on."""

from __future__ import annotations

from pathlib import Path

import embodied_envs  # noqa: F401  (registers the ids)
from embodied.errors import CheckpointError
from embodied.nn.checkpoint import read_card
from embodied.nn.policy import SequencePolicy, load_policy
from embodied.vector.spec import EnvSpec

REFERENCES = ("random", "uninformed", "heuristic", "oracle")


def load_runs(folders: list[Path]) -> tuple[dict[str, SequencePolicy], EnvSpec]:
    """Returns the policies by run name, and the environment that they share."""
    cards = [read_card(folder / "policy") for folder in folders]
    for folder, card in zip(folders, cards, strict=True):
        if card.get("env") != cards[0].get("env"):
            raise CheckpointError(f"{folder} was trained on {card.get('env')}, {folders[0]} on {cards[0].get('env')}")
    spec = EnvSpec.from_jsonable(cards[0].get("env"), folders[0])
    names = [folder.name for folder in folders]
    if len(set(names)) < len(names) or set(names) & set(REFERENCES):
        names = [str(folder) for folder in folders]
    return {name: load_policy(folder / "policy") for name, folder in zip(names, folders, strict=True)}, spec


def runs_in(folder: Path) -> list[Path]:
    """Returns `folder` if it is a run, else the runs right below it."""
    if (folder / "policy").is_dir():
        return [folder]
    found = sorted(path.parent for path in folder.glob("*/policy") if path.is_dir())
    if not found:
        raise CheckpointError(f"{folder} holds no run with a saved policy; train one: embodied train Signpost-v0")
    return found
