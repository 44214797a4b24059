"""`embodied bench`: how fast, in ratios measured within one run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal

import tyro


@dataclass
class Bench:
    """Measure speed.

    `env`: stepping with random actions. `learn`: environment steps per second with learning. `sensors`: what the
    imperfections of the sensors cost. `camera`: pictures of 64 × 64 pixels. `inference`: one robot's decisions.
    """

    what: Annotated[Literal["env", "learn", "sensors", "camera", "inference"], tyro.conf.Positional]
    """What to measure."""
    rounds: int = 5
    """Rounds; the contestants take turns, and medians are reported."""
    json: Path | None = None
    """Also write the figures to this file."""
    small: bool = False
    """Few worlds and steps, to see whether it runs; the ratios mean nothing then."""

    def run(self) -> None:
        """Prints the figures and their ratios."""
        import embodied_envs  # noqa: F401  (registers the ids)

        measures: dict[str, Callable[..., dict[str, list[float]]]]
        measures = {
            "env": _env_rates,
            "learn": _learn_rates,
            "sensors": _sensor_rates,
            "camera": _camera_rates,
            "inference": _inference_rates,
        }
        size = {"worlds": 1 if self.what == "inference" else 4, "steps": 5} if self.small else {}
        rates = measures[self.what](self.rounds, **size)
        _print(self.what, rates)
        if self.json is not None:
            self.json.write_text(json.dumps(rates, indent=1))


def _env_rates(rounds: int, worlds: int = 64, steps: int = 60) -> dict[str, list[float]]:
    """Steps per second of 64 worlds in each round, by contestant; ours first."""
    import gymnasium as gym
    import numpy as np
    from gymnasium.vector import AutoresetMode, SyncVectorEnv

    from embodied.learn.vec import make_vec
    from embodied_scripts.reference import PlainSignpost

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

    def stepping(env: Any) -> Callable[[], int]:
        return lambda: sum(len(env.step(a)[1]) for a in actions)

    def bare_stepping() -> int:
        control = bare.batch.array("ctrl")
        for a in actions:
            control[:] = a * scale
            bare.batch._engine.step(nstep=bare.substeps)
        return steps * worlds

    return _take_turns(
        {
            "embodied, batch of 64": stepping(ours),
            "bare mujoco.batch, same model": bare_stepping,
            "SyncVectorEnv, plain environment": stepping(plain),
            "SyncVectorEnv, our one-world environment": stepping(single),
        },
        rounds,
    )


def _sensor_rates(rounds: int, worlds: int = 256, steps: int = 30) -> dict[str, list[float]]:
    """Steps per second of 256 worlds with the whole sensor chain and with perfect sensors, in each round."""
    import numpy as np

    from embodied.world.env import BatchEnv
    from embodied_envs.signpost import Signpost, SignpostOptions

    honest, ideal = Signpost(SignpostOptions()), Signpost(SignpostOptions())
    ideal.robot = ideal.robot.ideal()
    envs = [BatchEnv(task, worlds, autoreset_mode="SameStep") for task in (honest, ideal)]
    actions = np.random.default_rng(0).uniform(-1, 1, (steps, worlds, 3))
    for env in envs:
        env.reset(seed=0)

    def stepping(env: BatchEnv) -> Callable[[], int]:
        return lambda: sum(len(env.step(a)[1]) for a in actions)

    return _take_turns({"sensor chain on": stepping(envs[0]), "sensor chain off": stepping(envs[1])}, rounds)


def _camera_rates(rounds: int, worlds: int = 16, steps: int = 10, pixels: int = 64) -> dict[str, list[float]]:
    """Colour pictures per second of Scout's world: rendered and developed, each alone, and MuJoCo's default quality."""
    import mujoco
    import numpy as np

    from embodied.body.image import ImageChain, Lens
    from embodied.learn.vec import make_vec
    from embodied.seeding import quick_normal
    from embodied.world.eyes import Darkroom
    from embodied.world.picture import open_renderer

    env: Any = make_vec("embodied/Signpost-v0", worlds)
    env.reset(seed=0)
    camera = env.batch.model.camera("robot/eye").id
    lens = Lens(pixels, pixels, pixels, pixels, pixels / 2, pixels / 2, (-0.2, 0.05, 0.0, 0.0, 0.0))
    chain = ImageChain(lens=lens, gain=2.0, white_balance=(1.1, 1.0, 0.9), jpeg_quality=80)
    fast = Darkroom(env.batch, pixels, pixels, depth=False)
    slow = open_renderer(env.batch.model, pixels, pixels)
    data = mujoco.MjData(env.batch.model)
    bits = np.random.default_rng(0).integers(0, 2**64, chain.lanes(pixels, pixels), np.uint64)
    quick_normal(bits, 1)
    picture = fast.draw(0, camera)

    def default_quality() -> int:
        for world in range(2):
            slow.update_scene(env.batch.current_data(world, data), camera)
            slow.render()
        return 2

    def rendered() -> int:
        return sum(len(fast.draw(world, camera)[:1]) for _ in range(steps) for world in range(worlds))

    def developed() -> int:
        return sum(len(chain.develop([picture], bits)[:1]) for _ in range(steps * worlds))

    def both() -> int:
        frames = (chain.develop([fast.draw(world, camera)], bits) for _ in range(steps) for world in range(worlds))
        return sum(len(frame[:1]) for frame in frames)

    return _take_turns(
        {
            "rendered, then developed": both,
            "rendered": rendered,
            "developed: lens, noise, white balance, JPEG": developed,
            "MuJoCo's renderer at its default quality": default_quality,
        },
        rounds,
    )


def _learn_rates(rounds: int, worlds: int = 128, steps: int = 64, epochs: int = 4) -> dict[str, list[float]]:
    """Environment steps per second with learning, in each round, by contestant; ours first."""
    import numpy as np
    import torch

    from embodied.errors import MissingExtraError
    from embodied.learn.ppo import SequencePPO
    from embodied.learn.vec import as_vec_env, make_vec
    from embodied.physics.threads import default_threads
    from embodied_policies.gru import GRUPolicy
    from embodied_policies.transformer import TransformerPolicy

    try:
        from sb3_contrib import RecurrentPPO
    except ImportError as error:
        raise MissingExtraError("sb3_contrib", "bench") from error

    torch.set_num_threads(default_threads())
    torch.set_flush_denormal(True)
    env_id = "embodied/Signpost-v0"
    common: dict[str, Any] = {"n_steps": steps, "n_epochs": epochs, "seed": 0}

    def ours(policy: Any) -> Any:
        return SequencePPO(policy, as_vec_env(env_id, worlds), minibatches=16, **common)

    def theirs(width: int) -> Any:
        env, batch = as_vec_env(env_id, worlds), max(16, worlds * steps // 16)
        return RecurrentPPO("MlpLstmPolicy", env, batch_size=batch, policy_kwargs={"lstm_hidden_size": width}, **common)

    def learning(model: Any) -> Callable[[], int]:
        def one_update() -> int:
            before = model.num_timesteps
            model.learn(worlds * steps, reset_num_timesteps=False)
            return model.num_timesteps - before

        return one_update

    plain: Any = make_vec(env_id, worlds)
    plain.reset(seed=0)
    actions = np.random.default_rng(0).uniform(-1, 1, (steps, worlds, 3)).astype(np.float32)
    return _take_turns(
        {
            "SequencePPO, transformer 2 x 64": learning(ours(TransformerPolicy)),
            "SequencePPO, GRU 64": learning(ours(GRUPolicy)),
            "RecurrentPPO, LSTM 256 (its default)": learning(theirs(256)),
            "RecurrentPPO, LSTM 64": learning(theirs(64)),
            "no learning: random actions": lambda: sum(len(plain.step(a)[1]) for a in actions),
        },
        rounds,
    )


def _inference_rates(rounds: int, worlds: int = 1, steps: int = 100, layers: int = 12) -> dict[str, list[float]]:
    """Decisions per second of one robot, 12 layers of width 64, context 100: exported, in torch, and recomputed."""
    import tempfile

    import numpy as np
    import torch
    from gymnasium import spaces

    from embodied.learn.export import export_onnx
    from embodied.learn.onnx_agent import OnnxAgent
    from embodied_policies.transformer import TransformerPolicy

    torch.set_num_threads(1)
    policy = TransformerPolicy(
        spaces.Box(-1, 1, (64,), np.float32), spaces.Box(-1, 1, (3,), np.float32), layers=layers, context=100
    ).eval()
    rows = np.random.default_rng(0).uniform(-1, 1, (steps, 1, 64)).astype(np.float32)
    going_on, beginning = np.zeros(worlds, bool), np.ones(worlds, bool)
    with tempfile.TemporaryDirectory() as folder:
        agent = OnnxAgent(export_onnx(policy, Path(folder) / "policy.onnx"))

    def exported() -> int:
        carry = agent.initial(worlds, 0)
        for row in rows:
            carry, _ = agent.act(carry, row, going_on)
        return steps

    def cached() -> int:
        memory = None
        for row in rows:
            _, memory = policy.predict(row, memory, going_on, deterministic=True)
        return steps

    def recomputed() -> int:
        first = torch.as_tensor(np.arange(steps) == 0)[None]
        with torch.inference_mode():
            for _ in range(max(1, steps // 10)):
                policy.sequence(torch.as_tensor(rows[:, 0])[None], first, policy.core.snapshot(policy.initial(1)))
        return max(1, steps // 10)

    cached(), policy.predict(rows[0], None, beginning)
    return _take_turns(
        {
            "exported, run by onnxruntime": exported,
            "torch with its cache": cached,
            "torch, recomputing the context": recomputed,
        },
        rounds,
    )


def _take_turns(contestants: dict[str, Callable[[], int]], rounds: int) -> dict[str, list[float]]:
    """Runs everyone once to warm up, then in turns; returns steps per second of each round."""
    for run in contestants.values():
        run()
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            start = time.perf_counter()
            rates[name].append(run() / (time.perf_counter() - start))
    return rates


def _print(what: str, rates: dict[str, list[float]]) -> None:
    from rich.console import Console
    from rich.table import Table

    ours = next(iter(rates.values()))
    unit = {"camera": "pictures", "inference": "decisions"}.get(what, "environment steps")
    table = Table(
        title=f"bench {what}: {unit} per second, median of {len(ours)} rounds",
        title_justify="left",
    )
    table.add_column("contestant")
    table.add_column("per second", justify="right")
    table.add_column("ours is … times as fast (min–max)", justify="right")
    for name, figures in rates.items():
        ratios = [a / b for a, b in zip(ours, figures, strict=True)]
        table.add_row(name, f"{median(figures):,.0f}", f"{median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})")
    Console().print(table)
