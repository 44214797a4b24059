"""`embodied list`: the environments there are."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass
class List:
    """Show the environments: rates, time limits, what is hidden, what is sensed and what can be done."""

    def run(self) -> None:
        """Prints one row per environment."""
        import gymnasium as gym

        from embodied_scripts.names import own_ids

        table = Table(title="Environments", title_justify="left")
        for column in ("id", "rate", "time limit", "hidden", "prior", "observation", "action"):
            table.add_column(column, overflow="fold")
        for env_id in own_ids():
            env = gym.make(env_id).unwrapped
            task = env.task  # type: ignore[attr-defined]
            hidden = task.hidden[0]
            table.add_row(
                env_id,
                f"{task.control_hz:g} Hz",
                f"{task.episode_s:g} s",
                f"{hidden.name}: {', '.join(hidden.labels)}",
                f"{hidden.entropy_bits:.2f} bit",
                ", ".join(f"{c.name} ({c.size})" for c in env.layout.channels),  # type: ignore[attr-defined]
                ", ".join(a.name for a in task.robot.actuators),
            )
        Console().print(table)
