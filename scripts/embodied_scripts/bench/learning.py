"""Speed of learning, and of a trained network's decisions."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO

from embodied.extras import advice
from embodied.learn.ppo import SequencePPO
from embodied.nn.onnx import export_onnx
from embodied.nn.onnx_agent import OnnxAgent
from embodied.physics.threads import default_threads
from embodied.vector.vec import as_vec_env, make_vec
from embodied_policies.transformer import TransformerPolicy
from embodied_scripts.bench.rounds import take_turns
from embodied_scripts.cli.train import MANY_WORLDS

SIGNPOST = "embodied/Signpost-v0"
DEPTHS, CONTEXTS = (2, 4, 8, 12), (16, 32, 64, 128)
SHAPES = ((2, 64), (12, 256))  # layers and width


def learn_rates(rounds: int, worlds: int = 128, steps: int = 64, epochs: int = 4) -> dict[str, list[float]]:
    """Environment steps per second with learning on Signpost, in each round, by contestant; ours first."""
    use_all_threads()
    common: dict[str, Any] = {"n_steps": steps, "n_epochs": epochs, "seed": 0}
    batch = max(16, worlds * steps // 16)

    def theirs(width: int) -> Any:
        shape = {"lstm_hidden_size": width}
        return _recurrent_ppo()(
            "MlpLstmPolicy", as_vec_env(SIGNPOST, worlds), batch_size=batch, policy_kwargs=shape, device="cpu", **common
        )

    plain: Any = make_vec(SIGNPOST, worlds)
    plain.reset(seed=0)
    actions = np.random.default_rng(0).uniform(-1, 1, (steps, worlds, 3)).astype(np.float32)
    models = {
        "SequencePPO, transformer 2 x 64": _ours("TransformerPolicy", as_vec_env(SIGNPOST, worlds), 16, **common),
        "SequencePPO, GRU 64": _ours("GRUPolicy", as_vec_env(SIGNPOST, worlds), 16, **common),
        "RecurrentPPO, LSTM 256 (its default)": theirs(256),
        "RecurrentPPO, LSTM 64": theirs(64),
    }
    walking = {"no learning: random actions": lambda: sum(len(plain.step(a)[1]) for a in actions)}
    return take_turns({name: _one_update(model) for name, model in models.items()} | walking, rounds)


def cheetah_rates(rounds: int, worlds: int = 8, steps: int = 64, epochs: int = 4) -> dict[str, list[float]]:
    """Environment steps per second with learning on Gymnasium's HalfCheetah-v5: 8 environments, minibatches of 64."""
    with advice():
        import imageio  # noqa: F401  (Gymnasium's MuJoCo environments need it)
    use_all_threads()
    env_id = "HalfCheetah-v5"
    common: dict[str, Any] = {"n_steps": steps, "n_epochs": epochs, "seed": 0}
    theirs = common | {"batch_size": steps, "device": "cpu"}
    shape = {"lstm_hidden_size": 64}
    make = lambda: as_vec_env(env_id, worlds)  # noqa: E731
    models = {
        "SequencePPO, transformer 2 x 64, context 32": _ours(
            "TransformerPolicy", make(), worlds, {"context": 32}, **common
        ),
        "SequencePPO, GRU 64": _ours("GRUPolicy", make(), worlds, **common),
        "SequencePPO, MLP 2 x 64": _ours("MlpPolicy", make(), worlds, **common),
        "Stable-Baselines3 PPO, MLP 2 x 64": PPO("MlpPolicy", make(), **theirs),
        "RecurrentPPO, LSTM 64": _recurrent_ppo()("MlpLstmPolicy", make(), policy_kwargs=shape, **theirs),
    }
    return take_turns({name: _one_update(model) for name, model in models.items()}, rounds)


def depth_rates(rounds: int, worlds: int = 128, steps: int = 64, epochs: int = 4) -> dict[str, list[float]]:
    """Environment steps per second with learning on Signpost, by depth (context 128) and by context (2 layers)."""
    use_all_threads()
    common: dict[str, Any] = {"n_steps": steps, "n_epochs": epochs, "seed": 0}
    sizes = [{"layers": layers, "context": CONTEXTS[-1]} for layers in DEPTHS]
    sizes += [{"layers": DEPTHS[0], "context": context} for context in CONTEXTS[:-1]]
    models = {
        f"{size['layers']} layers, context {size['context']}": _ours(
            "TransformerPolicy", as_vec_env(SIGNPOST, worlds), 16, size, **common
        )
        for size in sizes
    }
    return take_turns({name: _one_update(model) for name, model in models.items()}, rounds)


def device_rates(rounds: int, worlds: int = 512, steps: int = 64, epochs: int = 4) -> dict[str, list[float]]:
    """Environment steps per second with learning on Signpost, on the CPU and, where there is one, on the GPU."""
    use_all_threads()
    ways: dict[str, dict[str, Any]] = {"CPU": {"device": "cpu"}}
    if torch.cuda.is_available():
        gpu: dict[str, Any] = {"device": "cuda"}
        ways |= {"GPU": gpu, "GPU, bfloat16": gpu | {"bfloat16": True}}
        ways |= {"GPU, bfloat16, compiled": gpu | {"bfloat16": True, "compile": True}}
    common: dict[str, Any] = {"n_steps": steps, "n_epochs": epochs, "seed": 0}
    models = {
        f"{layers} x {width}, {way}": _ours(
            "TransformerPolicy",
            as_vec_env(SIGNPOST, worlds),
            16,
            {"layers": layers, "width": width},
            **common,
            **options,
        )
        for layers, width in SHAPES
        for way, options in ways.items()
    }
    return take_turns({name: _one_update(model) for name, model in models.items()}, rounds)


def inference_rates(rounds: int, worlds: int = 1, steps: int = 100, layers: int = 12) -> dict[str, list[float]]:
    """Decisions per second of one robot, 12 layers of width 64, context 100: exported, in torch, and recomputed."""
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
        first, done = torch.as_tensor(np.arange(steps) == 0)[None], torch.zeros(1, steps, 3)
        with torch.inference_mode():
            for _ in range(max(1, steps // 10)):
                nothing = policy.memories.snapshot(policy.initial(1))
                policy.sequence(torch.as_tensor(rows[:, 0])[None], first, nothing, None, done)
        return max(1, steps // 10)

    cached(), policy.predict(rows[0], None, beginning)
    return take_turns(
        {
            "exported, run by onnxruntime": exported,
            "torch with its cache": cached,
            "torch, recomputing the context": recomputed,
        },
        rounds,
    )


def _ours(policy: str, env: Any, minibatches: int, shape: dict[str, int] | None = None, **given: Any) -> Any:
    options: dict[str, Any] = {"device": "cpu", "minibatches": minibatches} | given
    return SequencePPO(policy, env, MANY_WORLDS, policy_kwargs=shape, **options)


def _recurrent_ppo() -> Any:
    with advice():
        from sb3_contrib import RecurrentPPO
    return RecurrentPPO


def _one_update(model: Any) -> Callable[[], int]:
    """Collects one rollout and learns from it; returns how many environment steps that was."""

    def update() -> int:
        before = model.num_timesteps
        model.learn(model.n_envs * model.n_steps, reset_num_timesteps=False)
        return model.num_timesteps - before

    return update


def use_all_threads() -> None:
    """Lets torch use every core."""
    torch.set_num_threads(default_threads())
    torch.set_flush_denormal(True)
