"""`embodied league`: self-play between two players, and who of them is how good."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from embodied.errors import CheckpointError, OptionError, UnknownNameError
from embodied_scripts.hiding import HideLeague
from embodied_scripts.judge import JudgeLeague
from embodied_scripts.seeking import SeekLeague

if TYPE_CHECKING:
    from embodied.learn.games import Games
    from embodied.learn.judging import Table
    from embodied.learn.league import League
    from embodied.learn.opponents import Opponent

MOST_SHOWN = 6  # networks in a table


@dataclass
class TrainLeague:
    """Train a league: one network learns both seats against its past, its present and scripted founders.

    Ctrl-C saves and stops; `--resume` goes on, also after a kill.
    """

    id: Annotated[str, tyro.conf.Positional]
    """A duel (HideSeek-v0, Sumo-v0), or a game of PettingZoo by its module: pettingzoo.classic.rps_v2."""
    steps: int = 3_200_000
    """Decisions of the learner, over all games together."""
    seed: int = 0
    """Decides everything that is random."""
    run_dir: Annotated[Path | None, tyro.conf.arg(name="run")] = None
    """Folder of the league (default: runs/ID-league)."""
    resume: bool = False
    """Go on with the league in that folder."""
    options: tuple[str, ...] = ()
    """Options of the game, as name=value."""
    core: Literal["transformer", "gru", "mlp"] = "transformer"
    """The network."""
    layers: int = 2
    """Layers of the network."""
    width: int = 64
    """Width of the network."""
    games: int = 128
    """Games at once."""
    rollout: int = 64
    """Decisions per game between updates."""
    learning_rate: float = 5e-4
    """Of Adam, at the start; falls linearly to a tenth."""
    entropy: float = 0.0
    """Reward for playing at random; table games need some to keep mixing."""
    discount: float = 0.99
    """Of reward, per decision: the nearer to 1, the further ahead it looks."""
    trace: float = 0.95
    """Lambda of generalised advantage estimation: the nearer to 1, the less it trusts its critic."""
    belief: float = 0.1
    """Weight of predicting what is hidden, as a lesson beside the reward."""
    slots: int = 8
    """Different opponents at once."""
    latest: float = 0.2
    """Share of the games that the learner plays against itself as it is."""
    founders: float = 0.5
    """Share of the other games that scripted and random players get; those that win come more often."""
    members: int = 20
    """Snapshots that the training makes."""
    lessons: float = 0.1
    """Share of the training in which a duel's teacher is imitated, less and less; 0 for none."""
    reminders: float = 0.0
    """Weight of imitating it after that, beside reinforcement; fades until the end."""
    guidance: float | None = None
    """Share of the training during which progress counts by itself and failures are forgiven, less and less (default:
    what the game recommends)."""
    threads: int = 0
    """Threads of physics and network (0: one per core)."""

    def run(self) -> None:
        """Trains, and prints who is how good."""
        from rich.console import Console

        name = self.id.rsplit(".", 1)[-1].split("/")[-1]
        asked = replace(self, run_dir=self.run_dir or Path("runs") / f"{name}-league")
        finished = _train(asked)
        command = "embodied league show" if finished else f"embodied league train {self.id} --resume --run"
        said = f"{'Trained' if finished else 'Stopped'}; saved in {asked.run_dir}. Next: {command} {asked.run_dir}"
        Console(soft_wrap=True).print(said, markup=False, highlight=False)


@dataclass
class ShowLeague:
    """Let members play each other in both seats of the same worlds; print ratings and pay-offs."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """Folder of the league."""
    rounds: int = 1
    """How often each pair plays each of its worlds, from both seats."""
    json: Path | None = None
    """Also write the table to this file."""
    picture: Path | None = None
    """Where to draw the table (default: table.png in the folder of the league)."""

    def run(self) -> None:
        """Plays, prints and draws."""
        league = open_league(self.run_dir, writable=False)
        table = league.table(self.rounds, MOST_SHOWN)
        _print(table, self.run_dir)
        target = self.picture or self.run_dir / "table.png"
        _draw(table, target)
        if self.json is not None:
            self.json.write_text(json.dumps(_as_json(table), indent=1))


@dataclass
class ExploitLeague:
    """Train a best response to a league's newest member, or to its average: how exploitable is it, at this budget?"""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """Folder of the league."""
    target: str = "learner"
    """Whom to exploit: learner, average (a member drawn for each game), nash (drawn as no member can beat), or a
    member's name."""
    steps: int = 200_000
    """Decisions that the exploiter may learn from."""
    seed: int = 0
    """Of the exploiter."""
    join: bool = False
    """Let the exploiter join the league, so that the learner meets it when it goes on; not while it is training."""

    def run(self) -> None:
        """Trains the exploiter and prints what it wins."""
        from rich.console import Console

        from embodied.learn.judging import interval
        from embodied.learn.pool import Pool

        league = open_league(self.run_dir, writable=False)
        policy, scores = league.exploit(_target(league, self.target), self.steps, self.seed)
        low, high = interval(scores.sum(), len(scores))
        Console().print(
            f"An exploiter of {self.steps:,} steps wins {scores.mean():.1%} of {len(scores)} games against "
            f"{self.target} (95 %: {low:.1%} to {high:.1%}); one half is a fair game.",
            highlight=False,
        )
        if self.join:
            pool = Pool(league.pool.folder, league.pool.size)  # as it is by now
            member = pool.add(policy, "exploiter", league.learner.num_timesteps)
            Console().print(f"{member.name} joined the league.", highlight=False)


