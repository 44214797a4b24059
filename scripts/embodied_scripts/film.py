"""`embodied film`: an episode as a film or as one picture, with what was believed; no viewer, no screen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from embodied.errors import OptionError, UnknownNameError
from embodied_scripts.playing import cast, decisions, labels_of, outcome_of, truth_of
from embodied_scripts.watching import Onlooker

if TYPE_CHECKING:
    from embodied.agent import Agent
    from embodied.learn.vec import Experience, GymVecEnv
    from embodied.view.storyboard import Moment

KINDS = (".mp4", ".gif", ".png")
LINGER_S = 1.0  # for which the last picture of an episode stays


@dataclass
class Film:
    """Film a run, or an environment with a reference player, with the belief drawn in; needs no viewer."""

    target: Annotated[str, tyro.conf.Positional]
    """Folder of a run, or an environment."""
    out: Annotated[Path, tyro.conf.Positional]
    """A film, .mp4 or .gif, in real time; or .png: four moments of the first episode side by side."""
    episodes: int = 1
    """Episodes to film."""
    seed: int = 20_000
    """Seed of the world."""
    player: str | None = None
    """Who plays when the target is an environment (default: the best there is)."""
    options: tuple[str, ...] = ()
    """Options of the environment, as name=value; a run keeps its own."""
    width: int = 640
    """Of a picture [pixels]; its height is three quarters of it."""

    def run(self) -> None:
        """Plays, paints and writes."""
        from rich.console import Console

        from embodied.view.storyboard import write_film, write_storyboard

        if self.out.suffix.lower() not in KINDS:
            raise UnknownNameError("kind of film", self.out.suffix, KINDS)
        if self.episodes < 1 or not 64 <= self.width <= 640:
            raise OptionError("at least one episode, and a picture of 64 to 640 pixels")
        agent, env, title = cast(self.target, self.player, self.options)
        world: Any = env.gym_env
        labels = labels_of(world.hidden[0])
        if self.out.suffix.lower() == ".png":
            write_storyboard(self.out, _scenes(list(_filmed(agent, env, replace(self, episodes=1)))), labels)
        else:
            hz = world.task.control_hz
            write_film(self.out, _lingering(_filmed(agent, env, self), round(LINGER_S * hz)), labels, hz)
        Console(soft_wrap=True).print(f"Wrote {self.out}: {title}", markup=False, highlight=False)


def _filmed(agent: Agent, env: GymVecEnv, asked: Film) -> Iterator[Moment]:
    """Every decision as a picture; the last of an episode says how it ended."""
    from embodied.view.palette import beam_colours
    from embodied.view.storyboard import Moment
    from embodied.world.picture import Beams, Painter

    world: Any = env.gym_env
    painter = Painter(world.batch, height=asked.width * 3 // 4, width=asked.width)
    onlooker = Onlooker(world)
    classes = onlooker.players[0].classes
    ends: list[str] = []
    before: Moment | None = None
    begun = 0.0

    def ended(experience: Experience, total: float) -> None:
        ends.append(f"{outcome_of(env, experience, total)}, return {total:+.2f}")

    for decision in decisions(agent, env, asked.seed, ended):
        if decision.first:
            if before is not None:
                yield replace(before, caption=ends[-1], last=True)
            if len(ends) == asked.episodes:
                return
            begun = decision.time_s
            truth = truth_of(world, env.privileged["hidden"][0])
        elif before is not None:
            yield before
        belief = decision.observer if decision.belief is None else decision.belief
        glance = onlooker.sensed(decision.obs, decision.first)[0].camera
        beams = None if glance is None else Beams(glance.origin, glance.ends, beam_colours(classes, glance.seen))
        picture = painter.paint(0, beams)
        before = Moment(picture, decision.time_s - begun, belief, truth)


def _lingering(moments: Iterator[Moment], frames: int) -> Iterator[Moment]:
    for moment in moments:
        yield from (moment for _ in range(frames if moment.last else 1))


def _scenes(moments: list[Moment]) -> list[Moment]:
    """The start, the moment of certainty, on the way, and the end."""
    import numpy as np

    from embodied.learn.evaluate import CERTAINTY

    sure = [k for k, m in enumerate(moments) if m.belief is not None and np.max(m.belief) >= CERTAINTY]
    certain = sure[0] if sure else len(moments) // 2
    later = certain + (len(moments) - certain) * 2 // 5
    captions = {0: "at first", certain: "certain" if sure else "half-way", later: "on the way"}
    return [replace(moments[k], caption=caption) for k, caption in captions.items()] + [moments[-1]]
