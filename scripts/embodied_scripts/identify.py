"""`embodied identify` and `embodied gap`: from logs of a robot to a model that does the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from embodied.errors import OptionError

if TYPE_CHECKING:
    from embodied.sysid import Fit, Recording, ServoPlant
    from embodied.sysid.gap import Gap
    from embodied.sysid.outcome import Outcomes

FRICTIONS: dict[str, tuple[str, ...]] = {
    "coulomb": (),
    "stribeck": ("stribeck", "stribeck_speed"),
    "load": ("load_friction", "back_load_friction"),
}


@dataclass
class Bench:
    """A model and its drives, as the recordings know them."""

    model: Annotated[Path, tyro.conf.Positional]
    """The robot: an MJCF or URDF file."""
    joints: tuple[str, ...]
    """Joints that the columns of the command are for, in their order."""
    gain: str | None = None
    """Number in the recordings' metadata that is the firmware's share of torque per radian [1/rad], if it is known."""
    supply: str | None = None
    """Signal of the supply's voltage, if it was recorded."""
    volts: float = 1.0
    """Nominal supply [V]."""
    enabled: str | None = None
    """Signal that is 0 while the driver is off."""
    stiffness: float = 10.0
    """Where to begin [N·m/rad]."""
    limit: float = 3.0
    """Where to begin with the greatest torque [N·m]."""
    tick: float | None = None
    """Step of the physics [s] (default: the model's)."""

    def plant(self) -> ServoPlant:
        """The model, driven."""
        from embodied.sysid import Servo, ServoPlant

        if not self.model.is_file():
            raise OptionError(f"no model at {self.model}")
        drive = Servo(
            stiffness=self.stiffness, limit=self.limit, gain=self.gain, supply=self.supply, volts=self.volts,
            enabled=self.enabled,
        )  # fmt: skip
        return ServoPlant(self.model, self.joints, drive, tick_s=self.tick)


@dataclass
class Identify:
    """Find the parameters of a model under which it does what was recorded, and say how far they can be trusted."""

    bench: Bench
    recordings: tuple[Path, ...]
    """What to fit to."""
    find: tuple[str, ...] = ("stiffness", "dof_damping", "dof_frictionloss", "dof_armature", "latency_s")
    """Parameters, as `name`, `name[joint]`, with a range as `name=low:high`; a trailing `!` ties all joints."""
    held_out: tuple[Path, ...] = ()
    """Recordings that judge the result, and choose the friction model."""
    friction: tuple[str, ...] = ("coulomb",)
    """Friction models to try: coulomb, stribeck, load."""
    segment: float | None = None
    """Cut recordings into pieces of this length [s]."""
    settle: float = 0.0
    """Leave this much out at the beginning of each piece [s]."""
    remove_offset: bool = False
    """Do not explain constant offsets."""
    outlier: float | None = None
    """Errors beyond this count by their size, not by its square: for logs with spikes."""
    starts: int = 2
    """From how many places to search."""
    seed: int = 0
    """Decides where."""
    out: Path = Path("fit.json")
    """Where the result is written; its report, a page with pictures, beside it as .html."""

    def run(self) -> None:
        """Fits, judges, prints, and writes the result and its report."""
        from rich.console import Console

        from embodied.learn.checkpoint import save_json
        from embodied.sysid import fit
        from embodied.sysid.gap import gap
        from embodied_scripts.fit_report import write_report

        unknown = [name for name in self.friction if name not in FRICTIONS]
        if unknown:
            raise OptionError(f"no friction model {unknown[0]!r}; known: {', '.join(FRICTIONS)}")
        if len(self.friction) > 1 and not self.held_out:
            raise OptionError("a friction model is chosen by recordings that were held out: name some with --held-out")
        console, plant = Console(soft_wrap=True), self.bench.plant()
        recordings, judges = _loaded(self.recordings), _loaded(self.held_out)
        tried: list[tuple[float, str, Fit, Gap | None]] = []
        for friction in self.friction:
            wanted = [_parameter(text) for text in (*self.find, *FRICTIONS[friction])]
            found = fit(
                plant, recordings, wanted, segment_s=self.segment, settle_s=self.settle,
                remove_offset=self.remove_offset, outlier=self.outlier, starts=self.starts, seed=self.seed,
            )  # fmt: skip
            held = gap(plant, found.values, judges) if judges else None
            error = float((held.centred if self.remove_offset else held.replayed).mean()) if held else 0.0
            tried.append((error, friction, found, held))
            if held is not None:
                console.print(f"friction {friction}: held-out error {error:.4g}", highlight=False)
        _, friction, found, held = min(tried, key=lambda one: one[0])
        _print(console, found, friction)
        told: dict[str, Any] = found.jsonable() | {"friction": friction}
        if held is not None:
            told["held_out"] = {name: getattr(held, name).tolist() for name in ("replayed", "centred", "by_horizon")}
        save_json(self.out, told)
        write_report(self.out.with_suffix(".html"), plant, found, [*recordings, *judges], len(recordings))
        console.print(f"Wrote {self.out} and {self.out.with_suffix('.html')}", highlight=False)