LeagueCommand = (
    Annotated[TrainLeague, tyro.conf.subcommand("train")]
    | Annotated[ShowLeague, tyro.conf.subcommand("show")]
    | Annotated[ExploitLeague, tyro.conf.subcommand("exploit")]
    | Annotated[JudgeLeague, tyro.conf.subcommand("judge")]
    | Annotated[SeekLeague, tyro.conf.subcommand("seek")]
    | Annotated[HideLeague, tyro.conf.subcommand("hide")]
)


@dataclass
class LeagueOf:
    """Self-play between two players: train a league, show and judge who is how good, exploit it, see what it knows."""

    what: LeagueCommand  # type: ignore[valid-type]

    def run(self) -> None:
        """Does what was asked."""
        self.what.run()  # type: ignore[attr-defined]


def games_of(
    name: str, count: int, threads: int = 0, **options: Any
) -> tuple[Games, dict[str, Callable[[], Opponent]]]:
    """Returns games by their name, and their scripted players.

    Raises:
        UnknownNameError: there is no such duel, and no such module of PettingZoo's kind.
    """
    import gymnasium as gym

    from embodied.learn.games import DuelGames, PettingZooGames
    from embodied.learn.opponents import RandomOpponent, ScriptedOpponent
    from embodied.physics.threads import default_threads
    from embodied.world.duel import Duel
    from embodied_scripts.names import resolve_id

    if "." in name:
        games: Games = PettingZooGames(_maker(name, options), count)
        return games, {"random": lambda: RandomOpponent(games.action_space)}
    vec: Any = gym.make_vec(resolve_id(name), num_envs=1, **options).unwrapped
    if not hasattr(vec, "duel"):
        raise UnknownNameError("duel", name, duels())
    duel = Duel(vec.task, count, threads or default_threads(), "Disabled")
    scripted = lambda: ScriptedOpponent(_scripted(duel))  # noqa: E731
    return DuelGames(duel), {"scripted": scripted, "random": lambda: RandomOpponent(duel.seats[0].action_space)}


def duels() -> list[str]:
    """Names of this project's duels."""
    from embodied_scripts.names import own_ids

    return [name.removeprefix("embodied/") for name in own_ids() if name.split("/")[1].startswith(("HideSeek", "Sumo"))]


def _maker(name: str, options: dict[str, Any]) -> Callable[[], Any]:
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        raise OptionError(
            f"no game {name!r}: {error} (a module with parallel_env or env, such as pettingzoo.classic.rps_v2)"
        ) from error
    make = getattr(module, "parallel_env", None) or getattr(module, "env", None)
    if make is None:
        raise OptionError(f"{name} has neither parallel_env nor env: is it a game of PettingZoo?")
    return lambda: make(**options)


def open_league(folder: Path, writable: bool = True) -> League:
    """Takes up the league of a folder.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    return _build(saved_league(folder), writable)


def saved_league(path: Path) -> TrainLeague:
    """With what the league of a folder was begun.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    from embodied.learn.run import RunFolder

    folder = RunFolder(path)
    saved = folder.settings()
    try:
        return replace(TrainLeague(id=saved["id"]), **saved | {"options": tuple(saved["options"])}, run_dir=folder.path)
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{folder.path} is no league of this version: {error}") from error


def _train(asked: TrainLeague) -> bool:
    from embodied.learn.run import RunFolder
    from embodied_scripts.progress import Progress, Stop, on_interrupt

    assert asked.run_dir is not None
    folder = RunFolder(asked.run_dir)
    folder.check_free(asked.resume)
    if asked.resume:
        steps = asked.steps
        asked = saved_league(folder.path)
        asked = replace(asked, steps=steps if steps != TrainLeague(id=asked.id).steps else asked.steps)
    assert asked.run_dir is not None
    league = _build(asked)
    if not asked.resume and not (asked.run_dir / "run.json").exists():
        settings = {key: value for key, value in asdict(asked).items() if key not in ("run_dir", "resume")}
        folder.begin(settings)
        league.save()
    league.learner.set_logger(folder.logger())
    stop = Stop()
    with on_interrupt(stop.request), Progress(asked.steps, str(folder.path)) as progress:
        league.learn(asked.steps, [stop, progress])
    return league.learner.num_timesteps >= asked.steps


