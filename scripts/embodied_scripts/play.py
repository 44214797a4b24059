"""`embodied play`: watch a policy, or a reference player, in Rerun."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from embodied.errors import MissingExtraError, OptionError, UnknownNameError
from embodied_scripts.view import wait

if TYPE_CHECKING:
    from embodied.agent import Agent
    from embodied.learn.vec import Experience, GymVecEnv
    from embodied.view.stream import Stream
    from embodied.world.picture import Beams


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
    storyboard: Path | None = None
    """Instead of a recording: write four moments of one episode side by side to this PNG file."""

    def run(self) -> None:
        """Plays the episodes; live and web keep real time, and web goes on serving until Ctrl-C."""
        from rich.console import Console

        if self.episodes < 1:
            raise OptionError("episodes must be at least 1")
        agent, env, title = _cast(self)
        if not hasattr(env.gym_env, "task"):
            raise OptionError(f"{title}: only this toolkit's own environments can be shown")
        if self.storyboard is not None:
            _draw(agent, env, self, self.storyboard)
            return
        stream = _open_stream(self.rerun, env, title)
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


def _cast(asked: Play) -> tuple[Agent, GymVecEnv, str]:
    """Returns the player, its environment and a title."""
    from embodied.learn.agents import NetworkAgent
    from embodied.learn.vec import GymVecEnv, make_vec
    from embodied_scripts.evaluate import load_runs, runs_in
    from embodied_scripts.names import parse_options, resolve_id
    from embodied_scripts.players import reference_players

    if (Path(asked.target) / "pool").is_dir():
        return _cast_league(asked)
    if Path(asked.target).is_dir():
        policies, env_card = load_runs(runs_in(Path(asked.target))[:1])
        name, policy = next(iter(policies.items()))
        env = GymVecEnv(make_vec(env_card["id"], 1, **env_card["options"]))
        return NetworkAgent(policy), env, f"{env_card['id']}: {name}"
    env_id = resolve_id(asked.target)
    options = parse_options(asked.options)
    env = GymVecEnv(make_vec(env_id, 1, **options))
    if hasattr(env.gym_env, "duel"):
        return _cast_duel(asked, env_id, options)
    players = reference_players(env)
    player = asked.player or ("oracle" if "oracle" in players else "random")
    if player not in players:
        raise UnknownNameError("player", player, players)
    return players[player], env, f"{env_id}: {player}"


def _cast_duel(asked: Play, env_id: str, options: dict[str, Any]) -> tuple[Agent, GymVecEnv, str]:
    """The same kind of player in both seats of a duel: trained, scripted or random."""
    from embodied.learn.vec import GymVecEnv, make_vec
    from embodied_scripts.players import duel_players

    scripted = GymVecEnv(make_vec(env_id, 1, **options))
    players = duel_players(env_id, scripted.gym_env.duel)  # type: ignore[attr-defined]
    player = asked.player or next(iter(players))
    if player not in players:
        raise UnknownNameError("player", player, players)
    first, second = players[player]
    return first, GymVecEnv(make_vec(env_id, 1, opponent=second, **options)), f"{env_id}: {player}"


def _cast_league(asked: Play) -> tuple[Agent, GymVecEnv, str]:
    """A league's learner in both seats."""
    from embodied.learn.opponents import SeatedAgent
    from embodied.learn.policy import load_policy
    from embodied.learn.vec import GymVecEnv, make_vec
    from embodied_scripts.league import saved_league
    from embodied_scripts.names import parse_options, resolve_id

    league = saved_league(Path(asked.target))
    if "." in league.id:
        raise OptionError(f"{league.id}: only this toolkit's own environments can be shown")
    policy = load_policy(Path(asked.target) / "policy")
    opponent = SeatedAgent(policy, 1)
    env = GymVecEnv(make_vec(resolve_id(league.id), 1, opponent=opponent, **parse_options(league.options)))
    return SeatedAgent(policy, 0), env, f"{league.id}: {asked.target}"


def _open_stream(where: str, env: GymVecEnv, title: str) -> Stream:
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
        _labels(world.hidden[0]),
        [actuator.name for actuator in robot.actuators],
    )


def _labels(hidden: Any) -> tuple[str, ...]:
    """The values of a hidden choice; none of a quantity."""
    return getattr(hidden, "labels", ())


def _truth(world: Any, values: Any) -> str:
    """What is hidden, in words."""
    told = [
        f"{h.name} is {_labels(h)[int(v)] if _labels(h) else f'{v:.2f} {h.unit}'}"
        for h, v in zip(world.hidden, values, strict=True)
    ]
    return ", ".join(told)


@dataclass
class _Moment:
    """Everything that can be shown of one decision."""

    time_s: float
    first: bool
    obs: Any
    action: Any
    belief: Any
    observer: Any
    total: float


