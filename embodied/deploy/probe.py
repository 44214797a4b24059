"""A robot measured before a policy is let loose on it: how late, how noisy, and whether that was promised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from embodied.contract import Contract
from embodied.deploy.clock import Clock, RealClock
from embodied.deploy.driver import Driver
from embodied.errors import DriverError
from embodied.files import checked
from embodied.patterns import matches

READS, STILL_S = 200, 0.4
STEPS, STEP_RAD, WATCH_S, SETTLE_S = 12, 0.08, 0.2, 0.4
SAMPLE_S = 1e-3
SLOW, TICK_S = 0.07, 0.02  # rad/s of a joint that shows its friction, and time between its targets [s]
ANGLE, LOAD = "angle", "load"
MOVED = 0.004  # rad, beyond which a joint is seen to move
MOST = 0.7  # of the way: at its end friction stops a joint, which no step response does
LATENCY_SLACK_S = 1e-3
Angle = Callable[[], tuple[float, float]]  # reads one joint: when [s], and where [rad]


@dataclass(frozen=True)
class Finding:
    """Something measured.

    Attributes:
        value, spread: with its standard deviation, in `unit`.
        promised: what the policy was trained with, between these; None where nothing was promised.
    """

    name: str
    value: float
    spread: float
    unit: str
    promised: tuple[float, float] | None = None

    @property
    def fits(self) -> bool:
        """Whether it is what the policy was promised."""
        return self.promised is None or self.promised[0] <= self.value <= self.promised[1]

    def __str__(self) -> str:
        told = "" if self.promised is None else f", promised {self.promised[0]:.4g} to {self.promised[1]:.4g}"
        return f"{self.name}: {self.value:.4g} ± {self.spread:.2g} {self.unit}{told}"


@dataclass(frozen=True)
class ProbeReport:
    """What was measured; `latencies_s` are those of single commands [s]."""

    findings: tuple[Finding, ...]
    latencies_s: NDArray[np.float64]

    @property
    def broken(self) -> list[Finding]:
        """What the policy was promised otherwise."""
        return [finding for finding in self.findings if not finding.fits]

    def jsonable(self) -> dict[str, Any]:
        """As JSON."""
        return {"findings": [asdict(finding) for finding in self.findings], "latencies_s": self.latencies_s.tolist()}

    @classmethod
    def from_jsonable(cls, data: Any) -> ProbeReport:
        """The report of `jsonable`; raises DriverError for something else."""
        saved = checked(data, _Saved, "this is no report of a probe", DriverError)
        return cls(tuple(saved.findings), np.array(saved.latencies_s))

    def finding(self, name: str) -> Finding:
        """One of them by its name."""
        return next(finding for finding in self.findings if finding.name == name)


class _Saved(msgspec.Struct):
    findings: list[Finding]
    latencies_s: list[float]


def probe(
    driver: Driver,
    contract: Contract | None = None,
    joint: str | None = None,
    steps: int = STEPS,
    clock: Clock | None = None,
    friction: bool = False,
) -> ProbeReport:
    """Measures a connected robot by reading it, and by small steps of one joint.

    Args:
        friction: also that of the joint, by moving it slowly forth and back (5 s), where the robot tells its load.
        contract: what a policy was promised; None for measuring only.
        joint: that moves by 0.12 rad, back and forth; None for the last but one, which on most arms bears the least.

    Raises:
        DriverError: it does not answer at all, or does not move.
    """
    joint = driver.joints[max(len(driver.joints) - 2, 0)] if joint is None else joint
    clock = clock or RealClock()
    driver.engage()
    _wait(clock, STILL_S)
    findings = _reading(driver, contract)
    latencies = _latencies(driver, driver.joints.index(joint), steps, clock)
    promised = None if contract is None else _promised_latency(contract, joint)
    late = Finding("latency of commands", 1e3 * latencies.mean(), 1e3 * latencies.std(), "ms", promised)
    rubs = [_friction(driver, driver.joints.index(joint), clock)] if friction else []
    return ProbeReport((*findings, late, *rubs), latencies)


def _reading(driver: Driver, contract: Contract | None) -> list[Finding]:
    """Round trips, lost answers, and the noise of the encoders at rest."""
    took, angles, lost = [], [], 0
    for _ in range(READS):
        try:
            reading = driver.read()
        except DriverError:
            lost += 1
            continue
        took.append(reading.took_s)
        angles.append(reading.values["angle"])
    if len(took) < READS / 2:
        raise DriverError(f"{lost} of {READS} readings failed")
    trips = 1e3 * np.array(took)
    retried = getattr(driver, "retried", 0)
    known = () if contract is None else contract.observation
    timing = next((channel for channel in known if channel.name == ANGLE), None)
    age = (
        None if timing is None else (0.0, 1e3 * (timing.latency_s + 4 * timing.jitter_s) + 1e3 / max(timing.rate_hz, 1))
    )
    most_lost = None if timing is None else (0.0, timing.dropout + 0.01)
    return [
        Finding("round trip", float(np.median(trips)), float(trips.std()), "ms"),
        Finding("age of a reading", float(trips.mean() / 2), float(trips.std() / 2), "ms", age),
        Finding("lost readings", lost / READS, 0.0, "share", most_lost),
        Finding("repeated exchanges", float(retried), 0.0, "exchanges"),
        Finding("noise of encoders", float(np.std(angles, axis=0).max()), 0.0, "rad"),
    ]


def _latencies(driver: Driver, joint: int, steps: int, clock: Clock) -> NDArray[np.float64]:
    """From a command to the moment that the joint begins to move, for each of some steps [s]."""
    home = np.clip(driver.read().values["angle"], driver.limits.low, driver.limits.high)
    out = home[joint] + STEP_RAD <= driver.limits.high[joint]
    angle = _reader(driver, joint)
    found = []
    for k in range(steps):
        targets = home.copy()
        targets[joint] += (STEP_RAD if out else -STEP_RAD) * (k % 2 == 0)
        before = _watched(angle, clock.now(), clock, 5 * SAMPLE_S)[1].mean()
        began = clock.now()
        driver.write(targets)
        told = 0.5 * (began + clock.now())
        moved = _moved(*_watched(angle, told, clock, WATCH_S), before)
        found += [] if moved is None else [moved]
        _wait(clock, SETTLE_S - WATCH_S + 0.0103 * (k % 7))  # out of step with anything that repeats
    driver.write(home)
    if len(found) < steps / 2:
        raise DriverError(f"{driver.joints[joint]} did not move when it was told to: is its torque on?")
    return onsets(found)


def _friction(driver: Driver, joint: int, clock: Clock) -> Finding:
    """Half of what the load of a slow joint differs by from one direction to the other."""
    home = np.clip(driver.read().values[ANGLE], driver.limits.low, driver.limits.high)
    out = 1.0 if home[joint] + STEP_RAD <= driver.limits.high[joint] else -1.0
    loads: dict[float, list[float]] = {1.0: [], -1.0: []}
    for forth in (True, False) * 2:
        count = round(STEP_RAD / (SLOW * TICK_S))
        for k in range(1, count + 1):
            targets = home.copy()
            targets[joint] += out * STEP_RAD * (k if forth else count - k) / count
            driver.write(targets)
            clock.sleep_until(clock.now() + TICK_S)
            if k > count / 2:  # its gears have taken up their play
                with suppress(DriverError):
                    loads[out if forth else -out].append(float(driver.read().values[LOAD][joint]))
    if min(map(len, loads.values())) < 10:
        raise DriverError(f"the load of {driver.joints[joint]} could not be read")
    up, down = (np.array(loads[way]) for way in (1.0, -1.0))
    return Finding("friction", float(up.mean() - down.mean()) / 2, float(np.hypot(up.std(), down.std())) / 2, "share")


def _watched(
    angle: Angle, since: float, clock: Clock, seconds: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Angles of a joint as often as they can be read, with their times from a moment on [s]."""
    samples = []
    while (now := clock.now()) < since + seconds:
        with suppress(DriverError):
            samples.append(angle())
        clock.sleep_until(now + SAMPLE_S)
    return np.array([at - since for at, _ in samples]), np.array([where for _, where in samples])