@dataclass
class Excite:
    """Propose the next recording: within the robot's limits, what is expected to tell most about a fit's parameters."""

    bench: Bench
    fit: Path
    """What `embodied identify` wrote."""
    low: tuple[float, ...]
    """Least command of each joint."""
    high: tuple[float, ...]
    """Greatest command of each joint."""
    speed: tuple[float, ...]
    """Greatest change of each command per second."""
    reach: float = 0.2
    """How far beyond these a joint may swing."""
    seconds: float = 10.0
    """Length of the recording."""
    hertz: float = 50.0
    """Commands per second."""
    noise: float = 0.002
    """Standard deviation of one measured number, model error included."""
    seed: int = 0
    """Decides which commands are considered."""
    out: Path = Path("excite.csv")
    """Where the command is written, with what is expected to be measured."""

    def run(self) -> None:
        """Writes the proposal and says what it is worth."""
        from rich.console import Console

        from embodied.learn.checkpoint import load_json
        from embodied.sysid import Fit, Limits, propose

        found, plant = Fit.from_jsonable(load_json(self.fit)), self.bench.plant()
        limits = Limits(self.low, self.high, self.speed, self.reach)
        if len(self.low) != len(plant.columns):
            raise OptionError(f"limits of {len(self.low)} joints for {', '.join(plant.columns)}")
        proposal = propose(plant, found, limits, self.seconds, self.hertz, self.noise, self.seed)
        proposal.recording.save(self.out)
        said = f"intervals are expected to shrink to {proposal.volume:.2g} of their widths, on average over parameters"
        Console(soft_wrap=True).print(f"Wrote {self.out}: {said}", highlight=False)


@dataclass
class GapOf:
    """Replay recordings in a model, before and after a fit, and compare with what was measured."""

    bench: Bench
    recordings: tuple[Path, ...]
    """Recordings that the model was not fitted to."""
    fit: Path | None = None
    """What `embodied identify` wrote."""
    json: Path | None = None
    """Also write all errors, by recording, column and horizon."""
    tolerance: float = 0.05
    """How near to its command a robot must come to have reached it, in the unit of the signal."""

    def run(self) -> None:
        """Prints errors by recording."""
        from rich.console import Console
        from rich.table import Table

        from embodied.learn.checkpoint import load_json, save_json
        from embodied.sysid import Fit
        from embodied.sysid.gap import HORIZONS_S, gap, repeat_floor
        from embodied.sysid.outcome import joined

        if not self.tolerance > 0:
            raise OptionError(f"tolerance must be positive, not {self.tolerance}")
        plant, recordings = self.bench.plant(), _loaded(self.recordings)
        sets: dict[str, dict[str, float]] = {"model as it is": {}}
        if self.fit is not None:
            sets["fitted"] = Fit.from_jsonable(load_json(self.fit)).values
        table = Table("parameters", "recording", "replayed", "centred", *(f"{h:g} s on" for h in HORIZONS_S))
        told, foretold = {}, {}
        for name, values in sets.items():
            found = gap(plant, values, recordings, self.tolerance)
            foretold[name] = found.outcomes
            told[name] = {part: getattr(found, part).tolist() for part in ("replayed", "centred", "by_horizon")}
            for r, path in enumerate(self.recordings):
                horizons = [f"{error:.4f}" for error in found.by_horizon[r].mean(1)]
                table.add_row(
                    name, path.stem, f"{found.replayed[r].mean():.4f}", f"{found.centred[r].mean():.4f}", *horizons
                )
        console = Console(soft_wrap=True)
        console.print(table)
        floor = repeat_floor(plant, recordings)
        said = "nothing was repeated" if floor is None else f"the robot differs from itself by {floor.mean():.4f}"
        console.print(f"Mean absolute errors over columns, in the unit of the signal; {said}.", highlight=False)
        for name, several in foretold.items():
            if said := _of_outcomes(several):
                console.print(f"{name}: {said}", highlight=False)
                told[name]["outcomes"] = _numbers_of(joined(list(several)))
        if self.json is not None:
            save_json(self.json, told)


def _of_outcomes(several: Sequence[Outcomes]) -> str:
    """What is said of commands that were held; nothing if there were none."""
    from embodied.sysid.outcome import joined

    if not several or not len((all_of_them := joined(list(several))).reached):
        return ""
    came = f"{all_of_them.reached[:, 0].mean():.0%} of {len(all_of_them.reached)} commands that were held"
    return (
        f"the robot reached {came}; whether it does is foretold of {all_of_them.foretold:.0%}, "
        f"when it has settled to {all_of_them.late_s:.2f} s"
    )


def _numbers_of(outcomes: Outcomes) -> dict[str, Any]:
    settled = [[None if math.isnan(when) else when for when in both] for both in outcomes.settled_s.tolist()]
    return {"reached": outcomes.reached.tolist(), "settled_s": settled, "foretold": outcomes.foretold}


def _loaded(paths: Sequence[Path]) -> list[Recording]:
    from embodied.sysid import Recording

    return [Recording.load(path) for path in paths]


def _parameter(text: str) -> Any:
    """`name[pattern]=low:high!` as a parameter."""
    from embodied.sysid import Parameter

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
    from rich.markup import escape
    from rich.table import Table

    table = Table("parameter", "estimate", "95 % interval", "", title=f"{friction} friction")
    for name, value, (low, high) in zip(found.names, found.estimate, found.interval, strict=True):
        notes = ["at its bound"] * (name in found.at_bound) + ["hardly determined"] * (name in found.vague)
        table.add_row(escape(name), f"{value:.5g}", f"{low:.4g} … {high:.4g}", ", ".join(notes))
    console.print(table)
    for one, other, r in found.alike:
        console.print(f"[yellow]not told apart[/] {escape(one)} and {escape(other)} (correlation {r:+.3f})")
    before, after = found.errors.mean(axis=(0, 2))
    console.print(f"mean absolute error {before:.4g} before, {after:.4g} after", highlight=False)
