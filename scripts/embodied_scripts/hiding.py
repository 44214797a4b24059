"""`embodied league hide`: how well a hider could hide that knew more, beside the trained and the scripted ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray

from embodied.errors import OptionError

if TYPE_CHECKING:
    from embodied.agent import Agent
    from embodied.learn.vec import GymVecEnv
    from embodied_policies.scripted.evader import Scene

WORLDS = 128
CLASSES = 3  # of the camera: nothing, wall, robot
HALF_VIEW = math.radians(55)
NEAR, FAR = 0.7, 1.5  # m, between which is counted how often the other is recognised


@dataclass
class HideLeague:
    """Let hiders of HideSeek play its scripted seeker: the trained one, scripted ones, and some that are told more."""

    run_dir: Annotated[Path | None, tyro.conf.Positional] = None
    """Folder of a league of HideSeek (default: the policy that comes with this package)."""
    games: int = 256
    """Games of each."""
    seed: int = 50_000
    """Of the worlds, the same for each."""

    def run(self) -> None:
        """Plays and prints the table."""
        from embodied.learn.evaluate import evaluate
        from embodied.learn.vec import GymVecEnv, make_vec
        from embodied_scripts.rows import print_table

        if self.games < 2:
            raise OptionError("two games at least")
        env = GymVecEnv(make_vec("embodied/HideSeek-v0", min(WORLDS, self.games), seat="hider"))
        lines, eyes = [], []
        for name, player in self._hiders(env).items():
            eye = Eyewitness(player, env)
            eyes.append(eye)
            report = evaluate(eye, env, self.games, self.seed)
            assert report.success is not None
            assert report.success_error is not None
            lines.append([name, f"{report.success:.1%} ± {report.success_error:.1%}", f"{report.length_s:.1f} s"])
        env.close()
        title = f"{self.games} games against the scripted seeker, ± standard error"
        print_table(title, ("hider", "won", "a game lasted"), lines)
        shown, told = np.sum([eye.counts for eye in eyes], axis=0).astype(int)
        print(f"In plain view, {NEAR} to {FAR} m away, the seeker was recognised in {told} of {shown} frames.")

    def _hiders(self, env: GymVecEnv) -> dict[str, Agent]:
        from embodied.learn.opponents import SeatedAgent
        from embodied_scripts.seeking import shipped_or_own

        task: Any = env.gym_env.unwrapped.task  # type: ignore[attr-defined]
        seat: Any = env.gym_env.unwrapped.mine  # type: ignore[attr-defined]
        return {
            "trained": SeatedAgent(shipped_or_own(self.run_dir), 1),
            "scripted": task.scripted(seat),
            "scripted, never waits": task.teacher(seat),
            **evaders(env),
        }


class Eyewitness:
    """A hider, of whom it is counted how often it has the seeker in plain view, and how often it recognises it then.

    Attributes:
        counts: these two numbers, `(2,)`.
    """

    def __init__(self, agent: Agent, env: GymVecEnv) -> None:
        from embodied_envs.hide_seek import HALF_X, HALF_Y
        from embodied_policies.scripted.ways import Plans

        layout = env.gym_env.unwrapped.layout  # type: ignore[attr-defined]
        self._agent, self._env, self._plans = agent, env, Plans((HALF_X, HALF_Y))
        self._view, self._pan = layout.slice("camera/class"), layout.slice("pan_angle")
        self.counts = np.zeros(2)

    def initial(self, n: int, seed: int) -> Any:
        """Returns what the hider remembers before a game."""
        return self._agent.initial(n, seed)

    def act(self, carry: Any, obs: NDArray, first: NDArray) -> tuple[Any, NDArray]:
        """Returns what the hider does."""
        recognised = obs[:, self._view].reshape(len(obs), -1, CLASSES)[..., -1].any(axis=1)
        shown = self._in_view(obs) & ~first
        self.counts += shown.sum(), (shown & recognised).sum()
        return self._agent.act(carry, obs, first)

    def _in_view(self, obs: NDArray) -> NDArray[np.bool_]:
        from embodied_policies.scripted.driving import wrapped

        scene = scene_of(self._env)
        way = scene.other[:, :2] - scene.own[:, :2]
        off = wrapped(np.arctan2(way[:, 1], way[:, 0]) - scene.own[:, 2] - obs[:, self._pan][:, 0])
        distance = np.linalg.norm(way, axis=1)
        room = self._plans.number(scene.screens)
        screened = self._plans.ways.screened[room, *(self._plans.cell(p[:, :2]) for p in (scene.own, scene.other))]
        return ~screened & (np.abs(off) < HALF_VIEW) & (distance > NEAR) & (distance < FAR)


def evaders(env: GymVecEnv) -> dict[str, Agent]:
    """Hiders that know the room and where they are themselves, and of the other less and less."""
    from embodied_envs.hide_seek import HALF_X, HALF_Y
    from embodied_policies.scripted.evader import Evader, Sight

    told: dict[str, Sight] = {
        "told where the seeker is": "everything",
        "told while no screen is between them": "all round",
        "told while its camera shows it": "camera",
    }
    tell = lambda: scene_of(env)  # noqa: E731
    layout = env.gym_env.unwrapped.layout  # type: ignore[attr-defined]
    return {name: Evader(layout, (HALF_X, HALF_Y), tell, sees=sees) for name, sees in told.items()}


def scene_of(env: GymVecEnv) -> Scene:
    """Where everything is in the worlds of HideSeek, from the hider's seat."""
    from embodied_policies.scripted.evader import Scene

    duel: Any = env.gym_env.unwrapped.duel  # type: ignore[attr-defined]
    seeker, hider = (_pose(body) for body in duel.env.bodies)
    return Scene(hider, seeker, duel.task.screens, duel.task.waiting)


def _pose(body: Any) -> NDArray[np.float64]:
    return np.column_stack([body.xy, body.heading])
