"""What commands write down of the origin of what they make."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from embodied.errors import LineageError
from embodied.lineage.content import POLICY, is_policy
from embodied.lineage.line import Line
from embodied.lineage.making import Making
from embodied.nn.checkpoint import read_card
from embodied.physics.threads import default_threads
from embodied_scripts.cli.identify import Identify
from embodied_scripts.cli.options import IMPORTED
from embodied_scripts.cli.train import Train
from embodied_scripts.ids import parse_options
from embodied_scripts.resuming import settings_as_json
from embodied_scripts.runs import saved_policy

START, CHECKPOINT, EXPERT, DEMONSTRATIONS = "initial policy", "checkpoint", "expert", "demonstrations"
RANDOMIZATION, PLAYER, RECORDING, FIT = "randomization", "player", "recording", "fit"
COMMAND, HEURISTIC = "command", "heuristic"


def training(asked: Train, environment: dict[str, Any], folder: Path) -> Making:
    """A training, and what it begins with, or what the checkpoint in a policy's folder was made from.

    Args:
        environment: its specification.
    """
    settings = settings_as_json(asked) | {COMMAND: type(asked).__name__}
    settings |= {"threads": asked.threads or default_threads(), "device": asked.device}
    if asked.resume:
        with suppress(LineageError):  # what is recorded may be damaged, which stops nobody from going on
            return Making.resume(Line.load(folder), settings, tuple(IMPORTED))
    made_from = [(CHECKPOINT, folder)] if asked.resume else parents_of(asked)
    kind = "train" if asked.steps else "clone"
    return Making.begin(kind, made_from, settings, environment, (asked.seed,), tuple(IMPORTED))


def begun(
    kind: str, asked: Any, made_from: Sequence[tuple[str, Path]] = (), environment: dict[str, Any] | None = None
) -> Making:
    """What a command is about to make.

    Args:
        asked: its options; made_from: roles and artifacts; environment: its specification.
    """
    seed = getattr(asked, "seed", None)
    seeds = () if seed is None else (seed,)
    return Making.begin(kind, made_from, asdict(asked), environment, seeds, tuple(IMPORTED))


def parents_of(asked: Train) -> list[tuple[str, Path]]:
    """What a training begins with, by the role of each; what does not exist is refused by whoever reads it."""
    found = []
    if asked.start_from is not None:
        found.append((START, saved_policy(asked.start_from)))
    if asked.expert is not None and asked.expert != HEURISTIC:
        found.append((EXPERT, Path(asked.expert) / POLICY))
    if asked.demonstrations is not None:
        found.append((DEMONSTRATIONS, Path(asked.demonstrations)))
    if asked.randomize is not None:
        found.append((RANDOMIZATION, Path(asked.randomize)))
    return [(role, path) for role, path in found if path.exists()] + randomized_by(asked.options)


def randomized_by(options: Sequence[str]) -> list[tuple[str, Path]]:
    """The randomization that options of an environment name, if they do."""
    file = parse_options(options).get("randomize")
    return [(RANDOMIZATION, Path(file))] if isinstance(file, str) and Path(file).is_file() else []


def identified_from(asked: Identify) -> list[tuple[str, Path]]:
    """The model and the recordings that a fit is made from, and those that judge it."""
    roles = {"model": (asked.bench.model,), RECORDING: asked.recordings, "held-out recording": asked.held_out}
    return [(role, path) for role, paths in roles.items() for path in paths]


def environment_of(folder: Path) -> dict[str, Any]:
    """The environment that the card of a policy names."""
    told = read_card(folder).get("env") if is_policy(folder) else None
    return told if isinstance(told, dict) else {}
