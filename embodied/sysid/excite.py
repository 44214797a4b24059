"""The next recording: commands under which its parameters become known best.

Of many commands within the robot's limits, that under which the posterior would be smallest (D-optimal design: greatest
determinant of the expected information; Swevers et al. 1997 for robots).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embodied.errors import OptionError
from embodied.sysid.drive import Servo
from embodied.sysid.fit import STEPS
from embodied.sysid.plant import Plant
from embodied.sysid.posterior import Fit
from embodied.sysid.recording import COMMAND, Recording

CANDIDATES, PARENTS, ROUNDS = 32, 6, 3
LOWEST, HIGHEST = np.log(0.1), np.log(5.0)  # Hz, of waves
WAVES = 5
BATCH = 16  # commands that are simulated at once


@dataclass(frozen=True)
class Limits:
    """Limits of the commands of a robot.

    Attributes:
        low, high: of each command, `(J,)`.
        speed: greatest change of each command per second, `(J,)`.
        reach: how far beyond low and high a joint may swing, where commands are positions, in their unit.
        lowest, highest: between which a joint may be, `(J,)`, where commands are none; it begins in the middle.

    Raises:
        OptionError: limits that leave nothing.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    speed: tuple[float, ...]
    reach: float = 0.2
    lowest: tuple[float, ...] | None = None
    highest: tuple[float, ...] | None = None

    @property
    def room(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Between which the joints may be, `(J,)` each."""
        if self.lowest is not None and self.highest is not None:
            return np.array(self.lowest), np.array(self.highest)
        return np.array(self.low) - self.reach, np.array(self.high) + self.reach

    def __post_init__(self) -> None:
        if not len(self.low) == len(self.high) == len(self.speed):
            raise OptionError(
                f"low, high and speed are {len(self.low)}, {len(self.high)} and {len(self.speed)} numbers"
            )
        if any(not low < high for low, high in zip(self.low, self.high, strict=True)) or not min(self.speed) > 0:
            raise OptionError("low must be below high, and speeds positive")
        lowest, highest = self.room
        if (self.lowest is None) != (self.highest is None) or not len(lowest) == len(highest) == len(self.low):
            raise OptionError("lowest and highest are given together, one number per joint")
        if self.lowest is not None and not (lowest < highest).all():
            raise OptionError("lowest must be below highest")


@dataclass(frozen=True)
class Proposal:
    """A command to record next.

    Attributes:
        recording: the command, with what is expected to be measured.
        volume: expected volume of the 95 % region of the parameters relative to the present one, per parameter.
    """

    recording: Recording
    volume: float


def propose(
    plant: Plant, found: Fit, limits: Limits, seconds: float, hertz: float = 50.0, noise: float = 0.002, seed: int = 0
) -> Proposal:
    """Returns the command of `seconds` that is expected to tell most about the parameters of a fit.

    Args:
        noise: standard deviation of one measured number, model error included.

    Raises:
        OptionError: less than a second, a noise or a rate that is not positive, limits that no command keeps, or drives
            of something else than positions without limits of the joints.
    """
    if seconds < 1 or not noise > 0 or not hertz > 0:
        raise OptionError("a recording lasts at least a second, its commands come at some rate, and noise is positive")
    drives = getattr(plant, "drives", [])
    if limits.lowest is None and not all(isinstance(drive, Servo) for drive in drives):
        raise OptionError("commands are no positions: say between which angles joints may be (lowest, highest)")
    rng = np.random.default_rng(seed)
    prior = prior_precision(found)
    pool = [random_command(limits, seconds, hertz, rng) for _ in range(CANDIDATES)]
    scores = gains(plant, found, pool, limits, noise, prior)
    for _ in range(ROUNDS - 1):
        best = np.argsort(-scores)[:PARENTS]
        children = [_child(pool, best, limits, hertz, rng) for _ in range(CANDIDATES // 2)]
        scores = np.concatenate([scores[best], gains(plant, found, children, limits, noise, prior)])
        pool = [*(pool[i] for i in best), *children]
    winner = int(np.argmax(scores))
    if not np.isfinite(scores[winner]):
        raise OptionError("every command makes some joint swing beyond the limits: give it more reach, or less speed")
    _, before = np.linalg.slogdet(prior)
    values = {name: np.array([value]) for name, value in found.values.items()}
    expected = plant.simulate(values, [pool[winner]])[0][0]
    units = {COMMAND: drives[0].UNITS[0]} if drives else {}
    recording = Recording(pool[winner].time_s, pool[winner].command, {"position": expected}, units)
    return Proposal(recording, float(np.exp(-(scores[winner] - before) / 2 / len(prior))))


def prior_precision(found: Fit) -> NDArray[np.float64]:
    """Inverse of a fit's covariance, in shares of the parameters' ranges, `(P, P)`; at least that of the ranges."""
    width = found.high - found.low
    covariance = found.covariance / np.outer(width, width)
    spread, axes = np.linalg.eigh((covariance + covariance.T) / 2)
    return axes @ np.diag(1 / np.clip(spread, 1e-12, 1.0)) @ axes.T


def gains(
    plant: Plant, found: Fit, commands: Sequence[Recording], limits: Limits, noise: float, prior: NDArray
) -> NDArray[np.float64]:
    """Logarithm of the determinant of what would be known after each command; −∞ where a joint leaves the limits."""
    out = []
    for first in range(0, len(commands), BATCH):
        some = commands[first : first + BATCH]
        for derivative, track in _derivatives(plant, found, some):
            low, high = limits.room
            inside = np.all((track >= low) & (track <= high))
            information = prior + derivative.T @ derivative / noise**2
            out.append(np.linalg.slogdet(information)[1] if inside else -np.inf)
    return np.array(out)


def random_command(limits: Limits, seconds: float, hertz: float, rng: np.random.Generator) -> Recording:
    """Waves of random frequencies on steps of random length, from rest, within the limits."""
    time = np.arange(round(seconds * hertz)) / hertz
    low, high = np.array(limits.low), np.array(limits.high)
    columns = []
    for _ in range(len(low)):
        share = rng.uniform()
        frequency = np.exp(rng.uniform(LOWEST, HIGHEST, WAVES))
        phase = rng.uniform(0, 2 * np.pi, WAVES)
        wave = np.sum(np.sin(2 * np.pi * frequency * time[:, None] + phase), 1) / np.sqrt(WAVES)
        hold = max(1, round(rng.uniform(0.2, 2.0) * hertz))
        steps = np.repeat(rng.uniform(-1, 1, len(time) // hold + 1), hold)[: len(time)]
        columns.append(share * wave + (1 - share) * steps)
    shape = np.clip(np.stack(columns, 1) * rng.uniform(0.3, 1.5), -1, 1)
    return _kept(limits, time, (low + high) / 2 + shape * (high - low) / 2, hertz)


def _child(
    pool: Sequence[Recording], best: NDArray[np.intp], limits: Limits, hertz: float, rng: np.random.Generator
) -> Recording:
    """One good command up to some moment and another from there on, stretched a little."""
    one, other = (pool[i] for i in rng.choice(best, 2))
    cut = rng.integers(len(one))
    command = np.concatenate([one.command[:cut], other.command[cut:]])
    middle = (np.array(limits.low) + np.array(limits.high)) / 2
    return _kept(limits, one.time_s, middle + (command - middle) * rng.uniform(0.8, 1.3), hertz)


def _kept(limits: Limits, time: NDArray, command: NDArray, hertz: float) -> Recording:
    """A command that keeps limits and speeds; it and the joints begin in the middle."""
    low, high, most = np.array(limits.low), np.array(limits.high), np.array(limits.speed) / hertz
    out = np.empty_like(command)
    out[0] = (low + high) / 2
    for k in range(1, len(out)):
        out[k] = out[k - 1] + np.clip(command[k] - out[k - 1], -most, most)
    out = np.clip(out, low, high)
    return Recording(time, out, {"position": np.tile(np.mean(limits.room, axis=0), (len(out), 1))})


def _derivatives(plant: Plant, found: Fit, commands: Sequence[Recording]) -> list[tuple[NDArray, NDArray]]:
    """Of each command: derivatives of what is measured by shares of the ranges `(M, P)`, and the motion `(T, J)`."""
    P, width = len(found.names), found.high - found.low
    up, down = (
        np.minimum(found.estimate + STEPS[0] * width, found.high),
        np.maximum(found.estimate - STEPS[0] * width, found.low),
    )
    candidates = np.tile(found.estimate, (2 * P + 1, 1))
    candidates[np.arange(P), np.arange(P)] = up
    candidates[P + np.arange(P), np.arange(P)] = down
    pairs = zip(found.targets, candidates.T, strict=True)
    values = {name: column for targets, column in pairs for name in targets}
    span = ((up - down) / width)[:, None]
    tracks = plant.simulate(values, commands)
    return [(((t[:P] - t[P:-1]).reshape(P, -1) / span).T, t[-1]) for t in tracks]
