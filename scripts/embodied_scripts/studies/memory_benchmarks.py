"""Published benchmarks of memory, with the settings and the seeds that the documentation reports."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import popgym  # noqa: F401
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from rich.console import Console
from rich.table import Table

from embodied.errors import OptionError, UnknownNameError
from embodied.evaluation.report import evaluate
from embodied.extras import advice
from embodied.learn.ppo import SequencePPO
from embodied.nn.agent import NetworkAgent
from embodied.physics.threads import default_threads
from embodied.vector.vec import GymVecEnv, as_vec_env
from embodied.view.chart import write_curves
from embodied_scripts.cli.study_memory import CORES, MemoryBenchmark
from embodied_scripts.cli.train import MANY_WORLDS
from embodied_scripts.studies.recall_env import RecallEnv
from embodied_scripts.studies.results import Row, gather, read_rows
from embodied_scripts.training.curve import EpisodesMet

VELOCITIES = {"CartPole-v1": [1, 0, 1, 0], "Pendulum-v1": [1, 1, 0], "MountainCarContinuous-v0": [1, 0]}
POPGYM = tuple(name for name in gym.registry if name.startswith("popgym-"))

POLICIES = {"transformer": "TransformerPolicy", "gru": "GRUPolicy", "mlp": "MlpPolicy"}


@dataclass(frozen=True)
class Case:
    """One environment of a study: how it is made, how long it is trained, and with what."""

    make: Callable[[], Any]
    steps: int
    published: str
    goal: float | None = None
    worlds: int = 16
    settings: dict[str, Any] = field(default_factory=dict)
    policy: dict[str, Any] = field(default_factory=dict)


def run_benchmark(asked: MemoryBenchmark) -> None:
    """Trains what is missing and prints the table."""
    cases = STUDIES[asked.name]()
    for name in (*asked.only, *asked.cores):
        if name not in cases and name not in CORES:
            raise UnknownNameError("environment or core", name, (*cases, *CORES))
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    done = read_rows(asked.out)
    finished = {(row["env"], row["core"], row["seed"]) for row in done}
    done += _train_missing(asked, [one for one in _wanted(asked, cases) if one not in finished])
    shown = {env: case for env, case in cases.items() if any(row["env"] == env for row in done)}
    _print(shown, done)
    if asked.picture is not None:
        _draw(asked.picture, shown, done)


def _wanted(asked: MemoryBenchmark, cases: dict[str, Case]) -> list[tuple[str, str, int]]:
    """Environment, core and seed of every training, first seeds first."""
    envs = [env for env in cases if not asked.only or env in asked.only]
    every = [(env, core, seed) for seed in range(asked.seeds) for env in envs for core in asked.cores]
    return [(env, core, seed) for env, core, seed in every if core == "transformer" or seed == 0]


def _train_missing(asked: MemoryBenchmark, missing: list[tuple[str, str, int]]) -> list[Row]:
    """Trains, several at once, and writes each row as it is finished."""
    cores = default_threads()
    jobs = asked.jobs or cores
    threads = max(1, cores // jobs)
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        trainings = [pool.submit(_row, asked.name, *one, asked.episodes, threads) for one in missing]
        return gather(asked.out, trainings)


def _row(study: str, env: str, core: str, seed: int, episodes: int, threads: int) -> Row:
    """One line of a study's table; runs in a process of its own."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    return {"env": env, "core": core, "seed": seed} | _train(STUDIES[study]()[env], core, seed, episodes)


