"""What a user would do with a robot that is not as declared: log a few minutes of it, and fit what it is.

Shape suffixes: T instants, P pixels of the line camera, C classes that it tells apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from embodied.agent import Agent
from embodied.evaluation.loop import Decision, Observer, play
from embodied.randomization.distributions import Normal, Uniform
from embodied.randomization.spec import Randomization, RandomizationTerm
from embodied.sysid import Fit, Parameter, Recorder, Recording, fit
from embodied.vector.vec import Experience, GymVecEnv, make_vec
from embodied.world.env import BatchEnv
from embodied.world.replay import ReplayPlant
from embodied_scripts.baselines import baselines

TASK = "embodied/Signpost-v0"
DRIVE_S, REST_S, READ_S = 3.0, 5.0, 10.0
STILL, WORLDS_EACH = 40, 12  # decisions of a rest that count, and worlds that imitate it under each latency
STROKE = 4  # decisions for which a command is held
FEWEST = 2  # recordings of a kind: one has no spread
SHARES = {"drive": 0.6, "rest": 0.1, "read": 0.3}  # of the time
SCALES = {"wheel_speed": 0.3, "gyro": 0.1, "current": 0.1}
FIRST = 15  # recordings that a rough fit is made to
WIDE_STEPS = (0.1, 0.05, 0.02)  # wheels and caster in contact: smaller ones see chaos
LATENCIES_S = np.linspace(0.0, 0.12, 25)
SOUGHT = (
    Parameter("left_motor/constant", 0.25, 0.7),
    Parameter("right_motor/constant", 0.25, 0.7),
    Parameter("left_motor/resistance", 1.5, 9.0),
    Parameter("right_motor/resistance", 1.5, 9.0),
    Parameter("left_motor/friction", 0.03, 0.6),
    Parameter("right_motor/friction", 0.03, 0.6),
)
WIDEN = 3.0  # a posterior that trusts its model is too narrow
NOISES = ("gyro", "wheel_speed")


@dataclass(frozen=True)
class Logs:
    """Recordings of driving to and fro, of standing still, and of going to read the sign."""

    drive: list[Recording]
    rest: list[Recording]
    read: list[Recording]


def record(truth: Randomization, minutes: float, seed: int = 500) -> Logs:
    """Logs of so many minutes of the true robot, which shows its sensors and nothing else."""
    seconds = {"drive": DRIVE_S, "rest": REST_S, "read": READ_S}
    counts = {name: max(FEWEST, round(60 * minutes * share / seconds[name])) for name, share in SHARES.items()}
    return Logs(
        _logged(truth, lambda env: _Strokes(), counts["drive"], DRIVE_S, seed),
        _logged(truth, lambda env: _Resting(), counts["rest"], REST_S, seed + 1000),
        _logged(truth, lambda env: baselines(env)["heuristic"], counts["read"], READ_S, seed + 2000),
    )


class _Strokes:
    """Drives forth and back at random speeds, so that it meets no wall."""

    def initial(self, n: int, seed: int) -> tuple[np.random.Generator, int, NDArray]:
        return np.random.default_rng(seed), 0, np.zeros((n, 3))

    def act(self, carry: Any, obs: NDArray, first: NDArray) -> tuple[Any, NDArray]:
        rng, step, command = carry
        if step % STROKE == 0:
            command = rng.uniform(0.2, 0.9, command.shape) * [1, 1, 0] * (-1) ** (step // STROKE)
        return (rng, step + 1, command), command


class _Resting:
    """Does nothing."""

    def initial(self, n: int, seed: int) -> None:
        return None

    def act(self, carry: None, obs: NDArray, first: NDArray) -> tuple[None, NDArray]:
        return None, np.zeros((len(obs), 3))


def _logged(
    truth: Randomization, player: Callable[[GymVecEnv], Agent], count: int, seconds: float, seed: int
) -> list[Recording]:
    """Recordings of one player, each of so many seconds, or to the end of its episode."""
    env = GymVecEnv(make_vec(TASK, count, threads=1, randomize=truth))
    inner: Any = env.gym_env
    recorders = _Recorders([Recorder(inner.layout, inner.task.control_hz, robot="true") for _ in range(count)])
    for _ in itertools.islice(play(player(env), env, seed, [recorders]), round(seconds * inner.task.control_hz) + 1):
        pass
    env.close()
    return [recorder.recording() for recorder in recorders.each]


class _Recorders(Observer):
    """A recorder for the first episode of every world."""

    def __init__(self, each: list[Recorder]) -> None:
        self.each, self._over = each, np.zeros(len(each), bool)

    def on_decision(self, decision: Decision) -> None:
        if decision.index == 0:
            for recorder, row in zip(self.each, decision.obs, strict=True):
                recorder.begin(row)

    def on_step(self, decision: Decision, experience: Experience) -> None:
        self._over |= experience.ended
        for world in np.flatnonzero(~self._over):
            self.each[world].step(decision.action[world], experience.obs[world])


def fitted(logs: Logs) -> tuple[Fit, Randomization]:
    """What logs say of the robot: motors by replaying them, noise and latency from rest, the camera from reading."""
    plant = ReplayPlant(_make, SCALES)
    rough = fit(plant, logs.drive[:FIRST], SOUGHT, outlier=1.0, steps=WIDE_STEPS, iterations=15)
    begin = (replace(one, start=value) for one, value in zip(SOUGHT, rough.estimate.tolist(), strict=True))
    found = fit(plant, logs.drive, begin, outlier=1.0, steps=WIDE_STEPS[1:], iterations=8)
    return found, found.randomization(widen=WIDEN) + Randomization(of_sensors(logs))


def of_sensors(logs: Logs) -> tuple[RandomizationTerm, ...]:
    """What logs say of noise, of reading, and of how late pictures come."""
    classes = _make(1).task.robot.line_cameras[0].classes
    return (*_noise(logs.rest), *_reading(logs.read, classes), _latency(logs.rest))


def _make(worlds: int) -> BatchEnv:
    env: Any = gym.make_vec(TASK, num_envs=worlds)
    return env


def _noise(rest: list[Recording]) -> tuple[RandomizationTerm, ...]:
    """Standard deviations while nothing moves, and how well so many samples tell them."""
    found = []
    for name in NOISES:
        still = np.concatenate([log.signal(name)[1:] - log.signal(name)[1:].mean(axis=0) for log in rest])
        noise = float(still.std())
        error = noise / float(np.sqrt(2 * still.size))
        found.append(RandomizationTerm(f"{name}/noise", Normal(noise, error, 0.0, 2 * noise), "set"))
    return tuple(found)


def _latency(rest: list[Recording]) -> RandomizationTerm:
    """Latencies of the camera under which frames are as old as they were, on average, within two standard errors."""
    ages = np.array([log.signal("camera/age")[-STILL:, 0].mean() for log in rest])
    error = ages.std(ddof=1) / np.sqrt(len(ages))
    shown = _mean_ages(_make(len(LATENCIES_S) * WORLDS_EACH), max(map(len, rest)))
    off = np.abs(shown - ages.mean())
    likely = LATENCIES_S[off <= max(2 * error, float(off.min()))]
    half = LATENCIES_S[1] / 2
    return RandomizationTerm(
        "camera/latency_s", Uniform(max(0.0, float(likely[0] - half)), float(likely[-1] + half)), "set"
    )


def _mean_ages(env: BatchEnv, steps: int) -> NDArray:
    """Mean age of frames while standing still, for each of the latencies [s]."""
    env.bodies[0].parameter("camera/latency_s")[:, 0] = np.repeat(LATENCIES_S, WORLDS_EACH)
    obs, _ = env.reset(seed=0)
    ages, age = [], env.layout.slice("camera/age")
    for _ in range(steps - 1):
        obs = env.step(np.zeros((env.num_envs, 3)))[0]
        ages.append(obs[:, age][:, 0])
    env.close()
    return np.mean(ages[-STILL:], axis=0).reshape(len(LATENCIES_S), WORLDS_EACH).mean(axis=1)


def _reading(logs: list[Recording], classes: tuple[str, ...]) -> tuple[RandomizationTerm, ...]:
    """How often pixels misread the sign, and from how far it can be read."""
    colors = [k for k, name in enumerate(classes) if name.startswith("sign says")]
    read, unread, wrong, votes = [], [], 0, 0
    for log in logs:
        range_TP = log.signal("camera/range")
        seen_TPC = log.signal("camera/class").reshape(*range_TP.shape, len(classes))
        fresh = log.signal("camera/new")[:, 0] > 0
        readings = seen_TPC[fresh][..., colors]
        read.append(range_TP[fresh][readings.any(axis=-1)])
        unread.append(range_TP[fresh][seen_TPC[fresh][..., classes.index("sign")] > 0])
        counts = readings.sum(axis=(0, 1))
        wrong, votes = wrong + int(counts.min()), votes + int(counts.sum())
    near, far = np.quantile(np.concatenate(read), 0.99), np.quantile(np.concatenate(unread), 0.01)
    rate = (wrong + 1) / (votes + 2)
    error = float(np.sqrt(rate * (1 - rate) / (votes + 3)))
    return (
        RandomizationTerm("camera/misread", Normal(rate, WIDEN * error, 0.0, 0.5), "set"),
        RandomizationTerm("camera/reading_range", Uniform(float(min(near, far)), float(max(near, far)) + 1e-3), "set"),
    )
