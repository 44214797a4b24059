"""The `embodied` command."""

from __future__ import annotations

import sys
from typing import Annotated

import tyro
from rich.console import Console
from rich.markup import escape

from embodied.errors import EmbodiedError
from embodied_scripts.adaptation import Adaptation
from embodied_scripts.adversary import AdversaryOf
from embodied_scripts.attend import Attend
from embodied_scripts.bench import Bench
from embodied_scripts.controls import Controls
from embodied_scripts.evaluate import Evaluate
from embodied_scripts.export import Export
from embodied_scripts.film import Film
from embodied_scripts.hopper_transfer import HopperTransfer
from embodied_scripts.identify import Excite, GapOf, Identify
from embodied_scripts.inspection import Inspect
from embodied_scripts.league import LeagueOf
from embodied_scripts.lint import Lint
from embodied_scripts.listing import List
from embodied_scripts.play import Play
from embodied_scripts.record import Record
from embodied_scripts.study import Study
from embodied_scripts.train import Train
from embodied_scripts.transfer import Transfer
from embodied_scripts.view import View

Command = (
    Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Controls, tyro.conf.subcommand("controls")]
    | Annotated[AdversaryOf, tyro.conf.subcommand("adversary")]
    | Annotated[Record, tyro.conf.subcommand("record")]
    | Annotated[Play, tyro.conf.subcommand("play")]
    | Annotated[Attend, tyro.conf.subcommand("attend")]
    | Annotated[Film, tyro.conf.subcommand("film")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Inspect, tyro.conf.subcommand("inspect")]
    | Annotated[Lint, tyro.conf.subcommand("lint")]
    | Annotated[Identify, tyro.conf.subcommand("identify")]
    | Annotated[Excite, tyro.conf.subcommand("excite")]
    | Annotated[GapOf, tyro.conf.subcommand("gap")]
    | Annotated[List, tyro.conf.subcommand("list")]
    | Annotated[Bench, tyro.conf.subcommand("bench")]
    | Annotated[Study, tyro.conf.subcommand("study")]
    | Annotated[Transfer, tyro.conf.subcommand("transfer")]
    | Annotated[Adaptation, tyro.conf.subcommand("adapt")]
    | Annotated[HopperTransfer, tyro.conf.subcommand("hopper")]
    | Annotated[View, tyro.conf.subcommand("view")]
    | Annotated[LeagueOf, tyro.conf.subcommand("league")]
)


def main() -> None:
    """Parses the command line and runs one command; errors that a person can mend are one line, exit code 2."""
    command = tyro.cli(
        Command,  # type: ignore[arg-type]
        prog="embodied",
        description="Worlds in which a robot must find something out, and small transformers that learn to.",
        config=(tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes),
    )
    try:
        command.run()
    except EmbodiedError as error:
        Console(stderr=True, soft_wrap=True).print(f"[bold red]error:[/] {escape(str(error))}", highlight=False)
        sys.exit(2)


if __name__ == "__main__":
    main()
