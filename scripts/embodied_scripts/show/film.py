"""An episode as a film or as one picture, with the belief; no viewer, no screen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from rich.console import Console

from embodied.agent import Agent
from embodied.errors import OptionError, UnknownNameError
from embodied.evaluation.observers import CERTAINTY
from embodied.physics.render import DrawnRays, WorldRenderer
from embodied.vector.vec import Experience, GymVecEnv
from embodied.view.palette import beam_colors
from embodied.view.storyboard import Frame, write_film, write_storyboard
from embodied_scripts.cli.film import Film
from embodied_scripts.show.loggers import SceneLogger
from embodied_scripts.show.playing import cast, decisions, labels_of, outcome_of, truth_of

KINDS = (".mp4", ".gif", ".png")


LINGER_S = 1.0  # for which the last picture of an episode stays


def film(asked: Film) -> None:
    """Plays, paints and writes."""
    if asked.out.suffix.lower() not in KINDS:
        raise UnknownNameError("kind of film", asked.out.suffix, KINDS)
    if asked.episodes < 1 or not 64 <= asked.width <= 640:
        raise OptionError("at least one episode, and a picture of 64 to 640 pixels")
    agent, env, title = cast(asked.target, asked.player, asked.options)
    world: Any = env.gym_env
    labels = labels_of(world.hidden[0])
    if asked.out.suffix.lower() == ".png":
        write_storyboard(asked.out, _scenes(list(_filmed(agent, env, replace(asked, episodes=1)))), labels)
    else:
        hz = world.task.control_hz
        write_film(asked.out, _lingering(_filmed(agent, env, asked), round(LINGER_S * hz)), labels, hz)
    Console(soft_wrap=True).print(f"Wrote {asked.out}: {title}", markup=False, highlight=False)


def _filmed(agent: Agent, env: GymVecEnv, asked: Film) -> Iterator[Frame]:
    """Every decision as a picture; the last of an episode says how it ended."""
    world: Any = env.gym_env
    painter = WorldRenderer(world.batch, height=asked.width * 3 // 4, width=asked.width)
    scene_logger = SceneLogger(world)
    classes = scene_logger.players[0].classes
    ends: list[str] = []
    before: Frame | None = None
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
        belief = decision.exact_belief if decision.belief is None else decision.belief
        glance = scene_logger.sensed(decision.obs, decision.first)[0].camera
        beams = None if glance is None else DrawnRays(glance.origin, glance.ends, beam_colors(classes, glance.seen))
        picture = painter.render(0, beams)
        before = Frame(picture, decision.time_s - begun, belief, truth)


def _lingering(moments: Iterator[Frame], frames: int) -> Iterator[Frame]:
    for moment in moments:
        yield from (moment for _ in range(frames if moment.last else 1))


def _scenes(moments: list[Frame]) -> list[Frame]:
    """The start, the moment of certainty, on the way, and the end."""
    sure = [k for k, m in enumerate(moments) if m.belief is not None and np.max(m.belief) >= CERTAINTY]
    certain = sure[0] if sure else len(moments) // 2
    later = certain + (len(moments) - certain) * 2 // 5
    captions = {0: "at first", certain: "certain" if sure else "half-way", later: "on the way"}
    return [replace(moments[k], caption=caption) for k, caption in captions.items()] + [moments[-1]]
