"""The newest policy of a league against scripted players and an early snapshot of its own."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodied.agent import Agent
from embodied.errors import OptionError
from embodied.nn.agent import NetworkAgent
from embodied.selfplay.league import League
from embodied.selfplay.tournament import interval, play
from embodied_scripts.cli.study_league_evaluation import EvaluateLeague
from embodied_scripts.leagues import open_league
from embodied_scripts.studies.results import print_table


def evaluate_league(asked: EvaluateLeague) -> None:
    """Plays and prints."""
    if asked.games < 1 or not 0 <= asked.share <= 1:
        raise OptionError("at least one game, and a share from 0 to 1")
    league = open_league(asked.run_dir, writable=False)
    others = _others(asked, league)
    met = {name: league.player(name, not asked.stochastic) for name in others}
    found = {name: measured(*_play(asked, league, other)) for name, other in met.items() if other is not None}
    how = "sampled actions" if asked.stochastic else "most likely actions"
    title = f"{asked.run_dir}, {league.learner.num_timesteps:,} decisions: score, draws as halves, {how} (95 %)"
    lines = [[others[name], *_cells(row)] for name, row in found.items()]
    print_table(title, ("against", "both seats", *league.games.seats, "draws"), lines)
    if asked.json is not None:
        asked.json.write_text(json.dumps(found, indent=1))


def _others(asked: EvaluateLeague, league: League) -> dict[str, str]:
    """Names of those it plays, and what is said of them."""
    members, wanted = league.population.members, asked.share * league.learner.num_timesteps
    own = [name for name in league.population.with_weights if members[name].kind != "exploiter"]
    early = sorted(own, key=lambda name: abs(members[name].step - wanted))[:1]
    scripted = {name: name for name in league.anchors}
    return scripted | {name: f"own {name}, {members[name].step:,} decisions" for name in early}


def _play(asked: EvaluateLeague, league: League, other: Agent) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Scores against another player, and from which seat, `(G,)` each."""
    rounds = -(-asked.games // (2 * league.games.num_games))
    player = NetworkAgent(league.learner.policy, not asked.stochastic)
    (scores,), _ = play(league.games, player, [other], rounds, asked.seed)
    first = np.arange(league.games.num_games) % 2
    return scores, np.tile(np.concatenate([first, 1 - first]), rounds)


def measured(scores: NDArray[np.float64], seats: NDArray[np.intp]) -> dict[str, Any]:
    """What scores (1, ½ or 0) from both seats, `(G,)` each, come to."""
    low, high = interval(scores.sum(), len(scores))
    by_seat = [float(scores[seats == seat].mean()) for seat in (0, 1)]
    draws = float((scores == 0.5).mean())
    score = float(scores.mean())
    return {"games": len(scores), "score": score, "low": low, "high": high, "seats": by_seat, "draws": draws}


def _cells(row: dict[str, Any]) -> list[str]:
    share = f"{row['score']:.1%} ({row['low']:.1%} to {row['high']:.1%})"
    return [share, *(f"{seat:.0%}" for seat in row["seats"]), f"{row['draws']:.0%}"]
