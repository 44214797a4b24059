"""The evaluation table of trained policies and baselines."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

import embodied_envs  # noqa: F401  (registers the ids)
from embodied.errors import LineageError, OptionError, UnknownNameError
from embodied.evaluation.report import Report, evaluate
from embodied.lineage.content import sha256_of_artifact
from embodied.lineage.making import note_measurement
from embodied.nn.agent import NetworkAgent
from embodied.nn.checkpoint import check_spaces, policy_folder
from embodied.nn.policy import SequencePolicy
from embodied.vector.spec import EnvSpec
from embodied_scripts.baselines import baselines
from embodied_scripts.cli.evaluate import Evaluate
from embodied_scripts.ids import resolve_id
from embodied_scripts.runs import load_runs, runs_in

WORLDS = 64
MEASURED = {  # name in records -> field of a report
    "success": "success",
    "return": "reward",
    "information gathered [bit]": "information_bits",
    "calibration error": "calibration_error",
}

NO_MEMORY = "no memory"


LEGEND = (
    "± standard error; * the same network without memory. bits: gathered, by an exact filter on the history where the "
    "task has one; certain: episodes in which an ideal observer became 95 % sure, and after how long; ECE: calibration "
    "error of the player's own belief."
)


def evaluate_runs(asked: Evaluate) -> None:
    """Prints the table, and writes the JSON if asked."""
    if not asked.runs or min(asked.episodes, asked.longest) < 1:
        raise OptionError("name at least one run, episode and step: embodied evaluate runs/demo")
    policies, spec, runs = _asked(asked)
    contents = [(name, run, _content(run)) for name, run in zip(policies, runs, strict=True)]
    env = spec.make(min(WORLDS, asked.episodes), asked.longest)
    players = baselines(env) if asked.references else {}
    for name, policy in policies.items():
        check_spaces(policy.card() | {"env": spec.jsonable()}, env.observation_space, env.action_space, spec.id)
        players[name] = NetworkAgent(policy, deterministic=not asked.stochastic)
    reports = {
        name: evaluate(player, env, asked.episodes, asked.seed)
        for name, player in track(players.items(), "Evaluating", transient=True)
    }
    env.close()
    kinds = {name: _kind(policy) for name, policy in policies.items()}
    _print(reports, kinds, spec)
    if asked.json is not None:
        asked.json.write_text(json.dumps(_as_json(asked, spec, reports, kinds), indent=1))
    for name, run, content in contents:
        _note(asked, spec, run, content, reports[name])


def _asked(asked: Evaluate) -> tuple[dict[str, SequencePolicy], EnvSpec, list[Path]]:
    """The policies to evaluate, their environment, and their runs; an id stands for no policy at all."""
    if len(asked.runs) == 1 and not asked.runs[0].exists():
        with suppress(UnknownNameError):
            return {}, EnvSpec(resolve_id(str(asked.runs[0]))), []
    runs = [*{run.resolve(): run for given in asked.runs for run in runs_in(given)}.values()]
    policies, spec = load_runs(runs)
    return policies, spec, runs


def _content(run: Path) -> str:
    """What is evaluated; nothing where a save of it was interrupted."""
    try:
        return sha256_of_artifact(policy_folder(run))
    except LineageError:
        return ""


def _note(asked: Evaluate, spec: EnvSpec, run: Path, content: str, report: Report) -> None:
    """Writes what was measured beside what is recorded of a policy's origin, where that can be."""
    told = {name: getattr(report, field) for name, field in MEASURED.items()}
    errors = {"success": report.success_error, "return": report.reward_error}
    try:
        note_measurement(
            policy_folder(run),
            content,
            "evaluate",
            {name: value for name, value in told.items() if value is not None},
            {name: error for name, error in errors.items() if error is not None},
            settings={"episodes": asked.episodes, "stochastic": asked.stochastic, "longest": asked.longest},
            environment=spec.jsonable(),
            seeds=(asked.seed,),
        )
    except LineageError as error:
        Console(stderr=True, soft_wrap=True).print(f"not recorded: {error}", markup=False, highlight=False)


def _kind(policy: SequencePolicy) -> str:
    name = type(policy).__name__.removesuffix("Policy").lower()
    return NO_MEMORY if name == "mlp" or policy.settings().get("context") == 1 else name


def _as_json(asked: Evaluate, env: EnvSpec, reports: dict[str, Report], kinds: dict[str, str]) -> dict[str, Any]:
    players = {name: {"kind": kinds.get(name, name), **asdict(report)} for name, report in reports.items()}
    return {"env": env.jsonable(), "episodes": asked.episodes, "seed": asked.seed, "players": players}


def _print(reports: dict[str, Report], kinds: dict[str, str], spec: EnvSpec) -> None:
    episodes = next(iter(reports.values())).episodes
    title = f"{spec}, {episodes} episodes each"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("player", no_wrap=True)
    for column in ("success", "return", "bits", "certain", "after", "ECE"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, report in reports.items():
        label = f"{name} *" if kinds.get(name) == NO_MEMORY else name
        table.add_row(
            label,
            _share(report.success, report.success_error),
            f"{report.reward:+.3f} ±{report.reward_error:.3f}",
            _number(report.information_bits, "{:.2f}"),
            _number(report.certain, "{:.0%}"),
            _number(report.time_to_certainty_s, "{:.1f} s"),
            _number(report.calibration_error, "{:.3f}"),
        )
    table.caption = LEGEND
    table.caption_justify = "left"
    Console().print(table)


def _share(value: float | None, error: float | None) -> str:
    return "–" if value is None or error is None else f"{100 * value:.1f} ±{100 * error:.1f} %"


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)