def _train(case: Case, core: str, seed: int, episodes: int) -> Row:
    """Trains one network; returns how it went, and the mean return of fresh episodes with its standard error."""
    worlds = lambda: SyncVectorEnv([case.make] * case.worlds, autoreset_mode=AutoresetMode.SAME_STEP)  # noqa: E731
    rate = case.settings.get("learning_rate", 5e-4)
    annealed = {"learning_rate": rate, "learning_rate_end": 0.1 * rate}
    config = MANY_WORLDS.with_settings({"minibatches": case.worlds // 2} | case.settings | annealed)
    policy = case.policy if core == "transformer" else {}
    model = SequencePPO(POLICIES[core], worlds(), config, seed=seed, policy_kwargs=policy, device="cpu")
    episodes_met = EpisodesMet()
    began = time.perf_counter()
    model.learn(case.steps, callback=episodes_met)
    seconds = time.perf_counter() - began
    env: Any = as_vec_env(worlds(), None, model.previous)
    assert isinstance(env, GymVecEnv)
    report = evaluate(NetworkAgent(model.policy), env, episodes, seed=10_000 + seed)
    return {
        "return": report.reward,
        "error": report.reward_error,
        "seconds": round(seconds, 1),
        "steps_per_s": round(case.steps / seconds),
        "curve": episodes_met.curve(),
    }


def _novel() -> dict[str, Case]:
    """Classic control without velocities, as rl-zoo3 has it; their recurrent PPO at the same number of steps."""
    return {
        "CartPoleNoVel-v1": Case(
            lambda: without_velocity("CartPole-v1"),
            100_000,
            "500.0 ± 0.0",
            500.0,
            settings={"gamma": 0.98, "gae_lambda": 0.9, "minibatches": 4, "n_epochs": 6},
            policy={"layers": 1, "context": 32},
        ),
        "PendulumNoVel-v1": Case(
            lambda: without_velocity("Pendulum-v1"),
            100_000,
            "-217.9 ± 140.4",
            -217.9,
            worlds=8,
            settings={"gamma": 0.9, "learning_rate": 1e-3, "n_epochs": 8, "use_sde": True, "sde_sample_freq": 4},
            policy={"layers": 1, "context": 16},
        ),
        "MountainCarContinuousNoVel-v0": Case(
            lambda: without_velocity("MountainCarContinuous-v0"),
            300_000,
            "91.5 ± 1.8",
            91.5,
            settings={"gamma": 0.9999, "use_sde": True, "sde_sample_freq": -1, "n_steps": 256},
        ),
    }


def _popgym() -> dict[str, Case]:
    """Games of POPGym at a million steps (Morad et al. 2023)."""
    with advice():
        import popgym  # noqa: F401
    goals = {"Easy": 0.95, "Medium": 0.95, "Hard": 0.9}
    wanted = {f"PositionOnlyCartPole{level}": goal for level, goal in goals.items()} | {"RepeatPreviousEasy": 0.85}
    return {
        name: Case(
            lambda name=name: popgym_env(name),  # type: ignore[misc]
            1_000_000,
            "see the paper",
            goal,
            worlds=64,
            settings={"ent_coef": 0.01},
        )
        for name, goal in wanted.items()
    }


def _recall() -> dict[str, Case]:
    """A cue that is asked for 1 to 100 steps later; guessing earns a half."""
    return {
        f"RecallEnv({delay})": Case(
            lambda delay=delay: RecallEnv(delay),  # type: ignore[misc]
            160_000,
            "",
            1.0,
            worlds=32,
            settings={"n_steps": 128, "learning_rate": 1e-3, "ent_coef": 0.01},
            policy={"layers": 1, "width": 32},
        )
        for delay in (1, 3, 10, 30, 100)
    }


STUDIES: dict[str, Callable[[], dict[str, Case]]] = {"novel": _novel, "popgym": _popgym, "recall": _recall}


def popgym_env(name: str) -> Any:
    """A game of POPGym, by its name without package and version."""
    return gym.make(f"popgym-{name}-v0", disable_env_checker=True)


def without_velocity(env_id: str) -> Any:
    """Classic control whose velocities are observed as zeros."""
    mask = np.array(VELOCITIES[env_id], np.float32)
    env = gym.make(env_id, disable_env_checker=True)
    return gym.wrappers.TransformObservation(env, lambda obs: obs * mask, env.observation_space)


def _print(cases: dict[str, Case], rows: list[Row]) -> None:
    table = Table(title="mean return of fresh episodes ± standard error, seed by seed", title_justify="left")
    for column in ("environment", "steps", *CORES, "published"):
        table.add_column(column)
    for name, case in cases.items():
        cells = []
        for core in CORES:
            mine = [r for r in rows if (r["env"], r["core"]) == (name, core)]
            cells.append("\n".join(f"{r['return']:.3g} ± {r['error']:.2g} ({r['seconds']:.0f} s)" for r in mine))
        table.add_row(name, f"{case.steps:,}", *cells, case.published)
    Console().print(table)


def _draw(path: Path, cases: dict[str, Case], rows: list[Row]) -> None:
    """Draws how the trainings went; rows of before there were curves have none."""
    panels = {
        name: {
            core: curves
            for core in CORES
            if (
                curves := [row["curve"] for row in rows if (row["env"], row["core"]) == (name, core) and "curve" in row]
            )
        }
        for name in cases
    }
    panels = {name: curves for name, curves in panels.items() if curves}
    if not panels:
        raise OptionError("these rows were made before there were curves: delete them, or choose another --out")
    goals = {name: case.goal for name, case in cases.items() if case.goal is not None}
    write_curves(path, panels, CORES, goals)
