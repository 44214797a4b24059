"""`embodied evaluate`: what trained policies achieve and find out, beside reference players."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from embodied.errors import CheckpointError, OptionError, UnknownNameError

if TYPE_CHECKING:
    from embodied.learn.evaluate import Report
    from embodied.learn.policy import SequencePolicy

WORLDS = 64
NO_MEMORY = "no memory"
LEGEND = (
    "± standard error; * the same network without memory. bits: gathered, by an exact filter on the history where the "
    "task has one; certain: episodes in which an ideal observer became 95 % sure, and after how long; ECE: calibration "
    "error of the player's own belief."
)
REFERENCES = ("random", "blind", "curious", "oracle")


@dataclass
class Evaluate:
    """Evaluate runs beside reference players: success, return, bits gathered, seconds to certainty, calibration."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of runs of the same environment, or of a study (a folder of runs); or an id, for the references alone."""
    episodes: int = 512
    """Episodes per player."""
    seed: int = 10_000
    """Seed of the evaluation worlds; the same for every player."""
    json: Path | None = None
    """Also write the measures to this file."""
    references: bool = True
    """Include random, blind, curious and oracle."""
    stochastic: bool = False
    """Sample the networks' actions instead of taking the most likely."""

    def run(self) -> None:
        """Prints the table, and writes the JSON if asked."""
        from rich.progress import track

        from embodied.learn.agents import NetworkAgent
        from embodied.learn.checkpoint import check_spaces
        from embodied.learn.evaluate import evaluate
        from embodied.learn.vec import GymVecEnv, make_vec
        from embodied_scripts.players import reference_players

        if not self.runs or self.episodes < 1:
            raise OptionError("name at least one run, and at least one episode: embodied evaluate runs/demo")
        policies, env_card = self._asked()
        env = GymVecEnv(make_vec(env_card["id"], min(WORLDS, self.episodes), **env_card["options"]))
        players = reference_players(env) if self.references else {}
        for name, policy in policies.items():
            check_spaces(policy.card() | {"env": env_card}, env.observation_space, env.action_space, env_card["id"])
            players[name] = NetworkAgent(policy, deterministic=not self.stochastic)
        reports = {
            name: evaluate(player, env, self.episodes, self.seed)
            for name, player in track(players.items(), "Evaluating", transient=True)
        }
        env.close()
        kinds = {name: _kind(policy) for name, policy in policies.items()}
        _print(reports, kinds, env_card)
        if self.json is not None:
            self.json.write_text(json.dumps(_as_json(self, env_card, reports, kinds), indent=1))

    def _asked(self) -> tuple[dict[str, SequencePolicy], dict[str, Any]]:
        """The policies to evaluate, and their environment; an id stands for no policy at all."""
        from embodied_scripts.names import resolve_id

        if len(self.runs) == 1 and not self.runs[0].exists():
            with suppress(UnknownNameError):
                return {}, {"id": resolve_id(str(self.runs[0])), "options": {}}
        return load_runs([run for given in self.runs for run in runs_in(given)])


def load_runs(folders: list[Path]) -> tuple[dict[str, SequencePolicy], dict[str, Any]]:
    """Returns the policies by run name, and the environment that they share."""
    import embodied_envs  # noqa: F401  (registers the ids)
    import embodied_policies
    from embodied.learn.checkpoint import read_card
    from embodied.learn.policy import load_policy

    embodied_policies.register()
    cards = [read_card(folder / "policy") for folder in folders]
    for folder, card in zip(folders, cards, strict=True):
        if card.get("env") != cards[0].get("env"):
            raise CheckpointError(f"{folder} was trained on {card.get('env')}, {folders[0]} on {cards[0].get('env')}")
    names = [folder.name for folder in folders]
    if len(set(names)) < len(names) or set(names) & set(REFERENCES):
        names = [str(folder) for folder in folders]
    return {name: load_policy(folder / "policy") for name, folder in zip(names, folders, strict=True)}, cards[0]["env"]


def _kind(policy: SequencePolicy) -> str:
    name = type(policy).__name__.removesuffix("Policy").lower()
    return NO_MEMORY if name == "mlp" or policy.settings().get("context") == 1 else name


def _as_json(asked: Evaluate, env: dict[str, Any], reports: dict[str, Report], kinds: dict[str, str]) -> dict[str, Any]:
    players = {name: {"kind": kinds.get(name, name), **asdict(report)} for name, report in reports.items()}
    return {"env": env, "episodes": asked.episodes, "seed": asked.seed, "players": players}


def runs_in(folder: Path) -> list[Path]:
    """Returns `folder` if it is a run, else the runs right below it."""
    if (folder / "policy").is_dir():
        return [folder]
    found = sorted(path.parent for path in folder.glob("*/policy") if path.is_dir())
    if not found:
        raise CheckpointError(f"{folder} holds no run with a saved policy; train one: embodied train Signpost-v0")
    return found


def _print(reports: dict[str, Report], kinds: dict[str, str], env: dict[str, Any]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    options = ", ".join(f"{k}={v}" for k, v in env["options"].items())
    episodes = next(iter(reports.values())).episodes
    title = f"{env['id']}{f' ({options})' if options else ''}, {episodes} episodes each"
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
            _number(report.bits, "{:.2f}"),
            _number(report.certain, "{:.0%}"),
            _number(report.seconds_to_certainty, "{:.1f} s"),
            _number(report.calibration_error, "{:.3f}"),
        )
    table.caption = LEGEND
    table.caption_justify = "left"
    Console().print(table)


def _share(value: float | None, error: float | None) -> str:
    return "–" if value is None or error is None else f"{100 * value:.1f} ±{100 * error:.1f} %"


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)
