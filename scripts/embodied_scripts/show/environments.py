"""The environments, as a table."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from embodied.hidden import Discrete, Hidden
from embodied_scripts.ids import any_version, own_ids


def list_environments() -> None:
    """Prints one row per environment."""
    table = Table(title="Environments", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("id", "rate, limit", "hidden", "sees", "does"):
        table.add_column(column, no_wrap=column in ("id", "hidden"))
    for env_id in own_ids():
        with any_version():
            env: Any = gym.make(env_id).unwrapped
        task = env.task
        table.add_row(
            env_id.removeprefix("embodied/"),
            f"{task.control_hz:g} Hz, {task.episode_s:g} s",
            "\n".join(hidden_words(variable) for variable in env.hidden),
            str(env.layout.size),
            ", ".join([str(len(task.robot.actuators)), *(f'"{word}"' for word in task.declarations)]),
        )
    Console().print(table)
    Console().print("sees: numbers in the observation; does: motors, and declarations", style="dim")


def hidden_words(variable: Hidden) -> str:
    """A hidden variable and its prior, in a few words."""
    if isinstance(variable, Discrete):
        return f"{variable.name}, one of {len(variable.labels)}: {variable.entropy_bits:.2f} bit"
    span = f"{variable.low:.1f} to {variable.high:.1f} {variable.unit}"
    return f"{variable.name}, {'at first ' * variable.moving}{span}"
