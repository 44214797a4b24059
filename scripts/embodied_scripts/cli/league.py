"""`embodied league`: self-play between two players, and who of them is how good."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from embodied.learn.config import PPOConfig
from embodied.nn.config import NetworkConfig
from embodied.selfplay.config import LeagueConfig
from embodied_scripts.cli.lazy import load
from embodied_scripts.cli.study_hiding import HideLeague
from embodied_scripts.cli.study_league_evaluation import EvaluateLeague
from embodied_scripts.cli.study_seeking import SeekLeague
from embodied_scripts.cli.train import MANY_WORLDS

LEAGUE_PPO = replace(MANY_WORLDS, dagger_share=0.1)
MIXED_OPPONENTS = LeagueConfig(latest=0.2, anchors=0.5)


@dataclass(frozen=True)
class TrainLeague:
    """Train a league: one network learns both seats against its past, its present and scripted anchors.

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
    n_envs: int = 128
    """Games at once."""
    options: tuple[str, ...] = ()
    """Options of the game, as name=value."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    """The policy."""
    ppo: PPOConfig = LEAGUE_PPO
    """Hyperparameters of PPO; a duel's expert is imitated first, unless dagger_share is 0."""
    league: LeagueConfig = MIXED_OPPONENTS
    """How opponents are sampled."""
    threads: int = 0
    """Threads of physics and network (0: one per core)."""

    def run(self) -> None:
        """Trains, and says what to do next."""
        load("training.league:train_league")(self)


@dataclass(frozen=True)
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
        load("show.league_table:show_league")(self)


@dataclass(frozen=True)
class ExploitLeague:
    """Train a best response to a league's newest member, or to its average: how exploitable is it, at this budget?"""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """Folder of the league."""
    target: str = "learner"
    """Whom to exploit: learner, average (a checkpoint sampled for each game), nash (by the Nash mixture of the
    population), or a member's name."""
    steps: int = 200_000
    """Decisions that the exploiter may learn from."""
    seed: int = 0
    """Of the exploiter."""
    join: bool = False
    """Let the exploiter join the league, so that the learner meets it when it goes on; not while it is training."""

    def run(self) -> None:
        """Trains the exploiter and prints what it wins."""
        load("training.league:exploit_league")(self)


LeagueCommand = (
    Annotated[TrainLeague, tyro.conf.subcommand("train")]
    | Annotated[ShowLeague, tyro.conf.subcommand("show")]
    | Annotated[EvaluateLeague, tyro.conf.subcommand("evaluate")]
    | Annotated[ExploitLeague, tyro.conf.subcommand("exploit")]
    | Annotated[SeekLeague, tyro.conf.subcommand("seek")]
    | Annotated[HideLeague, tyro.conf.subcommand("hide")]
)


@dataclass(frozen=True)
class LeagueOf:
    """Self-play: train a league, rate and evaluate its members, train a best response, and see what players know."""

    what: LeagueCommand  # type: ignore[valid-type]
    """Which."""

    def run(self) -> None:
        """Does what was asked."""
        self.what.run()  # type: ignore[attr-defined]
