"""`embodied list`: the environments there are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table


@dataclass
class List:
    """Show the environments: rates, time limits, what is hidden, sizes of observation and action."""

    pages: Path | None = None
    """Write a page about each of them, with a picture, into this folder instead."""
    episodes: int = 1024
    """For the pages: episodes per reference player (0: no scores)."""

    def run(self) -> None:
        """Prints one row per environment, or writes their pages."""
        import gymnasium as gym

        from embodied_scripts.names import own_ids
        from embodied_scripts.pages import hidden_words, write_pages

        if self.pages is not None:
            Console().print(f"Wrote {write_pages(self.pages, own_ids(), self.episodes)}")
            return

        table = Table(title="Environments", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for column in ("id", "rate, limit", "hidden", "sees", "does"):
            table.add_column(column, no_wrap=column in ("id", "hidden"))
        for env_id in own_ids():
            env: Any = gym.make(env_id).unwrapped
            task = env.task
            table.add_row(
                env_id.removeprefix("embodied/"),
                f"{task.control_hz:g} Hz, {task.episode_s:g} s",
                "\n".join(hidden_words(variable) for variable in env.hidden),
                str(env.layout.size),
                ", ".join([str(len(task.robot.actuators)), *(f'"{word}"' for word in task.says)]),
            )
        Console().print(table)
        Console().print("sees: numbers in the observation; does: motors, and what can be said", style="dim")
