"""Who of a league is how good: ratings and pay-offs, as a table and as a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Sheet

from embodied.selfplay.tournament import Table
from embodied.view.matrix import write_matrix
from embodied_scripts.cli.league import ShowLeague
from embodied_scripts.leagues import open_league

MOST_SHOWN = 6  # networks in a table


def show_league(asked: ShowLeague) -> None:
    """Plays, prints and draws."""
    league = open_league(asked.run_dir, writable=False)
    table = league.table(asked.rounds, MOST_SHOWN)
    _print(table, asked.run_dir)
    target = asked.picture or asked.run_dir / "table.png"
    write_matrix(target, table.names, table.score)
    if asked.json is not None:
        asked.json.write_text(json.dumps(_as_json(table), indent=1))


def _as_json(table: Table) -> dict[str, Any]:
    arrays = {name: getattr(table, name).tolist() for name in ("score", "low", "high", "games", "payoff", "nash")}
    return {"names": table.names, **arrays, "ratings": table.ratings(), "cyclic_share": table.cyclic_share}


def _print(table: Table, folder: Path) -> None:
    sheet = Sheet(title=f"{folder}, both seats", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    sheet.add_column("player", no_wrap=True)
    for column in ("rating", "Nash", *[str(i + 1) for i in range(len(table.names))]):
        sheet.add_column(column, justify="right", no_wrap=True)
    ratings, nash = table.ratings(), table.nash
    for i, name in enumerate(table.names):
        mu, sigma = ratings[name]
        scores = [f"{100 * s:.0f}" if j != i else "·" for j, s in enumerate(table.score[i])]
        sheet.add_row(f"{i + 1} {name}", f"{mu:.1f} ±{sigma:.1f}", f"{nash[i]:.2f}", *scores)
    counted = table.games[table.games > 0]
    if not counted.size:
        Console().print(sheet, "Nobody has anyone to play against yet: train the league further.", highlight=False)
        return
    least, half = int(counted.min()), 100 * _widest(table)
    sheet.caption = (
        f"Numbers: share of games won against the player of that number [%], of at least {least} games (95 %: up to "
        f"±{half:.0f}). Nash: how often to play whom so that nobody here wins against it. No rating explains "
        f"{table.cyclic_share:.0%} of the pay-offs; certain cycles of three: {len(table.cycles)}."
    )
    sheet.caption_justify = "left"
    Console().print(sheet)


def _widest(table: Table) -> float:
    """The widest half of an interval of the table."""
    return float(((table.high - table.low) / 2)[table.games > 0].max())
