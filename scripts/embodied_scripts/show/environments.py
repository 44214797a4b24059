"""The environments, as a table or as pages, and the policies that come with the package."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from embodied.nn.policy import load_policy
from embodied_policies.trained import trained_folder
from embodied_scripts.cli.list import List
from embodied_scripts.ids import own_ids
from embodied_scripts.show.suite_pages import hidden_words, write_pages


def list_environments(asked: List) -> None:
    """Prints one row per environment, or writes their pages."""
    if asked.pages is not None:
        Console().print(f"Wrote {write_pages(asked.pages, own_ids(), asked.episodes)}")
        return
    if asked.policies:
        list_policies()
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
            ", ".join([str(len(task.robot.actuators)), *(f'"{word}"' for word in task.declarations)]),
        )
    Console().print(table)
    Console().print("sees: numbers in the observation; does: motors, and declarations", style="dim")


def list_policies() -> None:
    """Prints one row per trained policy of the package: its network, its size, and where its card is."""
    table = Table(title="Policies", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("environment", "network", "weights", "card"):
        table.add_column(column, no_wrap=column == "environment", overflow="fold")
    for env_id in own_ids():
        folder = trained_folder(env_id.removeprefix("embodied/"))
        if folder is not None:
            policy = load_policy(folder)
            weights = sum(one.numel() for one in policy.parameters())
            name = env_id.removeprefix("embodied/")
            table.add_row(name, type(policy).__name__, f"{weights:,}", str(folder / "README.md"))
    Console().print(table)
    Console().print("Watch one with: embodied play ENVIRONMENT", style="dim")
