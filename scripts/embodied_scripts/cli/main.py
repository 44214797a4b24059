"""The `embodied` command: finds the subcommand, and loads nothing else."""

from __future__ import annotations

import difflib
import sys
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from embodied.errors import EmbodiedError
from embodied_scripts.cli.lazy import load

COLUMN = 14  # width of the names in the overview


@dataclass(frozen=True)
class Subcommand:
    """Where the options of a subcommand are declared (`module:class` below `embodied_scripts`), and what it does."""

    options: str
    does: str


COMMANDS: dict[str, dict[str, Subcommand]] = {
    "Use": {
        "list": Subcommand("cli.list:List", "the environments, and what is hidden in them"),
        "play": Subcommand("cli.play:Play", "watch a policy, or a baseline, in Rerun"),
        "film": Subcommand("cli.film:Film", "an episode as a film or a picture; needs no screen"),
        "view": Subcommand("cli.view:View", "any MJCF or URDF in Rerun, moving"),
        "inspect": Subcommand("cli.inspect:Inspect", "a robot's sensors and actuators"),
    },
    "Train": {
        "train": Subcommand("cli.train:Train", "train a policy on an environment"),
        "train-sac": Subcommand("cli.train_sac:TrainSAC", "the same off policy: fewer steps, more time for each"),
        "collect": Subcommand("cli.collect:Collect", "collect demonstrations of a planner or a policy"),
        "distill": Subcommand("cli.distill:Distill", "teach a network what the planner decides"),
        "merge": Subcommand("cli.merge:Merge", "policies that were trained apart, made into one"),
        "league": Subcommand("cli.league:LeagueOf", "self-play: train, rate and exploit a league"),
    },
    "Identify": {
        "lint": Subcommand("cli.lint:Lint", "what is wrong with recordings of a robot"),
        "identify": Subcommand("cli.identify:Identify", "fit a model to recordings"),
        "gap": Subcommand("cli.identify:GapOf", "the sim-to-real gap of a model, before and after a fit"),
        "excite": Subcommand("cli.identify:Excite", "propose the recording that would tell most"),
    },
    "Deploy": {
        "transfer": Subcommand("cli.transfer:TransferTo", "from a robot on a port to a policy fitted to it"),
        "export": Subcommand("cli.export:Export", "a trained policy as ONNX"),
        "deploy": Subcommand("cli.deploy:Deploy", "a policy on a robot, supervised"),
        "probe": Subcommand("cli.deploy:Probe", "a robot measured: latency, losses, noise"),
        "record": Subcommand("cli.record:Record", "a motion of a robot, recorded for identify"),
        "teleoperate": Subcommand("cli.teleoperate:Teleoperate", "a robot led by a second arm or keys, and kept"),
        "twin": Subcommand("cli.twin:Twin", "a software twin of a robot behind a serial port"),
    },
    "Trust": {
        "lineage": Subcommand("cli.lineage:LineageOf", "where a model comes from, signed and verified"),
    },
    "Measure": {
        "evaluate": Subcommand("cli.evaluate:Evaluate", "success, return, information gathered and calibration"),
        "controls": Subcommand("cli.controls:Controls", "what a policy owes to active perception"),
        "adversary": Subcommand("cli.adversary:AdversaryOf", "success where an adversary chooses what is hidden"),
        "attend": Subcommand("cli.attend:Attend", "what a transformer attends to when it commits"),
        "bench": Subcommand("cli.bench:Bench", "speed, in ratios measured within one run"),
        "fuzz": Subcommand("cli.fuzz:Fuzz", "damaged logs and robot files: read, or refused in one line"),
        "architecture": Subcommand("cli.architecture:Architecture", "the packages of this project, as a picture"),
        "study": Subcommand("cli.study:StudyOf", "published benchmarks and the studies of the documentation"),
    },
}
KNOWN = {name: command for group in COMMANDS.values() for name, command in group.items()}


def main(arguments: list[str] | None = None) -> None:
    """Runs one subcommand; errors that a person can mend are one line, exit code 2."""
    given = sys.argv[1:] if arguments is None else arguments
    if not given or given[0] in ("-h", "--help"):
        print(overview())
        sys.exit(0 if given else 2)
    if given[0] == "--version":
        print(f"embodied {version('embodied-sim2real')}")
        return
    name, rest = given[0], given[1:]
    if name not in KNOWN:
        _fail(_unknown(name))
    try:
        command = load("cli.options:parse")(name, load(KNOWN[name].options), rest)
        command.run()
    except EmbodiedError as error:
        _fail(str(error))
    except BrokenPipeError:  # whoever reads has gone
        sys.stderr.close()


def overview() -> str:
    """The subcommands by what they are for."""
    lines = ["Usage: embodied COMMAND [OPTIONS]    (embodied COMMAND --help explains one)", ""]
    for group, commands in COMMANDS.items():
        lines += [group, *(f"  {name:<{COLUMN}}{command.does}" for name, command in commands.items()), ""]
    return "\n".join([*lines, "embodied --version prints the version."])


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, KNOWN, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"no command {name!r}; {hint}commands: {', '.join(KNOWN)}"


def _fail(message: str) -> Any:
    red, plain = ("\033[1;31m", "\033[0m") if sys.stderr.isatty() else ("", "")
    print(f"{red}error:{plain} {message}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
