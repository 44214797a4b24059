"""Artifacts as a person names them: a run, a folder, a file, or an environment with a policy."""

from __future__ import annotations

from pathlib import Path

from embodied.errors import LineageError
from embodied.lineage.line import Line
from embodied.nn.checkpoint import policy_folder
from embodied_scripts.runs import saved_policy


def artifact_at(given: Path) -> Path:
    """The file or folder that is meant: of a run, its policy.

    Raises:
        CheckpointError, UnknownNameError: there is none.
    """
    if given.exists():
        return policy_folder(given) if given.is_dir() else given
    return saved_policy(str(given))


def printable(text: str) -> str:
    """Text of somebody else's record without what a terminal would obey."""
    return "".join(one if one.isprintable() or one == "\n" else "\N{REPLACEMENT CHARACTER}" for one in text)


def line_at(given: Path) -> tuple[Path, Line]:
    """An artifact and its line.

    Raises:
        LineageError: nothing is recorded of it.
    """
    path = artifact_at(given)
    try:
        return path, Line.load(path)
    except LineageError as error:
        if error.reason != "unrecorded":
            raise
        advice = "it was made before this version, or by other means: embodied lineage record writes it down afterwards"
        raise LineageError("unrecorded", f"nothing is recorded of the origin of {given}; {advice}") from None
