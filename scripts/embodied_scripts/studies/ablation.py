"""What a learner's settings are worth: one changed at a time, on small problems that need memory, seed by seed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray
from scipy.stats import bootstrap, trim_mean
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from embodied.errors import UnknownNameError
from embodied.evaluation.report import evaluate
from embodied.extras import advice
from embodied.learn.ppo import SequencePPO
from embodied.nn.agent import NetworkAgent
from embodied.vector.vec import GymVecEnv
from embodied_scripts.cli.study_ablation import Ablation
from embodied_scripts.cli.train import MANY_WORLDS
from embodied_scripts.studies.memory_benchmarks import POPGYM, VELOCITIES, popgym_env, without_velocity
from embodied_scripts.studies.results import Row, complete, print_table

WORLDS, STEPS = 64, 64
RECURRENT_PPO = "sb3-contrib's RecurrentPPO"


@dataclass(frozen=True)
class Variant:
    """What is other than by default: settings of `PPOConfig`, keyword arguments of the policy, its class, worlds."""

    settings: dict[str, Any] = field(default_factory=dict)
    policy: dict[str, Any] = field(default_factory=dict)
    kind: str = "TransformerPolicy"
    worlds: int = WORLDS


VARIANTS = {
    "default": Variant(),
    "previous action not read": Variant(policy={"previous_action": False}),
    "GRU": Variant(kind="GRUPolicy"),
    "one layer": Variant(policy={"layers": 1}),
    "gated (GTrXL)": Variant(policy={"gate": True}),
    "learned positions": Variant(policy={"positions": "learned"}),
    "context 32": Variant(policy={"context": 32}),
    "sequences of 32 steps": Variant({"n_steps": 32}, worlds=2 * WORLDS),
    "sequences of 128 steps": Variant({"n_steps": 128}, worlds=WORLDS // 2),
    "minibatches of 256 steps": Variant({"batch_size": 256}),
    "minibatches of 2048 steps": Variant({"batch_size": 2048}),
    "8 epochs": Variant({"n_epochs": 8}),
    "learning rate 1e-3": Variant({"learning_rate": 1e-3, "learning_rate_end": 1e-4}),
    "learning rate 2e-4": Variant({"learning_rate": 2e-4, "learning_rate_end": 2e-5}),
    "constant learning rate": Variant({"learning_rate_end": None}),
    "entropy bonus 0.01": Variant({"ent_coef": 0.01}),
    "lambda 0.9": Variant({"gae_lambda": 0.9}),
    "gamma 0.95": Variant({"gamma": 0.95}),
    "values clipped": Variant({"clip_range_vf": 0.2}),
    "clip range 0.1": Variant({"clip_range": 0.1}),
    "advantages as they are": Variant({"normalize_advantage": False}),
    "observations normalized": Variant({"normalize": True}),
    "next observation predicted": Variant({"forward_model_coef": 0.1}),
    "state-dependent noise": Variant({"use_sde": True, "sde_sample_freq": 4}),
    RECURRENT_PPO: Variant(),
}


def ablation(asked: Ablation) -> None:
    """Trains and judges what is missing, and prints a table for each problem."""
    names = asked.only or tuple(VARIANTS)
    for name in names:
        if name not in VARIANTS:
            raise UnknownNameError("variant", name, VARIANTS)
    asked.only = tuple(f"{problem}: {name}" for problem in asked.problems for name in names)
    every = [f"{problem}: {name}" for problem in asked.problems for name in VARIANTS]
    for problem in asked.problems:
        _maker(problem)
    rows = complete(asked, every, _row)
    for problem in asked.problems:
        returns = {name: _returns(rows, f"{problem}: {name}") for name in names}
        _print(problem, {name: values for name, values in returns.items() if len(values)})


def _row(steps: int, episodes: int, condition: str, seed: int) -> Row:
    """Trains one policy and judges it; runs in a process of its own."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    problem, _, name = condition.partition(": ")
    began = time.perf_counter()
    train = _recurrent_ppo if name == RECURRENT_PPO else partial(_sequence_ppo, VARIANTS[name])
    judged = train(_maker(problem), steps, seed)
    seconds = time.perf_counter() - began
    about = {"condition": condition, "seed": seed, "steps": steps, "episodes": episodes}
    return about | {"return": judged(episodes), "seconds": round(seconds, 1)}


