"""How well a hider could hide that knew more, beside the trained and the scripted ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodied.agent import Agent
from embodied.errors import OptionError
from embodied.evaluation.report import evaluate
from embodied.nn.policy import SequencePolicy
from embodied.selfplay.agents import SeatedAgent
from embodied.vector.vec import GymVecEnv
from embodied_envs.hide_seek import HALF_X, HALF_Y
from embodied_policies.scripted.evader import Evader, Scene, Sight
from embodied_policies.scripted.ways import Plans
from embodied_scripts.cli.study_hiding import HideLeague
from embodied_scripts.studies.results import print_table
from embodied_scripts.studies.seek import cast, recognizes

WORLDS = 128


NEAR, FAR = 0.7, 1.5  # m, between which is counted how often the other is recognized


def measure_hiding(asked: HideLeague) -> None:
    """Plays and prints the table."""
    if asked.games < 2:
        raise OptionError("two games at least")
    policy, env = cast(asked.run_dir, min(WORLDS, asked.games), asked.game, seat="hider")
    cameras = {name: Eyewitness(player, env) for name, player in hiders(policy, env).items()}
    reports = {name: evaluate(eye, env, asked.games, asked.seed) for name, eye in cameras.items()}
    env.close()
    lines = [
        [name, f"{r.success:.1%} ± {r.success_error:.1%}", f"{r.length_s:.1f} s", cameras[name].recognized]
        for name, r in reports.items()
    ]
    games = next(iter(reports.values())).episodes
    title = f"{games} games against the scripted seeker, ± standard error; recognized: in frames in which it was in "
    title += f"plain view, {NEAR} to {FAR} m away"
    print_table(title, ("hider", "won", "a game lasted", "recognized it"), lines)


def hiders(policy: SequencePolicy, env: GymVecEnv) -> dict[str, Agent]:
    """The trained hider, scripted ones, and some with privileged observations of the seeker, less and less."""
    world: Any = env.gym_env.unwrapped  # type: ignore[attr-defined]
    camera, plans = world.task.players[1].line_cameras[0], Plans((HALF_X, HALF_Y))
    privileged: dict[str, Sight] = {
        "knows where the seeker is": "everything",
        "knows while no screen is between them": "all round",
        "knows while its camera shows it": "camera",
    }

    def evader(sees: Sight) -> Evader:
        return Evader(
            world.layout, plans, lambda: scene_of(env), sees, camera.classes, camera.fov, world.task.options.view
        )

    return {
        "trained": SeatedAgent(policy, 1),
        "scripted": world.task.scripted(world.mine),
        "scripted, never waits": world.task.expert(world.mine),
        **{name: evader(sees) for name, sees in privileged.items()},
    }


class Eyewitness:
    """A hider, of whom it is counted how often it has the seeker in plain view, and how often it recognizes it then.

    A frame shows what was there one decision before.
    """

    def __init__(self, agent: Agent, env: GymVecEnv) -> None:
        world: Any = env.gym_env.unwrapped  # type: ignore[attr-defined]
        self._agent, self._env, self._task = agent, env, world.task
        self._shown, self._recognized = 0, 0

    @property
    def recognized(self) -> str:
        """In which share of how many frames it recognized it."""
        return f"{self._recognized / max(1, self._shown):.0%} of {self._shown:,}"

    def initial(self, n: int, seed: int) -> tuple[Any, NDArray[np.bool_]]:
        """Returns what the hider remembers before a game, and where it had the seeker in plain view."""
        return self._agent.initial(n, seed), np.zeros(n, bool)

    def act(self, carry: tuple[Any, NDArray], obs: NDArray, first: NDArray) -> tuple[tuple[Any, NDArray], NDArray]:
        """Returns what the hider does."""
        memory, shown = carry
        counted = shown & ~first
        self._shown += int(counted.sum())
        self._recognized += int((counted & recognizes(self._task.players[1], obs)).sum())
        memory, action = self._agent.act(memory, obs, first)
        return (memory, self._in_view()), action

    def _in_view(self) -> NDArray[np.bool_]:
        scene = scene_of(self._env)
        distance = np.linalg.norm(scene.other[:, :2] - scene.own[:, :2], axis=1)
        return self._task.in_sight(1) & (distance > NEAR) & (distance < FAR)


def scene_of(env: GymVecEnv) -> Scene:
    """Where everything is in the worlds of HideSeek, from the hider's seat."""
    duel: Any = env.gym_env.unwrapped.duel  # type: ignore[attr-defined]
    seeker, hider = (np.column_stack([body.xy, body.heading]) for body in duel.env.bodies)
    return Scene(hider, seeker, duel.task.screens, duel.task.waiting)
