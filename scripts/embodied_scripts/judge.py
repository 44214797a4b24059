"""`embodied league judge`: the newest policy of a league against scripted players and its own beginnings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray

from embodied.errors import OptionError

if TYPE_CHECKING:
    from embodied.learn.league import League
    from embodied.learn.opponents import Opponent


@dataclass
class JudgeLeague:
    """Let the newest policy of a league play scripted players, and its own snapshot of a tenth of its decisions.

    Every world is played from both seats; who acts by chance has luck of its own. Intervals take games to be
    independent: in games without any other chance, let networks act as `--drawn`.
    """

    run_dir: Annotated[Path, tyro.conf.Positional]
    """Folder of the league."""
    games: int = 512
    """Games against each, at least."""
    share: float = 0.1
    """Of the decisions that were made, after which the snapshot was taken."""
    drawn: bool = False
    """Let networks act by chance, as they learned to, in place of their most likely action."""
    seed: int = 777
    """Of the worlds."""
    json: Path | None = None
    """Also write the scores to this file."""

    def run(self) -> None:
        """Plays and prints."""
        from embodied_scripts.league import open_league
        from embodied_scripts.rows import print_table

        if self.games < 1 or not 0 <= self.share <= 1:
            raise OptionError("at least one game, and a share from 0 to 1")
        league = open_league(self.run_dir, writable=False)
        others = self._others(league)
        met = {name: league.player(name, not self.drawn) for name in others}
        found = {name: measured(*self._play(league, other)) for name, other in met.items() if other is not None}
        how = "as drawn" if self.drawn else "most likely actions"
        title = f"{self.run_dir}, {league.learner.num_timesteps:,} decisions: score, draws as halves, {how} (95 %)"
        lines = [[others[name], *_told(row)] for name, row in found.items()]
        print_table(title, ("against", "both seats", *league.games.seats, "draws"), lines)
        if self.json is not None:
            self.json.write_text(json.dumps(found, indent=1))

    def _others(self, league: League) -> dict[str, str]:
        """Names of those it plays, and what is said of them."""
        members, wanted = league.pool.members, self.share * league.learner.num_timesteps
        own = [name for name in league.pool.with_weights if members[name].kind != "exploiter"]
        beginnings = sorted(own, key=lambda name: abs(members[name].step - wanted))[:1]
        scripted = {name: name for name in league.founders}
        return scripted | {name: f"own {name}, {members[name].step:,} decisions" for name in beginnings}

    def _play(self, league: League, other: Opponent) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Scores against another player, and from which seat, `(G,)` each."""
        from embodied.learn.judging import play
        from embodied.learn.opponents import NetworkOpponent

        rounds = -(-self.games // (2 * league.games.num_games))
        player = NetworkOpponent(league.learner.policy, not self.drawn)
        (scores,), _ = play(league.games, player, [other], rounds, self.seed)
        first = np.arange(league.games.num_games) % 2
        return scores, np.tile(np.concatenate([first, 1 - first]), rounds)


def measured(scores: NDArray[np.float64], seats: NDArray[np.intp]) -> dict[str, Any]:
    """What scores (1, ½ or 0) from both seats, `(G,)` each, come to."""
    from embodied.learn.judging import interval

    low, high = interval(scores.sum(), len(scores))
    by_seat = [float(scores[seats == seat].mean()) for seat in (0, 1)]
    draws = float((scores == 0.5).mean())
    score = float(scores.mean())
    return {"games": len(scores), "score": score, "low": low, "high": high, "seats": by_seat, "draws": draws}


def _told(row: dict[str, Any]) -> list[str]:
    share = f"{row['score']:.1%} ({row['low']:.1%} to {row['high']:.1%})"
    return [share, *(f"{seat:.0%}" for seat in row["seats"]), f"{row['draws']:.0%}"]
