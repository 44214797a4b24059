"""What duels share: their robots, and the ways in: against an opponent, as one world or many, and for PettingZoo."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gymnasium.vector import AutoresetMode

from embodied.options import options_of
from embodied.randomization.spec import Randomization
from embodied.robot.rays.spec import LineCamera
from embodied.robot.robot import Robot
from embodied.robot.timing import Timing
from embodied.world.duel import Duel, DuelEnv, DuelTask, Versus
from embodied.world.single import SingleEnv
from embodied_envs.opponents import opponent_of
from embodied_envs.scene import randomization_of
from embodied_envs.scout import scout

CROWN = "crown_shell"  # the ring on a Scout's head
SECOND = {"body_paint": (0.84, 0.33, 0.20, 1.0)}  # the second robot's color


def duel_entry_points(task: Callable[[Any], DuelTask], options: type, name: str) -> tuple[Callable, Callable, Callable]:
    """Returns `make`, `make_vec` and `parallel_env` of a duel.

    The first two take, beside the options, `seat` (the learner's: a name or a number) and `opponent`: "scripted",
    "idle", "random", or any agent.
    """

    def make_vec(
        num_envs: int = 1,
        threads: int | None = None,
        autoreset_mode: Any = "NextStep",
        render_mode: str | None = None,
        seat: str | int = 0,
        opponent: Any = "scripted",
        randomize: Randomization | Mapping[str, Any] | str | None = None,
        observation: str = "flat",
        **given: Any,
    ) -> Versus:
        played, different = task(options_of(options, given)), randomization_of(randomize)
        duel = Duel(played, num_envs, threads, autoreset_mode, render_mode, different)
        number = duel.task.seat(seat)
        return Versus(duel, number, opponent_of(opponent, duel.task, duel.seats[1 - number]), observation)

    def make(
        render_mode: str | None = None, seat: str | int = 0, opponent: Any = "scripted", **given: Any
    ) -> SingleEnv:
        return SingleEnv(make_vec(1, 1, AutoresetMode.DISABLED, render_mode, seat, opponent, **given))

    def parallel_env(render_mode: str | None = None, **given: Any) -> DuelEnv:
        return DuelEnv(task(options_of(options, given)), name, render_mode)

    make.metadata = SingleEnv.metadata  # type: ignore[attr-defined]  # see `scene.entry_points`
    make.__doc__ = f"One world against an opponent; options as in `{options.__name__}`."
    make_vec.__doc__ = f"N worlds against an opponent; options as in `{options.__name__}`."
    parallel_env.__doc__ = f"One game for PettingZoo; options as in `{options.__name__}`."
    return make, make_vec, parallel_env


def watchful_pair(
    control_hz: float, seats: tuple[str, str], pixels: int, view: float, known_by: Sequence[str] = (CROWN,)
) -> tuple[Robot, Robot]:
    """Two Scouts of different colors, each with an eye that tells the other from walls, `view` [m] far.

    Args:
        known_by: the geoms by which one robot knows the other.
    """
    first, second = seats
    return (
        _watchful(control_hz, second, pixels, view, known_by),
        replace(_watchful(control_hz, first, pixels, view, known_by), material_colors=SECOND),
    )


def _watchful(control_hz: float, other: str, pixels: int, view: float, known_by: Sequence[str]) -> Robot:
    eye = LineCamera(
        "camera",
        site="camera",
        body="head",
        pixels=pixels,
        fov=2 * math.pi / 3,
        max_range=view,
        labels={f"{other}/{part}": "robot" for part in known_by},
        timing=Timing(rate_hz=control_hz, latency_s=0.04, jitter_s=0.01, dropout=0.01),
    )
    return replace(scout(control_hz), line_cameras=(eye,))
