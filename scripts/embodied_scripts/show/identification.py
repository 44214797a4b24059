"""System identification from the command line: fits, gaps and proposed recordings, printed and written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from embodied.errors import OptionError
from embodied.nn.checkpoint import load_json, save_json
from embodied.sysid import Fit, Limits, Parameter, Recording, Servo, ServoPlant, fit, propose
from embodied.sysid.gap import HORIZONS_S, Gap, gap, repeat_floor
from embodied.sysid.settling import Settling, joined
from embodied_scripts.cli.identify import FRICTIONS, Bench, Excite, GapOf, Identify
from embodied_scripts.show.fit_report import write_report


def plant_of(bench: Bench) -> ServoPlant:
    """The model, driven."""
    if not bench.model.is_file():
        raise OptionError(f"no model at {bench.model}")
    drive = Servo(
        stiffness=bench.stiffness, limit=bench.limit, gain=bench.gain, supply=bench.supply, volts=bench.volts,
        enabled=bench.enabled,
    )  # fmt: skip
    return ServoPlant(bench.model, bench.joints, drive, tick_s=bench.tick)


def identify(asked: Identify) -> None:
    """Fits, judges, prints, and writes the result and its report."""
    unknown = [name for name in asked.friction if name not in FRICTIONS]
    if unknown:
        raise OptionError(f"no friction model {unknown[0]!r}; known: {', '.join(FRICTIONS)}")
    if len(asked.friction) > 1 and not asked.held_out:
        raise OptionError("a friction model is chosen by recordings that were held out: name some with --held-out")
    console, plant = Console(soft_wrap=True), plant_of(asked.bench)
    recordings, judges = _loaded(asked.recordings), _loaded(asked.held_out)
    tried: list[tuple[float, str, Fit, Gap | None]] = []
    for friction in asked.friction:
        wanted = [_parameter(text) for text in (*asked.find, *FRICTIONS[friction])]
        found = fit(
            plant, recordings, wanted, segment_s=asked.segment, settle_s=asked.settle,
            remove_offset=asked.remove_offset, outlier=asked.outlier, starts=asked.starts, seed=asked.seed,
        )  # fmt: skip
        held = gap(plant, found.values, judges) if judges else None
        error = float((held.centered if asked.remove_offset else held.replayed).mean()) if held else 0.0
        tried.append((error, friction, found, held))
        if held is not None:
            console.print(f"friction {friction}: held-out error {error:.4g}", highlight=False)
    _, friction, found, held = min(tried, key=lambda one: one[0])
    _print(console, found, friction)
    result: dict[str, Any] = found.jsonable() | {"friction": friction}
    if held is not None:
        result["held_out"] = {name: getattr(held, name).tolist() for name in ("replayed", "centered", "by_horizon")}
    save_json(asked.out, result)
    write_report(asked.out.with_suffix(".html"), plant, found, [*recordings, *judges], len(recordings))
    console.print(f"Wrote {asked.out} and {asked.out.with_suffix('.html')}", highlight=False)


def propose_excitation(asked: Excite) -> None:
    """Writes the proposal and says what it is worth."""
    found, plant = Fit.from_jsonable(load_json(asked.fit)), plant_of(asked.bench)
    limits = Limits(asked.low, asked.high, asked.speed, asked.reach)
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
    plant, recordings = plant_of(asked.bench), _loaded(asked.recordings)
    sets: dict[str, dict[str, float]] = {"model as it is": {}}
    if asked.fit is not None:
        sets["fitted"] = Fit.from_jsonable(load_json(asked.fit)).values
    table = Table("parameters", "recording", "replayed", "centered", *(f"{h:g} s on" for h in HORIZONS_S))
    errors, predicted = {}, {}
    for name, values in sets.items():
        found = gap(plant, values, recordings, asked.tolerance)
        predicted[name] = found.outcomes
        errors[name] = {part: getattr(found, part).tolist() for part in ("replayed", "centered", "by_horizon")}
        for r, path in enumerate(asked.recordings):
            horizons = [f"{error:.4f}" for error in found.by_horizon[r].mean(1)]
            table.add_row(
                name, path.stem, f"{found.replayed[r].mean():.4f}", f"{found.centered[r].mean():.4f}", *horizons
            )
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


def _loaded(paths: Sequence[Path]) -> list[Recording]:
    return [Recording.load(path) for path in paths]


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
