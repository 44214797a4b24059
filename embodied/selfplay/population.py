"""The members of a league on disk, and every game that was counted between them.

`league.json` says who belongs; it is replaced in one move after a member's folder is complete, so that a kill at any
moment loses at most what was being added.
"""

from __future__ import annotations

import math
import shutil
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from embodied.errors import CheckpointError, OptionError
from embodied.files import checked, is_path
from embodied.nn.checkpoint import load_json, save_json
from embodied.nn.policy import SequencePolicy, load_policy

LEAGUE, MEMBERS = "league.json", "members"
FORMAT = 1


class CorruptMemberWarning(RuntimeWarning):
    """A member whose files are damaged: it is refused, and the league goes on without it."""


@dataclass(frozen=True)
class Member:
    """Someone to play against.

    Attributes:
        name: unique within the league.
        kind: "anchor" (scripted), "snapshot", "champion" (a snapshot that had surely beaten the last) or "exploiter".
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


class _Saved(msgspec.Struct):
    format: int
    made: int
    members: list[Member]
    scores: dict[str, Score]


def _is_plain(name: str) -> bool:
    """Whether a name is that of a folder, and of no path."""
    return bool(name) and not name.startswith(".") and not is_path(name)


class Population:
    """Members by name, in the order in which they came, and the learner's scores against them.

    Args:
        folder: where it lives; what is there is taken up.
        size: how many members with weights are kept.
        writable: whether to change anything there; a second process beside a training must not.
        fits: raises a `CheckpointError` for policies of another game.

    Raises:
        CheckpointError: `league.json` is damaged.
    """

    def __init__(
        self,
        folder: Path,
        size: int = 24,
        writable: bool = True,
        fits: Callable[[SequencePolicy], None] = lambda policy: None,
    ) -> None:
        if size < 2:
            raise OptionError("a league keeps at least 2 members")
        self.folder, self.size, self.writable, self._fits = folder, size, writable, fits
        self.members: dict[str, Member] = {}
        self.scores: dict[str, Score] = {}
        self.made = 0
        self._loaded: dict[str, SequencePolicy] = {}
        self._refused: set[str] = set()
        if (folder / LEAGUE).exists():
            self._take_up(load_json(folder / LEAGUE))

    @property
    def champion(self) -> str | None:
        """The newest member that had surely beaten the one before."""
        return next((m.name for m in reversed(self.members.values()) if m.kind == "champion"), None)

    @property
    def with_weights(self) -> list[str]:
        """Names of the members that are networks, but for those that were refused."""
        return [m.name for m in self.members.values() if m.kind != "anchor" and m.name not in self._refused]

    @property
    def newest_step(self) -> int:
        """Of the learner, when the newest network was added; 0 before there is one."""
        return max((self.members[name].step for name in self.with_weights), default=0)

    def add_anchors(self, names: list[str]) -> None:
        """Adds scripted members, which have no files."""
        for name in names:
            self.members.setdefault(name, Member(name, "anchor", 0))
            self.scores.setdefault(name, Score())
        self._write()

    def add(self, policy: SequencePolicy, kind: str, step: int, card: dict[str, Any] | None = None) -> Member:
        """Freezes a policy as a new member; the oldest redundant one makes room.

        Raises:
            OptionError: the population is not to be changed.
        """
        if not self.writable:
            raise OptionError(f"{self.folder} was opened to be read only")
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
        """The policy of a member; None, with a warning that names it, if it cannot be played against.

        Then it is left out as long as this process lives; its files stay as they are.
        """
        if name not in self._loaded and name not in self._refused:
            try:
                policy = load_policy(self.folder / MEMBERS / name)
                self._fits(policy)
            except CheckpointError as error:
                warnings.warn(f"{name} is refused: {error}", CorruptMemberWarning, stacklevel=2)
                self._refused.add(name)
            else:
                self._loaded[name] = policy
        return self._loaded.get(name)

    def count(self, name: str, score: float, forgetting: float) -> None:
        """Counts a game of the learner against a member; older games count less and less."""
        if name in self.scores:
            old = self.scores[name]
            self.scores[name] = Score(old.games * forgetting + 1, old.wins * forgetting + score)

    def write(self) -> None:
        """Writes down members and scores."""
        self._write()

    def _redundant(self) -> list[str]:
        """Who must go beyond `size`: those nearest in age to their neighbors; never the ends or the champion."""
        kept = [self.members[name] for name in self.with_weights]
        gone = []
        while len(kept) > self.size:
            inner = [i for i in range(1, len(kept) - 1) if kept[i].name != self.champion]
            gaps = [kept[i + 1].step - kept[i - 1].step for i in inner]
            gone.append(kept.pop(inner[int(np.argmin(gaps))] if inner else 0).name)
        return gone

    def _take_up(self, saved: dict[str, Any]) -> None:
        league = checked(saved, _Saved, f"{self.folder / LEAGUE} is no league of this version", CheckpointError)
        self.members = {member.name: member for member in league.members}
        self.scores, self.made = dict(league.scores), league.made
        wrong = ""
        if league.format != FORMAT:
            wrong = f"format {league.format}"
        elif set(self.scores) != set(self.members) or not all(map(_is_plain, self.members)):
            wrong = "members and scores do not go together"
        elif not all(0 <= score.wins <= score.games < math.inf for score in self.scores.values()):
            wrong = "scores are no shares of games"
        if wrong:
            raise CheckpointError(f"{self.folder / LEAGUE} is no league of this version: {wrong}")
        for path in (self.folder / MEMBERS).glob("*") if self.writable else ():
            if path.is_dir() and not path.is_symlink() and path.name not in self.members:
                shutil.rmtree(path)  # was being added, or taken out, when the process died

    def _write(self) -> None:
        if not self.writable:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        members = [asdict(member) for member in self.members.values()]
        scores = {name: asdict(score) for name, score in self.scores.items()}
        save_json(self.folder / LEAGUE, {"format": FORMAT, "made": self.made, "members": members, "scores": scores})
