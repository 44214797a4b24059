"""`embodied record`: keep what a player does and is shown, to be imitated by a network."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from embodied.errors import OptionError, UnknownNameError

if TYPE_CHECKING:
    from embodied.agent import Agent
    from embodied.learn.demonstrations import Demonstrations
    from embodied.learn.vec import GymVecEnv

PLANNER = "planner"
WORLDS, THINKERS = 64, 4


@dataclass
class Record:
    """Let somebody play, and keep the episodes: `embodied train --demonstrations FOLDER` imitates them.

    Ctrl-C keeps those that are finished.
    """

    target: Annotated[str, tyro.conf.Positional]
    """An environment, or the folder of a run."""
    out: Annotated[Path, tyro.conf.Positional]
    """The folder to write to."""
    player: str = PLANNER
    """Who plays in an environment: planner (thinks for seconds before it moves), curious, blind, oracle or random."""
    episodes: int = 256
    """How many; somewhat more where they do not share out evenly among worlds."""
    worlds: int | None = None
    """Worlds at once (default: 64, for the planner 4)."""
    seconds: float = 0.1
    """The planner's time for a decision, beside what imagining takes."""
    samples: int = 4
    """Worlds that the planner imagines in for each hidden value."""
    seed: int = 30_000
    """Seed of the worlds."""
    options: tuple[str, ...] = ()
    """Options of the environment, as name=value; a run keeps its own."""

    def run(self) -> None:
        """Plays, with a bar, and writes the episodes."""
        from rich.console import Console

        if min(self.episodes, self.samples, self.worlds or 1) < 1 or not self.seconds > 0:
            raise OptionError("episodes, worlds and samples must be at least 1, seconds above 0")
        if self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir())):
            raise OptionError(f"{self.out} is there already, and not empty: name another folder")
        agent, env = self._cast()
        shown = _recorded(agent, env, self.episodes, self.seed)
        env.close()
        shown.save(self.out)
        earned = f"mean return {shown.steps['reward'].sum() / len(shown):+.2f}"
        won = f", {shown.success.mean():.0%} successful" if shown.success.any() else ""
        said = f"{len(shown)} episodes, {earned}{won}, in {self.out}."
        after = f"Next: embodied train {shown.card['env']['id']} --demonstrations {self.out}"
        Console(soft_wrap=True).print(f"{said} {after}", markup=False, highlight=False)

    def _cast(self) -> tuple[Agent, GymVecEnv]:
        """The player, and its worlds."""
        from embodied_scripts.playing import cast_anywhere

        thinks = self.player == PLANNER and not Path(self.target).is_dir()
        worlds = min(self.worlds or (THINKERS if thinks else WORLDS), self.episodes)
        if not thinks:
            agent, env, _ = cast_anywhere(self.target, self.player, self.options, worlds)
            return agent, env
        return self._thinker(worlds)

    def _thinker(self, worlds: int) -> tuple[Agent, Any]:
        from embodied.learn.vec import GymVecEnv, make_vec
        from embodied_scripts.names import parse_options, resolve_id
        from embodied_scripts.players import SKILLED, planning_agent

        env_id = resolve_id(self.target)
        if env_id not in SKILLED:
            raise UnknownNameError("task with skills to plan with", env_id, SKILLED)
        env = GymVecEnv(make_vec(env_id, worlds, **parse_options(self.options)))
        return planning_agent(env, self.seconds, self.samples), env


def _recorded(agent: Agent, env: GymVecEnv, episodes: int, seed: int) -> Demonstrations:
    """The episodes, or those that are finished when the person stops it; a second Ctrl-C gives all up."""
    from rich.progress import Progress

    from embodied.learn.demonstrations import record
    from embodied_scripts.progress import on_interrupt

    stopped = threading.Event()

    def stop(*_: Any) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()

    with on_interrupt(stop), Progress(transient=True) as progress:
        task = progress.add_task("Recording", total=episodes)

        def ended(done: int) -> bool:
            progress.update(task, completed=done)
            return not stopped.is_set()

        return record(agent, env, episodes, seed, ended)
