"""Runs on disk: their policies, and the environment that they were trained on."""

from __future__ import annotations

from pathlib import Path

import embodied_envs  # noqa: F401  (registers the ids)
from embodied.agent import Agent
from embodied.errors import CheckpointError, UnknownNameError
from embodied.nn.agent import NetworkAgent
from embodied.nn.checkpoint import policy_folder, read_card
from embodied.nn.generation import CARD
from embodied.nn.policy import SequencePolicy, load_policy
from embodied.vector.spec import EnvSpec
from embodied.vector.vec import GymVecEnv
from embodied_policies.option_policy import OptionPolicy, chooses_options
from embodied_policies.trained import trained_folder
from embodied_scripts.ids import resolve_id
from embodied_scripts.planning import option_policy_agent

REFERENCES = ("random", "uninformed", "heuristic", "oracle")


def load_runs(folders: list[Path]) -> tuple[dict[str, SequencePolicy], EnvSpec]:
    """Returns the policies by run name, and the environment that they share."""
    policies = [policy_folder(folder) for folder in folders]
    if over := [folder for folder, policy in zip(folders, policies, strict=True) if chooses_options(policy)]:
        raise CheckpointError(
            f"{over[0]} holds a policy over options: it can be played, collected from, be an expert (train --expert) "
            "and be measured (bench think --network)"
        )
    cards = [read_card(folder) for folder in policies]
    for folder, card in zip(folders, cards, strict=True):
        if card.get("env") != cards[0].get("env"):
            raise CheckpointError(f"{folder} was trained on {card.get('env')}, {folders[0]} on {cards[0].get('env')}")
    spec = EnvSpec.from_jsonable(cards[0].get("env"), folders[0])
    names = [folder.name for folder in folders]
    if len(set(names)) < len(names) or set(names) & set(REFERENCES):
        names = [str(folder) for folder in folders]
    return {name: load_policy(folder) for name, folder in zip(names, policies, strict=True)}, spec


def saved_agent(folder: Path, env: GymVecEnv) -> Agent:
    """Who acts by a saved policy in the worlds of `env`: a network, or a policy over options with who acts for it.

    Raises:
        CheckpointError: the folder holds no intact policy.
        OptionError, UnknownNameError: it is one over options, and the task has others, or none.
    """
    if chooses_options(folder):
        return option_policy_agent(env, OptionPolicy.load(folder))
    return NetworkAgent(load_policy(folder))


def saved_policy(target: str) -> Path:
    """The folder of a policy: that of a run, of a policy itself, or of the one that comes with an environment.

    Raises:
        CheckpointError: none comes with that environment; UnknownNameError: there is neither.
    """
    if Path(target).exists():
        return policy_folder(target)
    try:
        name = resolve_id(target).removeprefix("embodied/")
    except UnknownNameError as error:
        raise UnknownNameError("run, or environment with a policy,", target, error.known) from None
    folder = trained_folder(name)
    if folder is None:
        raise CheckpointError(f"no policy comes with the package for {target}: name the folder of a run")
    return folder


def runs_in(folder: Path) -> list[Path]:
    """Returns `folder` if it is a run, else the runs right below it."""
    if (policy_folder(folder) / CARD).is_file():
        return [folder]
    found = sorted(path.parent for path in folder.glob("*/policy") if path.is_dir())
    if not found:
        raise CheckpointError(f"{folder} holds no run with a saved policy; train one: embodied train Signpost-v0")
    return found
