"""`embodied league hide`: how well a hider could hide that knew more, beside the trained and the scripted ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray

from embodied.errors import OptionError
from embodied_scripts.seeking import cast, recognises

if TYPE_CHECKING:
    from embodied.agent import Agent
    from embodied.learn.policy import SequencePolicy
    from embodied.learn.vec import GymVecEnv
    from embodied_policies.scripted.evader import Scene

WORLDS = 128
NEAR, FAR = 0.7, 1.5  # m, between which is counted how often the other is recognised


@dataclass
class HideLeague:
    """Let hiders of HideSeek play its scripted seeker: the trained one, scripted ones, and some that are told more."""

    run_dir: Annotated[Path | None, tyro.conf.Positional] = None
    """Folder of a league of HideSeek (default: the policy that comes with this package)."""
    games: int = 256
    """Games of each, at least."""
    seed: int = 50_000
    """Of the worlds, the same for each."""

    def run(self) -> None:
        """Plays and prints the table."""
        from embodied.learn.evaluate import evaluate
        from embodied_scripts.rows import print_table

        if self.games < 2:
            raise OptionError("two games at least")
        policy, env = cast(self.run_dir, min(WORLDS, self.games), seat="hider")
        eyes = {name: Eyewitness(player, env) for name, player in hiders(policy, env).items()}
        reports = {name: evaluate(eye, env, self.games, self.seed) for name, eye in eyes.items()}
        env.close()
        lines = [
            [name, f"{r.success:.1%} ± {r.success_error:.1%}", f"{r.length_s:.1f} s", eyes[name].told]
            for name, r in reports.items()
        ]
        games = next(iter(reports.values())).episodes
        title = (
            f"{games} games against the scripted seeker, ± standard error; recognised: in frames in which it was in "
        )
        title += f"plain view, {NEAR} to {FAR} m away"
        print_table(title, ("hider", "won", "a game lasted", "recognised it"), lines)


def hiders(policy: SequencePolicy, env: GymVecEnv) -> dict[str, Agent]:
    """The trained hider, those that go by what they see, and those that are told, less and less of the seeker."""
    from embodied.learn.opponents import SeatedAgent
    from embodied_envs.hide_seek import HALF_X, HALF_Y
    from embodied_policies.scripted.evader import Evader, Sight
    from embodied_policies.scripted.ways import Plans

    world: Any = env.gym_env.unwrapped  # type: ignore[attr-defined]
    camera, plans = world.task.players[1].cameras[0], Plans((HALF_X, HALF_Y))
    told: dict[str, Sight] = {
        "told where the seeker is": "everything",
        "told while no screen is between them": "all round",
        "told while its camera shows it": "camera",
    }

    def evader(sees: Sight) -> Evader:
        return Evader(
            world.layout, plans, lambda: scene_of(env), sees, camera.classes, camera.fov, world.task.options.view
        )

    return {
        "trained": SeatedAgent(policy, 1),
        "scripted": world.task.scripted(world.mine),
        "scripted, never waits": world.task.teacher(world.mine),
        **{name: evader(sees) for name, sees in told.items()},
    }


class Eyewitness:
    """A hider, of whom it is counted how often it has the seeker in plain view, and how often it recognises it then.

    A frame shows what was there one decision before.
    """

    def __init__(self, agent: Agent, env: GymVecEnv) -> None:
        world: Any = env.gym_env.unwrapped  # type: ignore[attr-defined]
        self._agent, self._env, self._task = agent, env, world.task
        self._shown, self._recognised = 0, 0

    @property
    def told(self) -> str:
        """In which share of how many frames it recognised it."""
        return f"{self._recognised / max(1, self._shown):.0%} of {self._shown:,}"

    def initial(self, n: int, seed: int) -> tuple[Any, NDArray[np.bool_]]:
        """Returns what the hider remembers before a game, and where it had the seeker in plain view."""
        return self._agent.initial(n, seed), np.zeros(n, bool)

    def act(self, carry: tuple[Any, NDArray], obs: NDArray, first: NDArray) -> tuple[tuple[Any, NDArray], NDArray]:
        """Returns what the hider does."""
        memory, shown = carry
        counted = shown & ~first
        self._shown += int(counted.sum())
        self._recognised += int((counted & recognises(self._task.players[1], obs)).sum())
        memory, action = self._agent.act(memory, obs, first)
        return (memory, self._in_view()), action

    def _in_view(self) -> NDArray[np.bool_]:
        scene = scene_of(self._env)
        distance = np.linalg.norm(scene.other[:, :2] - scene.own[:, :2], axis=1)
        return self._task.in_sight(1) & (distance > NEAR) & (distance < FAR)


def scene_of(env: GymVecEnv) -> Scene:
    """Where everything is in the worlds of HideSeek, from the hider's seat."""
    from embodied_policies.scripted.evader import Scene

    duel: Any = env.gym_env.unwrapped.duel  # type: ignore[attr-defined]
    seeker, hider = (np.column_stack([body.xy, body.heading]) for body in duel.env.bodies)
    return Scene(hider, seeker, duel.task.screens, duel.task.waiting)
