"""`embodied list`: the environments there are."""

from __future__ import annotations

from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table


@dataclass
class List:
    """Show the environments: rates, time limits, what is hidden, sizes of observation and action."""

    def run(self) -> None:
        """Prints one row per environment."""
        import gymnasium as gym

        from embodied_scripts.names import own_ids

        table = Table(title="Environments", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for column in ("id", "rate", "limit", "hidden", "prior", "observation", "action"):
            table.add_column(column, no_wrap=column == "id")
        for env_id in own_ids():
            env = gym.make(env_id).unwrapped
            task = env.task  # type: ignore[attr-defined]
            hidden = task.hidden[0]
            table.add_row(
                env_id.removeprefix("embodied/"),
                f"{task.control_hz:g} Hz",
                f"{task.episode_s:g} s",
                f"{hidden.name}: {', '.join(hidden.labels)}",
                f"{hidden.entropy_bits:.2f} bit",
                f"{env.layout.size} numbers",  # type: ignore[attr-defined]
                f"{len(task.robot.actuators)} of {task.robot.name}",
            )
        Console().print(table)
