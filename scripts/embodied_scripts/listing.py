"""`embodied list`: the environments there are."""

from __future__ import annotations

from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from embodied.hidden import Discrete, Hidden


@dataclass
class List:
    """Show the environments: rates, time limits, what is hidden, sizes of observation and action."""

    def run(self) -> None:
        """Prints one row per environment."""
        import gymnasium as gym

        from embodied_scripts.names import own_ids

        table = Table(title="Environments", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for column in ("id", "rate, limit", "hidden", "sees", "does"):
            table.add_column(column, no_wrap=column in ("id", "hidden"))
        for env_id in own_ids():
            env = gym.make(env_id).unwrapped
            task = env.task  # type: ignore[attr-defined]
            table.add_row(
                env_id.removeprefix("embodied/"),
                f"{task.control_hz:g} Hz, {task.episode_s:g} s",
                "\n".join(_hidden(variable) for variable in task.hidden),
                str(env.layout.size),  # type: ignore[attr-defined]
                ", ".join([str(len(task.robot.actuators)), *(f'"{word}"' for word in task.says)]),
            )
        Console().print(table)
        Console().print("sees: numbers in the observation; does: motors, and what can be said", style="dim")


def _hidden(variable: Hidden) -> str:
    """A hidden variable and its prior, in a few words."""
    if isinstance(variable, Discrete):
        return f"{variable.name}, one of {len(variable.labels)}: {variable.entropy_bits:.2f} bit"
    span = f"{variable.low:.1f} to {variable.high:.1f} {variable.unit}"
    return f"{variable.name}, {'at first ' * variable.moving}{span}"
