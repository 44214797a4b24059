"""What options have led to in earlier plans, and in earlier episodes: where nothing is known yet, it stands for it."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from embodied.errors import CheckpointError
from embodied.files import DAMAGED, one_line, read_arrays
from embodied.mind.options.problem import OptionOutcome

KEPT = 4  # outcomes of an option after the same options
SEEN = 30  # outcomes, before which nobody knows how much is to be had
CERTAIN = 0.01  # share of the range of returns, within which there is nothing more to be had

VERSION = 1  # of files
ARRAYS = ("reward", "seen", "over", "seconds")  # of an outcome, in the order of its fields

History = tuple[str, ...]  # options that were taken up since the episode began


class OutcomeTable:
    """Outcomes of options, by what was done before in the episode.

    Args:
        alike: whether value k of what is hidden is the same in all problems, as labels are; values that are drawn anew
            for each problem are not, and nothing is kept of them but what they earn on average.

    Attributes:
        most, least: of what an option has earned.
    """

    def __init__(self, alike: bool = True) -> None:
        self.alike = alike
        self.most, self.least = -np.inf, np.inf
        self._count, self._adds_up = 0, False
        self._kept: dict[tuple[History, str], deque[OptionOutcome]] = defaultdict(lambda: deque(maxlen=KEPT))

    @property
    def range(self) -> float:
        """Of what options have earned."""
        return max(self.most - self.least, 1e-12) if self._count else 1.0

    @property
    def enough(self) -> float:
        """What nearly as much as can be had is worth; no end while too little has been seen, or if rewards add up."""
        return np.inf if self._adds_up or self._count < SEEN else self.most - CERTAIN * self.range

    def note(self, history: History, action: str, outcome: OptionOutcome) -> None:
        """Takes in what an option has led to."""
        self._count += 1
        self.most = max(self.most, float(outcome.reward.max()))
        self.least = min(self.least, float(outcome.reward.min()))
        self._adds_up |= bool((outcome.reward > 0)[~outcome.over].any())
        self._kept[history, action].append(outcome if self.alike else _for_all(outcome, 1))

    def recall(self, history: History, action: str, k: int) -> OptionOutcome | None:
        """What it has led to before, for K values; None if it never was tried there."""
        kept = [one for one in self._kept.get((history, action), ()) if not self.alike or len(one.reward) == k]
        if not kept:
            return None
        outcome = _together(kept)
        return outcome if self.alike else _for_all(outcome, k)

    def save(self, path: Path) -> None:
        """Writes all of it to a file."""
        kept = [(history, action, outcome) for (history, action), all_ in self._kept.items() for outcome in all_]
        about = {
            "version": VERSION, "alike": self.alike, "adds_up": self._adds_up, "count": self._count,
            "earned": [self.least, self.most] if self._count else [0.0, 0.0],
            "outcomes": [[list(history), action, o.after, o.exact] for history, action, o in kept],
        }  # fmt: skip
        arrays = {f"{name}{i}": getattr(o, name) for i, (_, _, o) in enumerate(kept) for name in ARRAYS}
        text = np.frombuffer(msgspec.json.encode(about), np.uint8)
        with path.open("wb") as file:
            np.savez_compressed(file, about=text, **arrays)

    @classmethod
    def load(cls, path: Path) -> OutcomeTable:
        """Reads what `save` wrote.

        Raises:
            CheckpointError: it is missing, damaged, or of another version.
        """
        try:
            arrays = read_arrays(path)
            about = msgspec.json.decode(arrays["about"].tobytes(), type=_About)
            if about.version != VERSION:
                raise ValueError(f"it is of version {about.version}, not {VERSION}")
            table = cls(about.alike)
            table._count, table._adds_up = about.count, about.adds_up
            if about.count:
                table.least, table.most = about.earned
            for i, (history, action, after, exact) in enumerate(about.outcomes):
                given: dict[str, Any] = {name: arrays[f"{name}{i}"] for name in ARRAYS}
                outcome = _checked(OptionOutcome(**given, after=after, exact=exact))
                table._kept[tuple(history), action].append(outcome)
        except DAMAGED as wrong:
            raise CheckpointError(f"{path} is no table of outcomes: {one_line(wrong)}") from None
        return table


class _About(msgspec.Struct):
    """What a file says of its arrays; an outcome is what was done before, the option, the node after, and `exact`."""

    version: int
    alike: bool
    adds_up: bool
    count: int
    earned: tuple[float, float]
    outcomes: list[tuple[list[str], str, int, bool]]


def _checked(outcome: OptionOutcome) -> OptionOutcome:
    shape = outcome.reward.shape
    fits = len(shape) == 2 and outcome.over.shape == outcome.seconds.shape == shape == outcome.seen.shape[:-1]
    numbers = all(np.isfinite(each).all() for each in (outcome.reward, outcome.seen, outcome.seconds))
    if not (fits and min(shape) > 0 and numbers and outcome.over.dtype == bool):
        raise ValueError("an outcome is not of one shape, or not of numbers")
    return outcome


def _for_all(outcome: OptionOutcome, k: int) -> OptionOutcome:
    """The average, whatever the value is; it tells nothing of it."""
    one = np.ones((k, 1))
    return replace(
        outcome,
        reward=outcome.reward.mean() * one,
        seen=np.zeros((k, 1, k)),
        over=outcome.over.mean() * one > 0.5,
        seconds=outcome.seconds.mean() * one,
        exact=True,
    )


def _together(outcomes: list[OptionOutcome]) -> OptionOutcome:
    """Samples of several plays taken for those of one."""
    parts: dict[str, Any] = {name: np.concatenate([getattr(o, name) for o in outcomes], axis=1) for name in ARRAYS}
    return replace(outcomes[-1], **parts)
