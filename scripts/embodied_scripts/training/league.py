"""Training, rating and exploiting a league."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console

from embodied.agent import Agent
from embodied.errors import CheckpointError, LineageError, UnknownNameError
from embodied.learn.run import RunFolder
from embodied.lineage.line import Line
from embodied.lineage.making import Making
from embodied.nn.agent import NetworkAgent
from embodied.selfplay.league import League
from embodied.selfplay.population import Population
from embodied.selfplay.tournament import interval
from embodied_scripts.cli.league import ExploitLeague, TrainLeague
from embodied_scripts.cli.options import IMPORTED, import_flags, import_module
from embodied_scripts.ids import parse_options, resolve_id
from embodied_scripts.leagues import build_league, open_league, saved_league
from embodied_scripts.records import begun, randomized_by
from embodied_scripts.resuming import keep_randomization, refuse_changes, settings_as_json
from embodied_scripts.training.progress import Progress, Stop, on_interrupt


def train_league(asked: TrainLeague) -> None:
    """Trains, and prints who is how good."""
    name = asked.id.rsplit(".", 1)[-1].split("/")[-1]
    asked = replace(asked, run_dir=asked.run_dir or Path("runs") / f"{name}-league")
    finished = _train(asked)
    command = "embodied league show" if finished else f"embodied league train {asked.id} --resume --run"
    done = f"{'Trained' if finished else 'Stopped'}; saved in {asked.run_dir}. Next: {command} {asked.run_dir}"
    done += import_flags()
    Console(soft_wrap=True).print(done, markup=False, highlight=False)


def exploit_league(asked: ExploitLeague) -> None:
    """Trains the exploiter and prints what it wins."""
    league = open_league(asked.run_dir, writable=False)
    policy, scores = league.exploit(_target(league, asked.target), asked.steps, asked.seed)
    low, high = interval(scores.sum(), len(scores))
    Console().print(
        f"An exploiter of {asked.steps:,} steps wins {scores.mean():.1%} of {len(scores)} games against "
        f"{asked.target} (95 %: {low:.1%} to {high:.1%}); one half is a fair game.",
        highlight=False,
    )
    if asked.join:
        population = Population(league.population.folder, league.population.size)  # as it is by now
        member = population.add(policy, "exploiter", league.learner.num_timesteps)
        Console().print(f"{member.name} joined the league.", highlight=False)


def _train(asked: TrainLeague) -> bool:
    assert asked.run_dir is not None
    folder = RunFolder(asked.run_dir)
    with folder.held():
        return _train_in(folder, asked)


def _train_in(folder: RunFolder, asked: TrainLeague) -> bool:
    folder.check_free(asked.resume)
    if asked.resume:
        asked = _resumed(folder, asked)
    assert asked.run_dir is not None
    league = build_league(asked)
    making = _making(folder, asked)
    if not asked.resume and not (asked.run_dir / "run.json").exists():
        folder.begin(settings_as_json(asked))
        keep_randomization(folder.path, parse_options(asked.options).get("randomize"))
        league.save()
    league.learner.set_logger(folder.logger())
    stop = Stop()
    with on_interrupt(stop.request), Progress(asked.steps, str(folder.path)) as progress:
        league.learn(asked.steps, [stop, progress])
    making.finish(folder.policy)
    return league.learner.num_timesteps >= asked.steps


def _making(folder: RunFolder, asked: TrainLeague) -> Making:
    """What is recorded of a league: as it was begun, if it goes on."""
    if asked.resume:
        with suppress(LineageError):  # what is recorded may be damaged, which stops nobody from going on
            return Making.resume(Line.load(folder.policy), asdict(asked), tuple(IMPORTED))
    game = {"id": asked.id, "options": parse_options(asked.options)}
    return begun("league", asked, randomized_by(asked.options), game)


def _resumed(folder: RunFolder, given: TrainLeague) -> TrainLeague:
    """The settings with which a league was begun; only the number of steps may be another.

    Raises:
        CheckpointError: the folder holds no such league.
        OptionError: settings were given that the league does not have.
    """
    if "." in given.id:
        import_module(given.id)
    begun, plain = saved_league(folder.path, given.options), TrainLeague(id=given.id)
    if _plain(begun.id) != _plain(given.id):
        raise CheckpointError(f"{folder.path} is a league of {begun.id}, not of {given.id}")
    refuse_changes(folder.path, begun, given, plain)
    return replace(begun, resume=True, steps=begun.steps if given.steps == plain.steps else given.steps)


def _plain(game: str) -> str:
    """The name of a game, however it was written."""
    return game if "." in game else resolve_id(game)


def _target(league: League, name: str) -> Agent:
    if name == "learner":
        return NetworkAgent(league.learner.policy, deterministic=False, reuse_memory=True)
    if name == "average":
        return league.average()
    if name == "nash":
        return league.nash()
    player = league.player(name) if name in league.population.members else None
    if player is None:
        raise UnknownNameError("member", name, [*league.population.members, "learner", "average", "nash"])
    return player
