"""What a person sees while a policy learns, and what is kept if they stop it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from stable_baselines3.common.callbacks import BaseCallback

UPDATES_BETWEEN_CHECKPOINTS = 20
UPDATES_BETWEEN_LINES = 15


@contextmanager
def on_interrupt(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Lets `handler` take Ctrl-C meanwhile; not in the tasks of a worker, which run in other threads."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def stoppable() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets; a second Ctrl-C ends everything at once."""
    stopped = threading.Event()

    def stop(*_: Any) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()

    with on_interrupt(stop):
        yield stopped


class Stop(BaseCallback):
    """Ends training after the present update on Ctrl-C; a second Ctrl-C ends it at once."""

    def __init__(self) -> None:
        super().__init__()
        self._asked = False

    def request(self, signum: int, frame: FrameType | None) -> None:
        """The signal handler."""
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        model: Any = self.model
        model.stop()

    def _on_step(self) -> bool:
        return True


class Checkpoints(BaseCallback):
    """Saves what was learned after every few updates."""

    def __init__(self, save: Callable[[], None]) -> None:
        super().__init__()
        self._save = save
        self._rollouts = 0

    def _on_rollout_start(self) -> None:
        if self._rollouts and self._rollouts % UPDATES_BETWEEN_CHECKPOINTS == 0:
            self._save()
        self._rollouts += 1

    def _on_step(self) -> bool:
        return True


class Progress(BaseCallback):
    """A bar with speed, return, success and bits; a line now and then where there is no terminal."""

    def __init__(self, total: int, name: str) -> None:
        super().__init__()
        self._console = Console()
        self._total = total
        self._rollouts = 0
        self._begun_at: int | None = None
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:,}/{task.total:,} steps"),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(name, total=total, figures="")

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._bar.stop()

    def _on_training_start(self) -> None:
        self._begun_at = self.model.num_timesteps if self._begun_at is None else self._begun_at

    def _on_rollout_end(self) -> None:
        figures = self._figures()
        self._rollouts += 1
        self._bar.update(self._task, completed=self.model.num_timesteps, figures=figures)
        if not self._console.is_terminal and self._rollouts % UPDATES_BETWEEN_LINES == 0:
            done = f"{self.model.num_timesteps:,}/{self._total:,} steps"
            self._console.print(f"{done}  {figures}", soft_wrap=True, highlight=False)

    def say(self, message: str) -> None:
        """Prints a line above the bar."""
        self._console.print(message, soft_wrap=True, highlight=False, markup=False)

    def _on_step(self) -> bool:
        return True

    def _figures(self) -> str:
        model: Any = self.model
        seconds = self._bar.tasks[0].elapsed or self._seconds()
        parts = [f"{(model.num_timesteps - (self._begun_at or 0)) / max(seconds, 1e-9):,.0f} steps/s"]
        if model.ep_info_buffer:
            parts.append(f"return {np.mean([e['r'] for e in model.ep_info_buffer]):+.2f}")
        if model.ep_success_buffer:
            parts.append(f"success {np.mean(model.ep_success_buffer):.0%}")
        if getattr(model, "belief_bits", None):
            parts.append(f"belief bits {np.mean(model.belief_bits):+.2f}")
        return "  ".join(parts)

    def _seconds(self) -> float:
        return (time.time_ns() - self.model.start_time) / 1e9
