"""`embodied identify` and `embodied gap`: from logs of a robot to a model that does the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from embodied_scripts.cli.lazy import load

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
    drive: Literal["position", "velocity", "torque", "voltage"] | None = None
    """What the commands are for; none: as their unit says, or positions."""
    gain: str | None = None
    """Number in the recordings' metadata that is the firmware's share of torque per radian [1/rad], if it is known; as
    NAME or NAME*FACTOR."""
    supply: str | None = None
    """Telemetry of the supply's voltage, if it was recorded."""
    volts: float | None = None
    """Nominal supply [V]."""
    enabled: str | None = None
    """Telemetry that is 0 while the driver is off."""
    stiffness: float | None = None
    """Where to begin, for positions [N·m/rad]."""
    velocity_gain: float | None = None
    """Where to begin, for velocities [N·m·s/rad]."""
    torque_per_volt: float | None = None
    """Where to begin, for voltages [N·m/V]."""
    limit: float | None = None
    """Where to begin with the greatest torque [N·m]."""
    back_emf: float | None = None
    """Where to begin with the damping of a motor that is switched on [N·m·s/rad]."""
    load_friction: float | None = None
    """Where to begin with friction per torque of the motor."""
    backlash: tuple[str, ...] = ()
    """Joints whose gears have some; how wide it is, `backlash[JOINT]`, is then to be found [rad]."""
    signal: str = "position"
    """What was measured and is to be met: positions, velocities or torques, as its unit says."""
    feed: tuple[str, ...] = ()
    """Numbers of the metadata that are parameters of a recording, as NAME=PARAMETER."""
    ignore: tuple[str, ...] = ()
    """Numbers of the metadata that may differ although nothing uses them."""
    map: str | None = None
    """What the columns of the logs are: a TOML file, or a preset (lerobot, aloha, bam); none for logs that say so."""
    package: tuple[str, ...] = ()
    """Folders of ROS packages, NAME=DIR, for addresses such as package://NAME/meshes/arm.stl."""
    tick: float | None = None
    """Step of the physics [s] (default: the model's)."""


@dataclass
class Identify:
    """Find the parameters of a model under which it does what was recorded, and say how far they can be trusted."""

    bench: Bench
    recordings: tuple[Path, ...]
    """What to fit to."""
    find: tuple[str, ...] = ()
    """Parameters, as `name`, `name[joint]`, with a range as `name=low:high`; a trailing `!` ties all joints. None: what
    is usual for the drive."""
    held_out: tuple[Path, ...] = ()
    """Recordings that judge the result. Where there are several friction models to try, the first, third, … of them (of
    a single one, its first half) choose the model, and only the others judge."""
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
    starts: int = 6
    """From how many places to search at most, until two searches agree."""
    iterations: int = 40
    """At most, of each search."""
    budget: float | None = None
    """Stop searching after this long, with the best found by then; shared by the friction models [s]."""
    inverse: bool = False
    """Find masses, centers of mass, inertias and friction of a rigid arm from recorded torques, at once."""
    payload: str | None = None
    """With --inverse: the body that carries something, whose mass and center are sought alone."""
    torque: str | None = None
    """With --inverse: the signal that holds torques (none: by its unit or name)."""
    cutoff: float = 5.0
    """With --inverse: what is faster than that is left out [Hz]."""
    seed: int = 0
    """Decides where."""
    out: Path = Path("fit.json")
    """Where the result is written; its report, a page with pictures, beside it as .html."""

    def run(self) -> None:
        """Fits, judges, prints, and writes the result and its report."""
        load("show.inverse:identify" if self.inverse or self.payload else "show.identification:identify")(self)


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
    """How far beyond these a joint may swing, for drives of positions."""
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
    lowest: tuple[float, ...] = ()
    """Least angle of each joint, for other drives."""
    highest: tuple[float, ...] = ()
    """Greatest angle of each joint, for other drives."""

    def run(self) -> None:
        """Writes the proposal and says what it is worth."""
        load("show.identification:propose_excitation")(self)


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
        load("show.identification:measure_gap")(self)
