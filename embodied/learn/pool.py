"""The members of a league on disk, and every game that was counted between them.

`league.json` says who belongs; it is replaced in one move after a member's folder is complete, so that a kill at any
moment loses at most what was being added.
"""

from __future__ import annotations

import shutil
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from embodied.errors import CheckpointError, OptionError
from embodied.learn.checkpoint import load_json, save_json
from embodied.learn.policy import SequencePolicy, load_policy

LEAGUE, MEMBERS = "league.json", "members"
FORMAT = 1


class CorruptMemberWarning(RuntimeWarning):
    """A member whose files are damaged: it is refused, and the league goes on without it."""


@dataclass(frozen=True)
class Member:
    """Someone to play against.

    Attributes:
        name: unique within the league.
        kind: "founder" (scripted), "snapshot", "champion" (a snapshot that had surely beaten the last) or "exploiter".
        step: of the learner, when it was added.
    """

    name: str
    kind: str
    step: int


@dataclass
class Score:
    """Games of one player against another, counted from the first one's side; a draw is half a win."""

    games: float = 0.0
    wins: float = 0.0

    @property
    def share(self) -> float:
        """The share won, one half before any game."""
        return self.wins / self.games if self.games else 0.5


class Pool:
    """Members by name, in the order in which they came, and the learner's scores against them.

    Args:
        folder: where it lives; what is there is taken up.
        size: how many members with weights are kept.

    Raises:
        CheckpointError: `league.json` is damaged.
    """

    def __init__(self, folder: Path, size: int = 24) -> None:
        if size < 2:
            raise OptionError("a league keeps at least 2 members")
        self.folder, self.size = folder, size
        self.members: dict[str, Member] = {}
        self.scores: dict[str, Score] = {}
        self.made = 0
        self._loaded: dict[str, SequencePolicy] = {}
        if (folder / LEAGUE).exists():
            self._take_up(load_json(folder / LEAGUE))

    @property
    def champion(self) -> str | None:
        """The newest member that had surely beaten the one before."""
        return next((m.name for m in reversed(self.members.values()) if m.kind == "champion"), None)

    @property
    def with_weights(self) -> list[str]:
        """Names of the members that are networks."""
        return [m.name for m in self.members.values() if m.kind != "founder"]

    def found(self, names: list[str]) -> None:
        """Adds scripted members, which have no files."""
        for name in names:
            self.members.setdefault(name, Member(name, "founder", 0))
            self.scores.setdefault(name, Score())
        self._write()

    def add(self, policy: SequencePolicy, kind: str, step: int, card: dict[str, Any] | None = None) -> Member:
        """Freezes a policy as a new member; the oldest redundant one makes room."""
        member = Member(f"{kind}-{self.made:04d}", kind, step)
        target = self.folder / MEMBERS / member.name
        part = target.with_name(f".{member.name}.part")
        for stale in (part, target):
            shutil.rmtree(stale, ignore_errors=True)
        policy.save(part)
        if card:
            save_json(part / "about.json", card)
        part.rename(target)
        self.members[member.name], self.scores[member.name] = member, Score()
        self.made += 1
        dropped = self._redundant()
        for name in dropped:
            del self.members[name], self.scores[name]
            self._loaded.pop(name, None)
        self._write()
        for name in dropped:
            shutil.rmtree(self.folder / MEMBERS / name, ignore_errors=True)
        return member

    def policy(self, name: str) -> SequencePolicy | None:
        """The policy of a member; None, with a warning that names it, if its files are damaged: then it is put out."""
        if name not in self._loaded:
            try:
                self._loaded[name] = load_policy(self.folder / MEMBERS / name)
            except CheckpointError as error:
                warnings.warn(f"{name} is refused: {error}", CorruptMemberWarning, stacklevel=2)
                del self.members[name], self.scores[name]
                self._write()
                return None
        return self._loaded[name]

    def count(self, name: str, score: float, forgetting: float) -> None:
        """Counts a game of the learner against a member; older games count less and less."""
        if name in self.scores:
            old = self.scores[name]
            self.scores[name] = Score(old.games * forgetting + 1, old.wins * forgetting + score)

    def write(self) -> None:
        """Writes down members and scores."""
        self._write()

    def _redundant(self) -> list[str]:
        """Who must go beyond `size`: those nearest in age to their neighbours; never the ends or the champion."""
        kept = [self.members[name] for name in self.with_weights]
        gone = []
        while len(kept) > self.size:
            inner = [i for i in range(1, len(kept) - 1) if kept[i].name != self.champion]
            gaps = [kept[i + 1].step - kept[i - 1].step for i in inner]
            gone.append(kept.pop(inner[int(np.argmin(gaps))]).name)
        return gone

    def _take_up(self, saved: dict[str, Any]) -> None:
        try:
            if saved["format"] != FORMAT:
                raise ValueError(f"format {saved['format']!r}")
            self.members = {m["name"]: Member(str(m["name"]), str(m["kind"]), int(m["step"])) for m in saved["members"]}
            self.scores = {name: Score(float(s["games"]), float(s["wins"])) for name, s in saved["scores"].items()}
            self.made = int(saved["made"])
            if set(self.scores) != set(self.members) or any(
                "/" in name or name.startswith(".") for name in self.members
            ):
                raise ValueError("members and scores do not go together")
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{self.folder / LEAGUE} is no league of this version: {error}") from error
        for path in (self.folder / MEMBERS).glob("*"):
            if path.is_dir() and path.name not in self.members:
                shutil.rmtree(path)  # was being added, or taken out, when the process died

    def _write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        members = [asdict(member) for member in self.members.values()]
        scores = {name: asdict(score) for name, score in self.scores.items()}
        save_json(self.folder / LEAGUE, {"format": FORMAT, "made": self.made, "members": members, "scores": scores})
