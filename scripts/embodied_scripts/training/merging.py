"""Policies merged in several ways, and what each is worth in the environments of all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

import embodied_envs  # noqa: F401  (registers the ids)
from embodied.agent import Agent
from embodied.errors import CheckpointError, OptionError
from embodied.evaluation.report import Report, evaluate
from embodied.fleet.ensemble import Ensemble
from embodied.fleet.merging import How, check_alike, merge
from embodied.learn.ppo import SequencePPO
from embodied.lineage.making import Making
from embodied.nn.agent import NetworkAgent
from embodied.nn.checkpoint import policy_folder, read_card, save_policy
from embodied.nn.policy import SequencePolicy, load_policy
from embodied.physics.threads import default_threads
from embodied.vector.spec import EnvSpec
from embodied.version import __version__
from embodied_scripts.cli.merge import Merge
from embodied_scripts.runs import runs_in, saved_policy
from embodied_scripts.training.initialization import IMITATION

WORLDS, STUDENT_WORLDS = 64, 128
TABLE, POLICY, DISTILLED = "merge.json", "policy", "distilled"
ROW = "{:.1f} ±{:.1f} %"


def merge_runs(asked: Merge) -> None:
    """Merges, saves, evaluates, and prints the table."""
    runs = [run for given in asked.runs for run in runs_in(given)]
    if len(runs) < 2:
        raise OptionError("it takes at least two runs to merge")
    if asked.out.exists() and any(asked.out.iterdir()):
        raise OptionError(f"{asked.out} is there already, and not empty: name another folder")
    members = {run.name: load_policy(run) for run in runs}
    if len(members) < len(runs):
        members = {str(run): load_policy(run) for run in runs}
    check_alike([*members.values()])
    specs = _environments(runs)
    base = None if asked.base is None else load_policy(saved_policy(str(asked.base)))
    players: dict[str, Agent] = {name: NetworkAgent(policy) for name, policy in members.items()}
    if base is not None:
        players["base"] = NetworkAgent(base)
    console = Console(soft_wrap=True)
    for how, made in _merged(asked, [*members.values()], base, specs, console):
        _save(asked, how, made, runs)
        players[how] = NetworkAgent(made)
    players["ensemble"] = Ensemble([*members.values()])
    reports = _evaluated(players, specs, asked)
    _print(reports, specs, asked)
    told = {name: [asdict(one) for one in row] for name, row in reports.items()}
    table = {"environments": [spec.jsonable() for spec in specs], "seed": asked.seed, "players": told}
    (asked.out / TABLE).write_text(json.dumps(table, indent=1))
    console.print(f"Saved in {asked.out}", markup=False, highlight=False)


def _environments(runs: list[Path]) -> list[EnvSpec]:
    """Where they were trained, each once."""
    found: list[EnvSpec] = []
    for run in runs:
        spec = EnvSpec.from_jsonable(read_card(policy_folder(run)).get("env"), run)
        if spec not in found:
            found.append(spec)
    return found


def _merged(
    asked: Merge,
    members: list[SequencePolicy],
    base: SequencePolicy | None,
    specs: list[EnvSpec],
    console: Console,
) -> Iterator[tuple[str, SequencePolicy]]:
    """Every way that they allow, with the reason where one does not."""
    ways: list[How] = ["average", "aligned"] if base is None else ["average", "aligned", "task-vectors", "ties"]
    for how in ways:
        try:
            yield how, merge(members, how, base, asked.shares or None, asked.scale)
        except OptionError as error:
            if how != "aligned":
                raise
            console.print(f"not aligned: {error}", markup=False, highlight=False)
    if asked.distill:
        with console.status(f"A new network imitates the ensemble for {asked.distill:,} steps …"):
            student = _distilled(asked, members, specs)
        yield DISTILLED, student


def _distilled(asked: Merge, members: list[SequencePolicy], specs: list[EnvSpec]) -> SequencePolicy:
    """A new network that imitated the ensemble.

    Raises:
        OptionError: they were trained in different environments, so that no ensemble knows its way in all.
    """
    if len(specs) > 1:
        raise OptionError("an ensemble is distilled where all were trained in the same environment")
    threads = asked.threads or default_threads()
    torch.set_num_threads(threads)
    own = {"threads": threads} if specs[0].id.startswith("embodied/") else {}
    env = specs[0].make(STUDENT_WORLDS, **own)
    config = replace(IMITATION, normalize=members[0].normalize)
    student = SequencePPO(
        type(members[0]), env, config, policy_kwargs=members[0].settings(), expert=Ensemble(members), seed=asked.seed
    )
    student.learn(asked.distill)
    env.close()
    return student.policy


def _save(asked: Merge, how: str, made: SequencePolicy, runs: list[Path]) -> None:
    """Writes a merged policy as a run, with what it was made from."""
    card = {name: value for name, value in read_card(policy_folder(runs[0])).items() if name in ("env", "contract")}
    if "contract" in card:
        card["contract"]["lineage"] = {"version": __version__, "merged": f"{how} of {len(runs)} policies"}
    used = [("member", policy_folder(run)) for run in runs]
    used += [] if asked.base is None else [("base", saved_policy(str(asked.base)))]
    seeds = (asked.seed,) if how == DISTILLED else ()
    making = Making.begin(f"merge: {how}", used, asdict(asked), card.get("env"), seeds)
    folder = asked.out / how / POLICY
    save_policy(folder, made, made.card() | card)
    making.finish(folder)


def _evaluated(players: dict[str, Agent], specs: list[EnvSpec], asked: Merge) -> dict[str, list[Report]]:
    reports: dict[str, list[Report]] = {name: [] for name in players}
    for spec in specs:
        env = spec.make(min(WORLDS, asked.episodes))
        for name, player in track(players.items(), f"Evaluating in {spec}", transient=True):
            try:
                reports[name].append(evaluate(player, env, asked.episodes, asked.seed))
            except CheckpointError as error:
                raise CheckpointError(f"{name} cannot act in {spec}: {error}") from error
        env.close()
    return reports


def _print(reports: dict[str, list[Report]], specs: list[EnvSpec], asked: Merge) -> None:
    table = Table(title=f"{asked.episodes} episodes each", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1))
    table.add_column("policy", no_wrap=True)
    for spec in specs:
        table.add_column(f"{spec}", justify="right")
    for name, row in reports.items():
        table.add_row(name, *map(_cell, row))
    Console().print(table)


def _cell(report: Report) -> str:
    if report.success is None or report.success_error is None:
        return f"{report.reward:+.3f} ±{report.reward_error:.3f}"
    success = ROW.format(100 * report.success, 100 * report.success_error)
    return f"{success}  {report.reward:+.3f}"
