"""System identification from the command line: fits, gaps and proposed recordings, printed and written."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from embodied.errors import OptionError, RecordingError
from embodied.nn.checkpoint import load_json, save_json
from embodied.physics.loading import packages_of
from embodied.sysid import Fit, Limits, Parameter, Recording, ServoPlant, fit, propose
from embodied.sysid.drive import drive_for
from embodied.sysid.gap import HORIZONS_S, Gap, gap, repeat_floor
from embodied.sysid.residuals import segments
from embodied.sysid.search import Progress
from embodied.sysid.settling import Settling, joined
from embodied.sysid.signals import quantum_of
from embodied.sysid.simulation import BACKLASH
from embodied_scripts.cli.identify import FRICTIONS, Bench, Excite, GapOf, Identify
from embodied_scripts.records import begun, identified_from
from embodied_scripts.show.fit_report import write_report

UNEXPLAINED = 10  # steps of the sensor, from which an error is said to be more than it could not tell


def plant_of(bench: Bench, recordings: Sequence[Recording] = ()) -> ServoPlant:
    """The model, driven as the recordings say."""
    names = (
        "gain", "supply", "volts", "enabled", "stiffness", "velocity_gain", "torque_per_volt", "limit", "back_emf",
        "load_friction",
    )  # fmt: skip
    nothing = Recording(np.arange(2.0), np.zeros((2, 0)), {})
    drive = drive_for(next(iter(recordings), nothing), bench.drive, **{name: getattr(bench, name) for name in names})
    return ServoPlant(
        bench.model, bench.joints, drive, signal=bench.signal, tick_s=bench.tick, packages=packages_of(bench.package),
        feeds=dict(_pair(text) for text in bench.feed), ignore=bench.ignore, backlash=bench.backlash,
    )  # fmt: skip


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise OptionError(f"{text!r} feeds nothing: write NAME=PARAMETER")
    return name, value


def identify(asked: Identify) -> None:
    """Fits, judges, prints, and writes the result and its report."""
    unknown = [name for name in asked.friction if name not in FRICTIONS]
    if unknown:
        raise OptionError(f"no friction model {unknown[0]!r}; known: {', '.join(FRICTIONS)}")
    if len(asked.friction) > 1 and not asked.held_out:
        raise OptionError("a friction model is chosen by recordings that were held out: name some with --held-out")
    recordings, held_out = (
        [one for _, one in loaded(paths, asked.bench.map)] for paths in (asked.recordings, asked.held_out)
    )
    choosing, judges = _shared_out(held_out) if len(asked.friction) > 1 else ([], held_out)
    making = begun("identify", asked, identified_from(asked))
    console, plant = Console(soft_wrap=True), plant_of(asked.bench, recordings)
    tried: list[tuple[float, str, Fit]] = []
    for friction in asked.friction:
        found = _fit(asked, console, plant, recordings, friction)
        error = _error(asked, gap(plant, found.values, choosing)) if choosing else 0.0
        tried.append((error, friction, found))
        if choosing:
            console.print(f"friction {friction}: error {error:.4g} on what chooses the model", highlight=False)
    _, friction, found = min(tried, key=lambda one: one[0])
    held = gap(plant, found.values, judges) if judges else None
    _print(console, found, friction)
    _print_resolution(console, plant, recordings, found)
    result: dict[str, Any] = found.jsonable() | {"friction": friction}
    if choosing:
        result["chosen_by"] = {name: error for error, name, _ in tried}
    if held is not None:
        console.print(f"held-out error {_error(asked, held):.4g}", highlight=False)
        result["held_out"] = {name: getattr(held, name).tolist() for name in ("replayed", "centered", "by_horizon")}
    save_json(asked.out, result)
    making.finish(asked.out)
    write_report(asked.out.with_suffix(".html"), plant, found, [*recordings, *held_out], len(recordings))
    console.print(f"Wrote {asked.out} and {asked.out.with_suffix('.html')}", highlight=False)


def _fit(asked: Identify, console: Console, plant: ServoPlant, recordings: Sequence[Recording], friction: str) -> Fit:
    """A fit with one friction model, which shows how far it has come."""
    usual = (*plant.drives[0].usual, *([BACKLASH] if asked.bench.backlash else []))
    wanted = [_parameter(text) for text in (*(asked.find or usual), *FRICTIONS[friction])]
    budget = None if asked.budget is None else asked.budget / len(asked.friction)
    with console.status(f"Fitting, {friction} friction …") as status:

        def show(now: Progress) -> None:
            status.update(
                f"Fitting, {friction} friction: search {now.search + 1} of at most {now.searches}, "
                f"iteration {now.iteration}, error {now.error:.4g}; at most {_clock(now.left_s)} left"
            )

        return fit(
            plant, recordings, wanted, segment_s=asked.segment, settle_s=asked.settle,
            remove_offset=asked.remove_offset, outlier=asked.outlier, starts=asked.starts, seed=asked.seed,
            iterations=asked.iterations, budget_s=budget, progress=show,
        )  # fmt: skip


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


def _shared_out(held_out: Sequence[Recording]) -> tuple[list[Recording], list[Recording]]:
    """Those that choose a friction model, and those that judge what was chosen; halves of a single recording."""
    if len(held_out) > 1:
        return list(held_out[::2]), list(held_out[1::2])
    (only,) = held_out
    first, second = segments(only, (only.time_s[-1] - only.time_s[0]) / 2)
    return [first], [second]


def _error(asked: Identify, held: Gap) -> float:
    """Mean absolute error, without constant offsets where they are not to be explained."""
    return float((held.centered if asked.remove_offset else held.replayed).mean())


def propose_excitation(asked: Excite) -> None:
    """Writes the proposal and says what it is worth."""
    found, plant = Fit.from_jsonable(load_json(asked.fit)), plant_of(asked.bench)
    limits = Limits(asked.low, asked.high, asked.speed, asked.reach, asked.lowest or None, asked.highest or None)
    if len(asked.low) != len(plant.columns):
        raise OptionError(f"limits of {len(asked.low)} joints for {', '.join(plant.columns)}")
    proposal = propose(plant, found, limits, asked.seconds, asked.hertz, asked.noise, asked.seed)
    proposal.recording.save(asked.out)
    summary = f"intervals are expected to shrink to {proposal.volume:.2g} of their widths, on average over parameters"
    Console(soft_wrap=True).print(f"Wrote {asked.out}: {summary}", highlight=False)


def measure_gap(asked: GapOf) -> None:
    """Prints errors by recording."""
    if not asked.tolerance > 0:
        raise OptionError(f"tolerance must be positive, not {asked.tolerance}")
    named = loaded(asked.recordings, asked.bench.map)
    recordings = [one for _, one in named]
    plant = plant_of(asked.bench, recordings)
    sets: dict[str, dict[str, float]] = {"model as it is": {}}
    if asked.fit is not None:
        sets["fitted"] = Fit.from_jsonable(load_json(asked.fit)).values
    table = Table("parameters", "recording", "replayed", "centered", *(f"{h:g} s on" for h in HORIZONS_S))
    errors, predicted = {}, {}
    for name, values in sets.items():
        found = gap(plant, values, recordings, asked.tolerance)
        predicted[name] = found.outcomes
        errors[name] = {part: getattr(found, part).tolist() for part in ("replayed", "centered", "by_horizon")}
        for r, (title, _) in enumerate(named):
            horizons = [f"{error:.4f}" for error in found.by_horizon[r].mean(1)]
            table.add_row(name, title, f"{found.replayed[r].mean():.4f}", f"{found.centered[r].mean():.4f}", *horizons)
    console = Console(soft_wrap=True)
    console.print(table)
    floor = repeat_floor(plant, recordings)
    summary = "nothing was repeated" if floor is None else f"the robot differs from itself by {floor.mean():.4f}"
    console.print(f"Mean absolute errors over columns, in the unit of the signal; {summary}.", highlight=False)
    for name, several in predicted.items():
        if summary := _of_outcomes(several):
            console.print(f"{name}: {summary}", highlight=False)
            errors[name]["outcomes"] = _numbers_of(joined(list(several)))
    if asked.json is not None:
        save_json(asked.json, errors)


def _of_outcomes(several: Sequence[Settling]) -> str:
    """What is summary of commands that were held; nothing if there were none."""
    if not several or not len((all_of_them := joined(list(several))).reached):
        return ""
    came = f"{all_of_them.reached[:, 0].mean():.0%} of {len(all_of_them.reached)} commands that were held"
    return (
        f"the robot reached {came}; whether it does is predicted of {all_of_them.predicted:.0%}, "
        f"when it has settled to {all_of_them.late_s:.2f} s"
    )


def _numbers_of(outcomes: Settling) -> dict[str, Any]:
    settled = [[None if math.isnan(when) else when for when in both] for both in outcomes.settled_s.tolist()]
    return {"reached": outcomes.reached.tolist(), "settled_s": settled, "predicted": outcomes.predicted}


def loaded(paths: Sequence[Path], log_map: str | None) -> list[tuple[str, Recording]]:
    """Recordings by name; one with holes in time is as many as it has pieces."""
    found = []
    for path in paths:
        for one in Recording.load_all(path, log_map):
            label = str(one.metadata.get("label", ""))
            pieces, dropped = one.in_si().pieces()
            if len(pieces) + dropped > 1:
                warnings.warn(
                    f"{path} has holes in time: {len(pieces)} pieces are used on their own, {dropped} single instants "
                    "are left out",
                    UserWarning,
                    stacklevel=2,
                )
            title = f"{path.stem} {label}".strip()
            found += [(f"{title} #{k}" if len(pieces) > 1 else title, piece) for k, piece in enumerate(pieces, 1)]
    if paths and not found:
        raise RecordingError("no recording has two instants in a row")
    return found


def _parameter(text: str) -> Any:
    """`name[pattern]=low:high!` as a parameter."""
    text, tied = text.removesuffix("!"), text.endswith("!")
    name, _, ends = text.partition("=")
    if not ends:
        return Parameter(name, tied=tied)
    try:
        low, high = map(float, ends.split(":"))
    except ValueError:
        raise OptionError(f"{text!r}: a range is written as name=low:high") from None
    return Parameter(name, low, high, tied)


def _print_resolution(console: Any, plant: ServoPlant, recordings: Sequence[Recording], found: Fit) -> None:
    """Says where what is left unexplained is far more than the sensor could not tell."""
    left = found.errors[:, 1].mean(axis=0)
    for column, name in enumerate(found.columns):
        quantum = max(quantum_of(plant.measured(recording)[:, column]) for recording in recordings)
        if quantum > 0 and left[column] > UNEXPLAINED * quantum:
            console.print(
                f"[yellow]unexplained[/] {escape(name)}: the error is {left[column] / quantum:.0f} times the sensor's "
                "resolution: the model misses something",
                highlight=False,
            )


def _print(console: Any, found: Fit, friction: str) -> None:
    table = Table("parameter", "estimate", "95 % interval", "", title=f"{friction} friction")
    for name, value, (low, high) in zip(found.names, found.estimate, found.interval, strict=True):
        notes = ["at its bound"] * (name in found.at_bound) + ["hardly determined"] * (name in found.vague)
        table.add_row(escape(name), f"{value:.5g}", f"{low:.4g} … {high:.4g}", ", ".join(notes))
    console.print(table)
    for one, other, r in found.alike:
        console.print(f"[yellow]not told apart[/] {escape(one)} and {escape(other)} (correlation {r:+.3f})")
    before, after = found.errors.mean(axis=(0, 2))
    console.print(f"mean absolute error {before:.4g} before, {after:.4g} after", highlight=False)
    if not found.converged:
        came = ", ".join(f"{error:.4g}" for error in found.starts)
        console.print(
            f"[yellow]not converged[/]: no two searches agree (errors {came}); raise --starts or --iterations",
            highlight=False,
        )
