"""Speed of environments, sensors and cameras, in ratios measured within one run."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import embodied_envs  # noqa: F401  (registers the ids)
from embodied.errors import OptionError
from embodied.physics.render import CameraRenderer, open_renderer
from embodied.randomization.distributions import Uniform
from embodied.randomization.spec import Randomization, RandomizationTerm
from embodied.robot.cameras.image import ImagePipeline, Lens
from embodied.seeding import quick_normal
from embodied.vector.vec import make_vec
from embodied.world.env import BatchEnv
from embodied_envs.signpost import Signpost, SignpostOptions
from embodied_scripts.bench.beliefs import show_beliefs
from embodied_scripts.bench.classics import show_classics
from embodied_scripts.bench.league import league_rates, show_table_games
from embodied_scripts.bench.learning import (
    cheetah_rates,
    depth_rates,
    device_rates,
    inference_rates,
    learn_rates,
)
from embodied_scripts.bench.mind import imagination_rates, mind_rates, show_coverage
from embodied_scripts.bench.plain_signpost import PlainSignpost
from embodied_scripts.bench.planning import show_thinking
from embodied_scripts.bench.rounds import show, take_turns
from embodied_scripts.bench.sim2real import show_sim2real
from embodied_scripts.cli.bench import Bench
from embodied_scripts.cli.lazy import load
from embodied_scripts.ids import any_version, own_ids


def bench(asked: Bench) -> None:
    """Prints the figures and their ratios."""
    if asked.rounds < 1 or asked.episodes < 0 or asked.offline < 0:
        raise OptionError("rounds must be at least 1; episodes and time to think ahead must not be negative")
    shows: dict[str, Callable[[], dict[str, list[float]]]] = {
        "sim2real": lambda: _show_sim2real(asked.small),
        "view": lambda: _show_view(asked.rounds, asked.small),
        "beliefs": lambda: show_beliefs(4 if asked.small else asked.episodes, asked.small),
        "think": lambda: show_thinking(1 if asked.small else asked.episodes, asked.task, asked.small, asked.network),
    }
    if asked.what in shows:
        _write(asked, shows[asked.what]())
        return
    measures: dict[str, Callable[..., dict[str, list[float]]]]
    measures = {
        "env": _env_rates,
        "learn": learn_rates,
        "cheetah": cheetah_rates,
        "depth": depth_rates,
        "device": device_rates,
        "sensors": _sensor_rates,
        "camera": _camera_rates,
        "inference": inference_rates,
        "mind": mind_rates,
        "imagine": imagination_rates,
        "league": league_rates,
        "randomize": _randomize_rates,
    }
    if asked.all:
        if asked.what != "env":
            raise OptionError("--all goes with `env`")
        measures["env"] = _suite_rates
    size = {"worlds": 1 if asked.what == "inference" else 4, "steps": 5} if asked.small else {}
    rates = measures[asked.what](asked.rounds, **size)
    show(asked.what, rates)
    if asked.what == "mind" and asked.episodes:
        show_classics(1 if asked.small else asked.episodes, asked.seconds, asked.offline, asked.pouct)
        show_coverage(1 if asked.small else asked.episodes)
    if asked.what == "league":
        show_table_games(asked.small)
    _write(asked, rates)


def _write(asked: Bench, figures: dict[str, list[float]]) -> None:
    if asked.json is not None:
        asked.json.write_text(json.dumps(figures, indent=1))


def _show_sim2real(small: bool) -> dict[str, list[float]]:
    return show_sim2real(small)


def _show_view(rounds: int, small: bool) -> dict[str, list[float]]:
    return load("bench.view:show_view")(rounds, small)


def _env_rates(rounds: int, worlds: int = 64, steps: int = 60) -> dict[str, list[float]]:
    """Steps per second of 64 worlds in each round, by contestant; ours first."""
    ours: Any = make_vec("embodied/Signpost-v0", worlds)
    model, robot = ours.batch.model, ours.task.robot
    same_step: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP}
    plain = SyncVectorEnv([lambda: PlainSignpost(model, robot)] * worlds, **same_step)
    single = SyncVectorEnv([lambda: gym.make("embodied/Signpost-v0")] * worlds, **same_step)
    bare: Any = make_vec("embodied/Signpost-v0", worlds)
    scale = np.array([actuator.scale for actuator in robot.actuators])
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (steps, worlds, 3)).astype(np.float32)
    for env in (ours, plain, single, bare):
        env.reset(seed=0)

    def bare_stepping() -> int:
        control = bare.batch.array("ctrl")
        for a in actions:
            control[:] = a * scale
            bare.batch._engine.step(nstep=bare.substeps)
        return steps * worlds

    return take_turns(
        {
            "embodied, batch of 64": _stepping(ours, actions),
            "bare mujoco.batch, same model": bare_stepping,
            "SyncVectorEnv, plain environment": _stepping(plain, actions),
            "SyncVectorEnv, our one-world environment": _stepping(single, actions),
        },
        rounds,
    )


def _randomize_rates(rounds: int, worlds: int = 256, steps: int = 120) -> dict[str, list[float]]:
    """Steps per second with and without a randomization of 20 things; constants of the model follow from some."""
    about = Uniform(0.8, 1.2)
    motors = [f"{side}_motor/{what}" for side in ("left", "right") for what in ("constant", "resistance", "friction")]
    motors += [f"{motor}/{what}" for motor in ("left_motor", "right_motor") for what in ("latency_s", "armature")]
    sensors = ["camera/latency_s", "camera/misread", "gyro/bias", "wheel_speed/noise", "pan_angle/bias"]
    model = [
        "density[robot/chassis]",
        "geom_friction[*tyre*][0]",
        "opt.gravity[2]",
        "light_diffuse",
        "mat_rgba[floor][0]",
    ]
    different = Randomization(tuple(RandomizationTerm(name, about) for name in (*motors, *sensors, *model)))
    contestants = {"20 things differ": different, "all alike": None}
    actions = np.random.default_rng(0).uniform(-1, 1, (steps, worlds, 3)).astype(np.float32)
    envs: dict[str, Any] = {
        name: make_vec("embodied/Signpost-v0", worlds, randomize=what) for name, what in contestants.items()
    }
    for env in envs.values():
        env.reset(seed=0)
    return take_turns({name: _stepping(env, actions) for name, env in envs.items()}, rounds)


def _suite_rates(rounds: int, worlds: int = 128, steps: int = 20) -> dict[str, list[float]]:
    """Steps per second of every environment: batched, bare physics of the same model, and in a SyncVectorEnv."""
    rates: dict[str, list[float]] = {}
    for env_id in own_ids():
        name = env_id.removeprefix("embodied/")
        with any_version():
            measured = _one_of_the_suite(env_id, rounds, worlds, steps)
        rates |= {f"{name}, {who}": figures for who, figures in measured.items()}
    return rates


def _one_of_the_suite(env_id: str, rounds: int, worlds: int, steps: int) -> dict[str, list[float]]:
    ours, bare = (make_vec(env_id, worlds) for _ in range(2))
    single = SyncVectorEnv([lambda: gym.make(env_id)] * worlds, autoreset_mode=AutoresetMode.SAME_STEP)
    shape = ours.action_space.shape or ()
    actions = np.random.default_rng(0).uniform(-1, 1, (steps, *shape)).astype(np.float32)
    for env in (ours, bare, single):
        env.reset(seed=0)

    inner: Any = bare.unwrapped
    scale = np.array([actuator.scale for robot in inner.task.robots.values() for actuator in robot.actuators])

    def bare_stepping() -> int:
        """The same commands, so that worlds move as much: physics at rest costs less."""
        control = inner.batch.array("ctrl")
        for a in actions:
            control[:] = np.resize(a, (worlds, len(scale))) * scale
            inner.batch._engine.step(nstep=inner.substeps)
        return steps * worlds

    rates = take_turns(
        {
            "batch": _stepping(ours, actions),
            "bare physics": bare_stepping,
            "SyncVectorEnv of ours": _stepping(single, actions),
        },
        rounds,
    )
    for env in (ours, bare, single):
        env.close()
    return rates


def _sensor_rates(rounds: int, worlds: int = 256, steps: int = 30) -> dict[str, list[float]]:
    """Steps per second of 256 worlds with the whole sensor chain and with perfect sensors, in each round."""
    honest, ideal = Signpost(SignpostOptions()), Signpost(SignpostOptions())
    ideal.robot = ideal.robot.ideal()
    envs = [BatchEnv(task, worlds, autoreset_mode="SameStep") for task in (honest, ideal)]
    actions = np.random.default_rng(0).uniform(-1, 1, (steps, worlds, 3))
    for env in envs:
        env.reset(seed=0)

    return take_turns(
        {"sensor chain on": _stepping(envs[0], actions), "sensor chain off": _stepping(envs[1], actions)}, rounds
    )


def _camera_rates(rounds: int, worlds: int = 16, steps: int = 10, pixels: int = 64) -> dict[str, list[float]]:
    """Color pictures per second of Scout's world: rendered and processed, each alone, and MuJoCo's default quality."""
    env: Any = make_vec("embodied/Signpost-v0", worlds)
    env.reset(seed=0)
    camera = env.batch.model.camera("robot/eye").id
    lens = Lens(pixels, pixels, pixels, pixels, pixels / 2, pixels / 2, (-0.2, 0.05, 0.0, 0.0, 0.0))
    chain = ImagePipeline(lens=lens, gain=2.0, white_balance=(1.1, 1.0, 0.9), jpeg_quality=80)
    fast = CameraRenderer(env.batch, pixels, pixels, depth=False)
    slow = open_renderer(env.batch.model, pixels, pixels)
    data = mujoco.MjData(env.batch.model)
    bits = np.random.default_rng(0).integers(0, 2**64, chain.random_values(pixels, pixels), np.uint64)
    quick_normal(bits, 1)
    picture = fast.draw(0, camera)

    def default_quality() -> int:
        for world in range(2):
            slow.update_scene(env.batch.current_data(world, data), camera)
            slow.render()
        return 2

    def rendered() -> int:
        return sum(len(fast.draw(world, camera)[:1]) for _ in range(steps) for world in range(worlds))

    def processed() -> int:
        return sum(len(chain.process([picture], bits)[:1]) for _ in range(steps * worlds))

    def both() -> int:
        frames = (chain.process([fast.draw(world, camera)], bits) for _ in range(steps) for world in range(worlds))
        return sum(len(frame[:1]) for frame in frames)

    return take_turns(
        {
            "rendered, then processed": both,
            "rendered": rendered,
            "processed: lens, noise, white balance, JPEG": processed,
            "MuJoCo's renderer at its default quality": default_quality,
        },
        rounds,
    )


def _stepping(env: Any, actions: Any) -> Callable[[], int]:
    """Makes the steps `actions (steps, N, nu)`; returns how many that were."""
    return lambda: sum(len(env.step(a)[1]) for a in actions)
