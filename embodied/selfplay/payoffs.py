"""What members of a league have earned against each other, kept on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embodied.agent import Agent
from embodied.errors import CheckpointError
from embodied.files import checked
from embodied.nn.checkpoint import load_json, save_json
from embodied.selfplay.games import Games
from embodied.selfplay.tournament import at_once, play


class Payoffs:
    """What members have earned against each other, on disk, so that no pair has to meet twice.

    Args:
        path: of a JSON file, which is replaced in one move.
        writable: whether it may change.
    """

    def __init__(self, path: Path, writable: bool = True) -> None:
        self._path, self._writable = path, writable
        saved = load_json(path) if path.exists() else {}
        self._of = checked(saved, dict[str, dict[str, float]], f"{path} holds no pay-offs", CheckpointError)

    def complete(self, games: Games, players: dict[str, Agent], rounds: int, seed: int) -> bool:
        """Lets those play who have not met, and forgets those who are gone; whether anyone played."""
        self._of = {
            one: {o: p for o, p in row.items() if o in players} for one, row in self._of.items() if one in players
        }
        played = False
        for i, name in enumerate(players):
            mine = self._of.setdefault(name, {})
            strangers = [o for o in list(players)[:i] if o not in mine and name not in self._of[o]]
            for some in at_once(strangers, games):
                _, returns = play(games, players[name], [players[other] for other in some], rounds, seed + i)
                mine |= dict(zip(some, returns.mean(axis=1).tolist(), strict=True))
                played = True
        if played and self._writable:
            save_json(self._path, self._of)
        return played

    def table(self, names: list[str]) -> NDArray[np.float64]:
        """Mean returns of rows against columns, `(K, K)`."""
        return np.array([[self._between(one, other) for other in names] for one in names]).reshape(2 * [len(names)])

    def _between(self, one: str, other: str) -> float:
        """What one has earned against another; nothing against itself."""
        if one == other:
            return 0.0
        return self._of[one][other] if other in self._of[one] else -self._of[other][one]