def decisions(agent: Agent, env: GymVecEnv, seed: int, ended: Callable[[Experience, float], None]) -> Iterator[_Moment]:
    """Plays on and on in the one world of `env`, yielding every decision before it is carried out."""
    import numpy as np

    from embodied.learn.vec import step
    from embodied.mind.belief import DiscreteFilter

    world: Any = env.gym_env
    observer = DiscreteFilter(world.hidden[0], 1) if _labels(world.hidden[0]) else None
    env.seed(seed)
    obs, first, clock, total = env.reset(), np.ones(1, bool), 0.0, 0.0
    carry = agent.initial(1, seed)
    while True:
        evidence = world.log_likelihood(obs)
        if observer is not None and evidence is not None:
            observer.begin(first)
            observer.update(evidence)
        posterior = None if observer is None or evidence is None else observer.probabilities[0]
        carry, action = agent.act(carry, obs, first)
        belief = getattr(agent, "belief", lambda _: None)(carry)
        own = None if belief is None else belief[0]
        yield _Moment(clock, bool(first[0]), obs[0], action[0], own, posterior, total)
        experience, _ = step(env, action)
        total += float(experience.reward[0])
        clock += 1 / world.task.control_hz
        obs, first = experience.obs, experience.ended
        if first[0]:
            ended(experience, total)
            total = 0.0


def _play(agent: Agent, env: GymVecEnv, stream: Stream, asked: Play, console: Any) -> None:
    world: Any = env.gym_env
    sight = _Sight(env)
    results: list[tuple[str, float]] = []

    def ended(experience: Experience, total: float) -> None:
        won = experience.success is not None and bool(experience.success[0])
        drawn = hasattr(world, "duel") and not won and total == 0
        outcome = "success" if won else "a draw" if drawn else "failure"
        said = f"episode {len(results) + 1}: {outcome}, return {total:+.2f}"
        results.append((said, total))
        console.print(said)

    for moment in decisions(agent, env, asked.seed, ended):
        if moment.first:
            if results:
                stream.end(moment.time_s - 1e-3, *results[-1])
            if len(results) == asked.episodes:
                return
            truth = _truth(world, env.privileged["hidden"][0])
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
        if not asked.rerun.endswith(".rrd"):
            time.sleep(1 / world.task.control_hz)


def _draw(agent: Agent, env: GymVecEnv, asked: Play, path: Path) -> None:
    """Writes a storyboard of the first episode: the start, the moment of certainty, on the way, the end."""
    import numpy as np

    from embodied.learn.evaluate import CERTAINTY
    from embodied.view.storyboard import Moment, write_storyboard
    from embodied.world.picture import Painter

    world: Any = env.gym_env
    painter = Painter(world.batch, height=400, width=460)
    sight = _Sight(env)
    moments: list[Moment] = []
    certain: int | None = None
    for moment in decisions(agent, env, asked.seed, lambda *_: None):
        if moment.first and moments:
            break
        belief = moment.observer if moment.belief is None else moment.belief
        if certain is None and moment.observer is not None and np.max(moment.observer) >= CERTAINTY:
            certain = len(moments)
        moments.append(Moment(painter.paint(0, sight.beams(moment)), moment.time_s, belief, ""))
    certain = len(moments) // 2 if certain is None else certain
    scenes = {"looking": 0, "reading": certain, "turning": certain + (len(moments) - certain) * 2 // 5, "arriving": -1}
    write_storyboard(
        path, [replace(moments[i], caption=caption) for caption, i in scenes.items()], _labels(world.hidden[0])
    )


class _Sight:
    """The beams of the frame that the line camera of the only world delivered last: they start where it was taken."""

    def __init__(self, env: GymVecEnv) -> None:
        world: Any = env.gym_env
        self.camera = world.body.cameras[0]
        self._hz = world.task.control_hz
        late = not self.camera.fan.timing.immediate
        self._age = world.layout.slice(f"{self.camera.fan.name}/age") if late else None
        self._past: deque[tuple[Any, Any]] = deque(maxlen=64)

    def rays(self, moment: _Moment) -> tuple[Any, Any]:
        """Returns origin `(1, 3)` and directions `(pixels, 3)`; to be called at every decision."""
        if moment.first:
            self._past.clear()
        origin, directions = self.camera.rays()
        self._past.append((origin[0].copy(), directions[0].copy()))
        lag = 0 if self._age is None else round(float(moment.obs[self._age][0]) * self._hz)
        return self._past[max(-1 - lag, -len(self._past))]

    def beams(self, moment: _Moment) -> Beams:
        """Returns the beams as lines in their colours."""
        from embodied.view.palette import beam_colours
        from embodied.world.picture import Beams

        origin, directions = self.rays(moment)
        ends = origin + directions * self.camera.ranges[0][:, None]
        return Beams(origin[0], ends, beam_colours(self.camera.fan.classes, self.camera.seen[0]))
