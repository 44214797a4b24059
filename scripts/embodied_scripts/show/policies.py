"""The policies that come with the package."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from embodied.nn.policy import load_policy
from embodied_policies.trained import trained_folder
from embodied_scripts.ids import own_ids


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