def _moved(at: NDArray, angles: NDArray, before: float) -> tuple[NDArray, NDArray] | None:
    """Times and ways of the first part of a step, in its direction; None where the joint did not move."""
    if len(at) < 10:
        return None
    way = (angles - before) * np.sign(angles[-1] - before)
    if (way > MOVED).sum() < 5:
        return None
    end = max(int(np.argmax(way >= MOST * way[-1])), 10)
    return at[:end], way[:end]


def onsets(steps: Sequence[tuple[NDArray, NDArray]]) -> NDArray[np.float64]:
    """When a joint began each of its steps, from times and ways `(samples,)` of each [s].

    All steps are responses of second order with the same frequency and damping, each with its own height and beginning.
    """
    n = len(steps)
    spans = np.array([max(float(np.ptp(way)), MOVED) for _, way in steps])
    firsts = np.array([at[np.argmax(way > MOVED)] for at, way in steps])
    start = np.concatenate([[50.0, 1.0], 1.5 * spans, np.maximum(firsts - 0.004, 0.0)])
    low = np.concatenate([[5.0, 0.2], 0.1 * spans, np.full(n, -0.01)])
    high = np.concatenate([[1000.0, 5.0], 9 * spans, np.full(n, WATCH_S)])
    scale = np.concatenate([[50.0, 1.0], spans, np.full(n, 0.01)])

    def residuals(p: NDArray) -> NDArray[np.float64]:
        parts = [step_response(at - p[2 + n + k], p[2 + k], p[0], p[1]) - way for k, (at, way) in enumerate(steps)]
        return np.concatenate(parts) / spans.mean()

    return least_squares(residuals, start, bounds=(low, high), x_scale=scale, loss="soft_l1", f_scale=0.05).x[2 + n :]


def step_response(t: NDArray, height: float, omega: float, damping: float) -> NDArray[np.float64]:
    """A step of second order at times from its beginning on: natural frequency [rad/s] and damping ratio."""
    t = np.maximum(t, 0.0)
    root = omega * np.sqrt(complex(damping**2 - 1.0 + 1e-9))
    decay = np.exp(-damping * omega * t) * (np.cosh(root * t) + damping * omega / root * np.sinh(root * t))
    return height * (1 - decay.real)


def _reader(driver: Driver, joint: int) -> Angle:
    """Reads one joint as fast as the driver can."""
    alone = getattr(driver, "read_joint", None)
    if alone is not None:
        return lambda: alone(joint)

    def all_of_them() -> tuple[float, float]:
        reading = driver.read()
        return reading.time_s, float(reading.values["angle"][joint])

    return all_of_them


def _promised_latency(contract: Contract, joint: str) -> tuple[float, float] | None:
    """Between which latencies a policy was trained [ms]."""
    of = next((a for a in contract.actuators if a.joint == joint), None)
    if of is None:
        return None
    name = f"{of.name}/latency_s"
    varied = next((span for pattern, span in contract.randomized.items() if matches(name, pattern)), None)
    low, high = (of.latency_s, of.latency_s) if varied is None else varied.around(of.latency_s)
    return 1e3 * (low - LATENCY_SLACK_S), 1e3 * (high + LATENCY_SLACK_S)


def _wait(clock: Clock, seconds: float) -> None:
    clock.sleep_until(clock.now() + seconds)