def _sequence_ppo(variant: Variant, make: Callable[[], Any], steps: int, seed: int) -> Callable[[int], float]:
    """Trains; returns what tells the mean return of so many fresh episodes."""
    worlds = partial(_worlds, make, variant.worlds)
    config = MANY_WORLDS.with_settings({"n_steps": STEPS} | variant.settings)
    model = SequencePPO(variant.kind, worlds(), config, seed=seed, policy_kwargs=dict(variant.policy), device="cpu")
    model.learn(steps)
    return lambda episodes: evaluate(NetworkAgent(model.policy), GymVecEnv(worlds()), episodes, 10_000 + seed).reward


def _worlds(make: Callable[[], Any], n: int) -> SyncVectorEnv:
    return SyncVectorEnv([make] * n, autoreset_mode=AutoresetMode.SAME_STEP)


def _recurrent_ppo(make: Callable[[], Any], steps: int, seed: int) -> Callable[[int], float]:
    """The same with sb3-contrib's recurrent network, of its own shape, on the same worlds and epochs."""
    with advice():
        from sb3_contrib import RecurrentPPO
    same = {name: getattr(MANY_WORLDS, name) for name in ("learning_rate", "batch_size", "n_epochs")}
    worlds = make_vec_env(make, WORLDS, seed)
    model = RecurrentPPO("MlpLstmPolicy", worlds, n_steps=STEPS, seed=seed, device="cpu", **same)
    model.learn(steps)
    fresh = make_vec_env(make, WORLDS, 10_000 + seed)
    return lambda episodes: float(np.mean(evaluate_policy(model, fresh, episodes, warn=False)[0]))


def _maker(problem: str) -> Callable[[], Any]:
    """What makes an environment of a problem."""
    plain = problem.replace("NoVel", "")
    if plain in VELOCITIES and plain != problem:
        return partial(without_velocity, plain)
    known = [name.removeprefix("popgym-").removesuffix("-v0") for name in POPGYM]
    if problem not in known:
        raise UnknownNameError("problem", problem, [*known, *(name.replace("-", "NoVel-") for name in VELOCITIES)])
    return partial(popgym_env, problem)


def _returns(rows: list[Row], condition: str) -> NDArray[np.float64]:
    return np.array([row["return"] for row in rows if row["condition"] == condition])


def _print(problem: str, returns: dict[str, NDArray]) -> None:
    lines = []
    for name in sorted(returns, key=lambda name: -returns[name].min()):
        middle, low, high = interquartile_mean(returns[name])
        own = (f"{value:.3g}" for value in (returns[name].min(), middle))
        lines.append([name, *own, f"{low:.3g} to {high:.3g}", " ".join(f"{value:.3g}" for value in returns[name])])
    columns = ("variant", "worst seed", "interquartile mean", "95 % interval", "seeds")
    print_table(f"{problem}: mean return of fresh episodes", columns, lines)


def interquartile_mean(returns: NDArray[np.float64], draws: int = 2000) -> tuple[float, float, float]:
    """Of the returns of some seeds, with its 95 % bootstrap interval (Agarwal et al. 2021)."""
    if len(returns) < 2:
        return float(returns[0]), math.nan, math.nan
    rng = np.random.default_rng(0)
    drawn = bootstrap((returns,), _middle, n_resamples=draws, rng=rng, method="percentile").confidence_interval
    return float(_middle(returns)), float(drawn.low), float(drawn.high)


def _middle(returns: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    """Mean without the best and the worst quarter."""
    return np.asarray(trim_mean(returns, 0.25, axis=axis), np.float64)
