"""Motions played on a robot and recorded: what its model is identified from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from embodied.contract import Contract
from embodied.deploy.clock import Clock
from embodied.deploy.driver import Driver, JointLimits
from embodied.deploy.log import Rows
from embodied.deploy.loop import Loop, LoopReport
from embodied.deploy.supervision import Supervision
from embodied.errors import DriverError
from embodied.sysid.recording import COMMAND, Recording

WAVES, SLOWEST_HZ, FASTEST_HZ = 4, 0.1, 1.5
POSITION = "position"


class _Score:
    """A motion as an agent, and as what its actions mean: shares of half a turn."""

    def __init__(self, commands: NDArray[np.float64]) -> None:
        self._commands = commands

    def initial(self, n: int, seed: int) -> int:
        return 0

    def act(self, carry: int, obs: Any, first: NDArray) -> tuple[int, NDArray]:
        return carry + 1, self._commands[min(carry, len(self._commands) - 1)][None] / math.pi

    def bind(self, worlds: int) -> None:
        return None

    def begin(self, worlds: NDArray[np.intp], angles: NDArray) -> None:
        return None

    def targets(self, actions: NDArray) -> NDArray[np.float64]:
        return np.asarray(actions * math.pi)


def record_motion(
    driver: Driver,
    commands: ArrayLike,
    hz: float,
    limits: Supervision | None = None,
    clock: Clock | None = None,
    **metadata: Any,
) -> tuple[Recording, LoopReport]:
    """Goes gently to the first of some targets, plays all of them, and makes the robot safe.

    Args:
        commands: targets of the first joints, `(T, k)` [rad]; the other joints stay where they are.
        hz: targets per second.

    Returns:
        The recording: the commands that were written, and as `position` the angles that were read just before, with
        what else the robot tells; and how the run went.

    Raises:
        DriverError: targets out of the limits, or a run that ended before two rows were there.
    """
    wanted = np.atleast_2d(np.asarray(commands, float))
    here = driver.read().values["angle"]
    whole = np.tile(np.clip(here, driver.limits.low, driver.limits.high), (len(wanted), 1))
    whole[:, : wanted.shape[1]] = wanted
    outside = (whole < driver.limits.low) | (whole > driver.limits.high)
    if outside.any():
        joint = driver.joints[int(np.argmax(outside.any(axis=0)))]
        raise DriverError(f"the motion leaves the limits of {joint}")
    rows = Rows({COMMAND: "rad", POSITION: "rad", "current": "A", "volts": "V"}, joints=list(driver.joints), **metadata)
    score = _Score(whole)
    loop = Loop(driver, score, Contract("", "", hz, (), ()), score, whole[0], limits, clock=clock)

    def watch(entry: dict[str, Any]) -> None:
        told = {name: entry[name] for name in ("load", "current", "volts", "temperature") if name in entry}
        rows.add(loop.decided_s, loop.told, **{POSITION: entry["angle"]}, **told)

    loop.watch = watch
    report = loop.run(len(whole) / hz)
    if len(rows) < 2:
        raise DriverError(f"nothing was recorded: {report.ended}")
    return rows.recording(), report


def gentle_motion(
    limits: JointLimits, home: ArrayLike, seconds: float, hz: float, seed: int = 0
) -> NDArray[np.float64]:
    """Targets `(T, joints)` [rad] of a motion that excites all joints: sums of waves that begin and end at `home`.

    Each joint swings by at most 0.35 rad, keeps a tenth of its range from its limits, and half of its speed.
    """
    rng = np.random.default_rng(seed)
    center = np.asarray(home, float)
    t = np.arange(round(seconds * hz)) / hz
    ends = np.sin(np.pi * np.clip(np.minimum(t, seconds - t), 0, 1) / 2) ** 2
    margin = 0.1 * (limits.high - limits.low)
    room = np.minimum(center - limits.low - margin, limits.high - margin - center)
    out = np.tile(center, (len(t), 1))
    for joint in range(len(center)):
        rates = np.exp(rng.uniform(np.log(SLOWEST_HZ), np.log(FASTEST_HZ), WAVES))
        wave = np.sin(2 * np.pi * (np.outer(t, rates) + rng.random(WAVES))).sum(axis=1) * ends
        size = min(0.35, max(room[joint], 0.0)) / max(np.abs(wave).max(), 1e-9)
        fastest = np.abs(np.diff(wave)).max() * hz
        out[:, joint] += wave * min(size, 0.5 * limits.speed[joint] / max(fastest, 1e-9))
    return out
