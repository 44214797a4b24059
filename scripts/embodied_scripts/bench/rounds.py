"""Contestants take turns, so that a noisy machine disturbs all alike; what counts are ratios within a round."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

from rich.console import Console
from rich.table import Table

UNITS = {"camera": "pictures", "inference": "decisions", "mind": "particle steps", "imagine": "decisions of worlds"}


def take_turns(contestants: dict[str, Callable[[], int]], rounds: int) -> dict[str, list[float]]:
    """Runs everyone once to warm up, then in turns; returns steps per second of each round."""
    for run in contestants.values():
        run()
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            start = time.perf_counter()
            rates[name].append(run() / (time.perf_counter() - start))
    return rates


def show(what: str, rates: dict[str, list[float]]) -> None:
    ours = next(iter(rates.values()))
    groups = {name: rates.get(f"{name.split(', ')[0]}, batch", ours) for name in rates}  # each beside its own batch
    unit = UNITS.get(what, "environment steps")
    table = Table(
        title=f"bench {what}: {unit} per second, median of {len(ours)} rounds",
        title_justify="left",
    )
    table.add_column("contestant")
    table.add_column("per second", justify="right")
    table.add_column("ours is … times as fast (min–max)", justify="right")
    for name, figures in rates.items():
        ratios = [a / b for a, b in zip(groups[name], figures, strict=True)]
        table.add_row(name, f"{median(figures):,.0f}", f"{median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})")
    Console().print(table)
