"""`embodied play`: watch a policy, or a reference player, in Rerun."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from embodied.errors import MissingExtraError, OptionError
from embodied_scripts.playing import Sight, cast, decisions, labels_of, outcome_of, truth_of
from embodied_scripts.view import wait

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embodied.agent import Agent
    from embodied.learn.policy import SequencePolicy
    from embodied.learn.vec import Experience, GymVecEnv
    from embodied.view.stream import Stream
    from embodied_scripts.playing import Decision


@dataclass
class Play:
    """Show a trained run, or an environment with a reference player, in Rerun."""

    target: Annotated[str, tyro.conf.Positional]
    """Folder of a run, or an environment."""
    rerun: str = "live"
    """live (a window), web (a browser page), or a file that ends in .rrd."""
    episodes: int = 5
    """Episodes to show."""
    seed: int = 20_000
    """Seed of the world."""
    player: str | None = None
    """Who plays when the target is an environment: random, blind, curious or oracle; in a duel random, scripted or
    trained, in both seats (default: oracle, or the best player of a duel)."""
    options: tuple[str, ...] = ()
    """Options of the environment, as name=value; a run keeps its own."""

    def run(self) -> None:
        """Plays the episodes; live and web keep real time, and web goes on serving until Ctrl-C."""
        from rich.console import Console

        if self.episodes < 1:
            raise OptionError("episodes must be at least 1")
        agent, env, title = cast(self.target, self.player, self.options)
        stream = _open_stream(self.rerun, env, title, attends(getattr(agent, "policy", None)))
        console = Console(soft_wrap=True)
        if stream.url:
            console.print(f"Open {stream.url}")
        _play(agent, env, stream, self, console)
        if self.rerun == "web":
            console.print("Still serving; Ctrl-C ends it.")
            wait()
        stream.close()
        if self.rerun.endswith(".rrd"):
            console.print(f"Wrote {self.rerun}. Open it with: rerun {self.rerun}")


def _open_stream(where: str, env: GymVecEnv, title: str, attention: bool) -> Stream:
    try:
        from embodied.view.stream import Stream
    except MissingExtraError:
        raise
    except ImportError as error:
        raise MissingExtraError("rerun", "view") from error
    world: Any = env.gym_env
    robot = world.body.robot
    return Stream(
        where,
        world.batch.model,
        title,
        robot.cameras[0].classes,
        labels_of(world.hidden[0]),
        [actuator.name for actuator in robot.actuators],
        attention,
    )


def _play(agent: Agent, env: GymVecEnv, stream: Stream, asked: Play, console: Any) -> None:
    world: Any = env.gym_env
    sight = Sight(env)
    results: list[tuple[str, float]] = []
    notes = _Notes(stream, getattr(agent, "policy", None))

    def ended(experience: Experience, total: float) -> None:
        said = f"episode {len(results) + 1}: {outcome_of(env, experience, total)}, return {total:+.2f}"
        results.append((said, total))
        console.print(said)

    for moment in decisions(agent, env, asked.seed, ended):
        if moment.first:
            if results:
                stream.end(moment.time_s - 1e-3, *results[-1])
            if len(results) == asked.episodes:
                return
            truth = truth_of(world, env.privileged["hidden"][0])
            stream.event(moment.time_s, f"episode {len(results) + 1}: {truth}")
        data = world.batch.render_pair(0)[1]
        stream.step(
            moment.time_s,
            data,
            sight.rays(moment),
            sight.camera.ranges[0],
            sight.camera.seen[0],
            moment.action,
            moment.belief,
            moment.observer,
            moment.total,
        )
        notes.take(moment)
        if not asked.rerun.endswith(".rrd"):
            time.sleep(1 / world.task.control_hz)


class _Notes:
    """What is worth noticing of an episode: entropies, attention, and when something was told and became certain."""

    def __init__(self, stream: Stream, policy: SequencePolicy | None) -> None:
        self._stream, self._policy = stream, policy
        self._seen: list[Any] = []
        self._noticed: set[str] = set()

    def take(self, moment: Decision) -> None:
        """Logs one decision."""
        from embodied.learn.evaluate import CERTAINTY
        from embodied.mind.information import entropy_bits

        if moment.first:
            self._seen, self._noticed = [], set()
        self._seen.append(moment.obs)
        if moment.told:
            self._once(moment, "looked: something was told")
        for who, belief in (("agent", moment.belief), ("observer", moment.observer)):
            if belief is not None:
                self._stream.entropy(who, float(entropy_bits(belief)))
                if max(belief) >= CERTAINTY:
                    self._once(moment, f"certain: the {who} is {CERTAINTY:.0%} sure")
        if attends(self._policy):
            self._stream.attention(self._attention())

    def _attention(self) -> NDArray:
        import numpy as np

        assert self._policy is not None
        attention = self._policy.explain(np.array(self._seen)).inside["attention"]
        return attention[:, :, -1].reshape(-1, len(self._seen))

    def _once(self, moment: Decision, text: str) -> None:
        if text not in self._noticed:
            self._noticed.add(text)
            self._stream.event(moment.time_s, text)


def attends(policy: SequencePolicy | None) -> bool:
    """Whether a player is a network with attention that can be shown."""
    from embodied_policies import TransformerPolicy

    return isinstance(policy, TransformerPolicy)