def _build(asked: TrainLeague, writable: bool = True) -> League:
    import torch

    from embodied.learn.league import League, LeagueOptions
    from embodied.physics.threads import default_threads
    from embodied_scripts.names import parse_options
    from embodied_scripts.train import policy_class

    assert asked.run_dir is not None
    if not (0 <= asked.discount <= 1 and 0 <= asked.trace <= 1 and asked.belief >= 0):
        raise OptionError("discount and trace are from 0 to 1, and belief is a weight of at least 0")
    threads = asked.threads or default_threads()
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    games, founders = games_of(asked.id, asked.games, threads, **parse_options(asked.options))
    start = asked.learning_rate
    return League(
        games,
        policy_class(asked.core),
        asked.run_dir,
        founders,
        LeagueOptions(slots=asked.slots, latest=asked.latest, founders=asked.founders, members=asked.members),
        asked.seed,
        writable,
        n_steps=asked.rollout,
        minibatches=max(1, asked.games // 8),
        learning_rate=lambda left: start * (0.1 + 0.9 * left),
        gamma=asked.discount,
        gae_lambda=asked.trace,
        belief_coef=asked.belief,
        ent_coef=asked.entropy,
        guidance=asked.guidance,
        policy_kwargs={"layers": asked.layers, "width": asked.width},
        **_lessons(games, asked),
    )


def _lessons(games: Games, asked: TrainLeague) -> dict[str, Any]:
    """The teachers of a duel's seats as one; nothing where there are none, or no lessons are wanted."""
    from embodied.learn.games import DuelGames
    from embodied.learn.opponents import SeatedPair

    if not asked.lessons or not isinstance(games, DuelGames):
        return {}
    first, second = games.duel.seats
    teacher = SeatedPair((games.duel.task.teacher(first), games.duel.task.teacher(second)))
    return {"teacher": teacher, "lessons": asked.lessons, "reminders": asked.reminders}


def _scripted(duel: Any) -> tuple[Any, Any]:
    return duel.task.scripted(duel.seats[0]), duel.task.scripted(duel.seats[1])


def _target(league: League, name: str) -> Opponent:
    from embodied.learn.opponents import NetworkOpponent

    if name == "learner":
        return NetworkOpponent(league.learner.policy)
    if name == "average":
        return league.average()
    if name == "nash":
        return league.nash()
    player = league.player(name) if name in league.pool.members else None
    if player is None:
        raise UnknownNameError("member", name, [*league.pool.members, "learner", "average", "nash"])
    return player


def _as_json(table: Table) -> dict[str, Any]:
    arrays = {name: getattr(table, name).tolist() for name in ("score", "low", "high", "games", "payoff", "nash")}
    return {"names": table.names, **arrays, "ratings": table.ratings(), "cyclic_share": table.cyclic_share}


def _print(table: Table, folder: Path) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as Sheet

    sheet = Sheet(title=f"{folder}, both seats", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    sheet.add_column("player", no_wrap=True)
    for column in ("rating", "Nash", *[str(i + 1) for i in range(len(table.names))]):
        sheet.add_column(column, justify="right", no_wrap=True)
    ratings, nash = table.ratings(), table.nash
    for i, name in enumerate(table.names):
        mu, sigma = ratings[name]
        scores = [f"{100 * s:.0f}" if j != i else "·" for j, s in enumerate(table.score[i])]
        sheet.add_row(f"{i + 1} {name}", f"{mu:.1f} ±{sigma:.1f}", f"{nash[i]:.2f}", *scores)
    counted = table.games[table.games > 0]
    if not counted.size:
        Console().print(sheet, "Nobody has anyone to play against yet: train the league further.", highlight=False)
        return
    least, half = int(counted.min()), 100 * _widest(table)
    sheet.caption = (
        f"Numbers: share of games won against the player of that number [%], of at least {least} games (95 %: up to "
        f"±{half:.0f}). Nash: how often to play whom so that nobody here wins against it. No rating explains "
        f"{table.cyclic_share:.0%} of the pay-offs; sure circles of three: {len(table.cycles)}."
    )
    sheet.caption_justify = "left"
    Console().print(sheet)


def _widest(table: Table) -> float:
    """The widest half of an interval of the table."""
    return float(((table.high - table.low) / 2)[table.games > 0].max())


def _draw(table: Table, path: Path) -> None:
    from embodied.errors import MissingExtraError

    try:
        from embodied.view.matrix import write_matrix
    except ImportError as error:
        raise MissingExtraError("matplotlib", "view") from error
    write_matrix(path, table.names, table.score)
