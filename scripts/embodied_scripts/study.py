"""`embodied study`: published benchmarks of memory, with the settings and the seeds that the documentation reports."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from embodied.errors import OptionError
from embodied_scripts.rows import Row, gather, read_rows

CORES = ("transformer", "gru", "mlp")
VELOCITIES = {"CartPole-v1": [1, 0, 1, 0], "Pendulum-v1": [1, 1, 0], "MountainCarContinuous-v0": [1, 0]}


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


@dataclass
class Study:
    """Run a published benchmark of memory; finished rows are kept, so an interrupted study goes on."""

    name: Annotated[Literal["novel", "popgym", "recall"], tyro.conf.Positional]
    """`novel`: control without velocities. `popgym`: partially observable games (extra: bench). `recall`: a cue is
    asked for after a delay."""
    seeds: int = 3
    """Seeds of the transformer; the other cores get one."""
    cores: tuple[str, ...] = CORES
    """Which networks: transformer, gru, mlp."""
    only: tuple[str, ...] = ()
    """Only these environments."""
    episodes: int = 200
    """Fresh episodes after training; their mean return is reported."""
    jobs: int = 0
    """Trainings at once, each with its share of the cores (0: one per core; small networks gain little from two)."""
    out: Path = Path("runs/study.jsonl")
    """One line of JSON per finished training."""
    picture: Path | None = None
    """Draw how the trainings went into this file, such as curves.png."""

    def run(self) -> None:
        """Trains what is missing and prints the table."""
        from embodied.errors import UnknownNameError

        cases = STUDIES[self.name]()
        for name in (*self.only, *self.cores):
            if name not in cases and name not in CORES:
                raise UnknownNameError("environment or core", name, (*cases, *CORES))
        self.out.parent.mkdir(parents=True, exist_ok=True)
        done = read_rows(self.out)
        finished = {(row["env"], row["core"], row["seed"]) for row in done}
        done += self._train([one for one in self._wanted(cases) if one not in finished])
        shown = {env: case for env, case in cases.items() if any(row["env"] == env for row in done)}
        _print(shown, done)
        if self.picture is not None:
            _draw(self.picture, shown, done)

    def _wanted(self, cases: dict[str, Case]) -> list[tuple[str, str, int]]:
        """Environment, core and seed of every training, first seeds first."""
        envs = [env for env in cases if not self.only or env in self.only]
        every = [(env, core, seed) for seed in range(self.seeds) for env in envs for core in self.cores]
        return [(env, core, seed) for env, core, seed in every if core == "transformer" or seed == 0]

    def _train(self, missing: list[tuple[str, str, int]]) -> list[Row]:
        """Trains, several at once, and writes each row as it is finished."""
        from embodied.physics.threads import default_threads

        cores = default_threads()
        jobs = self.jobs or cores
        threads = max(1, cores // jobs)
        with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
            trainings = [pool.submit(_row, self.name, *one, self.episodes, threads) for one in missing]
            return gather(self.out, trainings)


def _row(study: str, env: str, core: str, seed: int, episodes: int, threads: int) -> Row:
    """One line of a study's table; runs in a process of its own."""
    import torch

    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    return {"env": env, "core": core, "seed": seed} | _train(STUDIES[study]()[env], core, seed, episodes)


def _train(case: Case, core: str, seed: int, episodes: int) -> Row:
    """Trains one network; returns how it went, and the mean return of fresh episodes with its standard error."""
    from gymnasium.vector import AutoresetMode, SyncVectorEnv

    from embodied.learn.agents import NetworkAgent
    from embodied.learn.evaluate import evaluate
    from embodied.learn.ppo import SequencePPO
    from embodied.learn.vec import GymVecEnv, as_vec_env
    from embodied_scripts.curve import EpisodesMet
    from embodied_scripts.train import policy_class

    worlds = lambda: SyncVectorEnv([case.make] * case.worlds, autoreset_mode=AutoresetMode.SAME_STEP)  # noqa: E731
    start = case.settings.get("learning_rate", 5e-4)
    settings: dict[str, Any] = {"minibatches": case.worlds // 2} | case.settings
    settings["learning_rate"] = lambda left: start * (0.1 + 0.9 * left)
    policy = case.policy if core == "transformer" else {}
    model = SequencePPO(policy_class(core), worlds(), seed=seed, policy_kwargs=policy, device="cpu", **settings)
    episodes_met = EpisodesMet()
    began = time.perf_counter()
    model.learn(case.steps, callback=episodes_met)
    seconds = time.perf_counter() - began
    env: Any = as_vec_env(worlds(), None, model.recall)
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
            lambda: _without_velocity("CartPole-v1"),
            100_000,
            "500.0 ± 0.0",
            500.0,
            settings={"gamma": 0.98, "gae_lambda": 0.9, "minibatches": 4, "n_epochs": 6},
            policy={"layers": 1, "context": 32},
        ),
        "PendulumNoVel-v1": Case(
            lambda: _without_velocity("Pendulum-v1"),
            100_000,
            "-217.9 ± 140.4",
            -217.9,
            worlds=8,
            settings={"gamma": 0.9, "learning_rate": 1e-3, "n_epochs": 8, "use_sde": True, "sde_sample_freq": 4},
            policy={"layers": 1, "context": 16},
        ),
        "MountainCarContinuousNoVel-v0": Case(
            lambda: _without_velocity("MountainCarContinuous-v0"),
            300_000,
            "91.5 ± 1.8",
            91.5,
            settings={"gamma": 0.9999, "use_sde": True, "sde_sample_freq": -1, "n_steps": 256},
        ),
    }


def _popgym() -> dict[str, Case]:
    """Games of POPGym at a million steps (Morad et al. 2023)."""
    from embodied.errors import MissingExtraError

    try:
        import popgym  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("popgym", "bench") from error
    goals = {"Easy": 0.95, "Medium": 0.95, "Hard": 0.9}
    wanted = {f"PositionOnlyCartPole{level}": goal for level, goal in goals.items()} | {"RepeatPreviousEasy": 0.85}
    return {
        name: Case(
            lambda name=name: _popgym_env(name),  # type: ignore[misc]
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
    from embodied_scripts.recall_env import RecallEnv

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


def _popgym_env(name: str) -> Any:
    import gymnasium as gym
    import popgym  # noqa: F401

    return gym.make(f"popgym-{name}-v0", disable_env_checker=True)


def _without_velocity(env_id: str) -> Any:
    import gymnasium as gym
    import numpy as np

    mask = np.array(VELOCITIES[env_id], np.float32)
    env = gym.make(env_id, disable_env_checker=True)
    return gym.wrappers.TransformObservation(env, lambda obs: obs * mask, env.observation_space)


def _print(cases: dict[str, Case], rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

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
    from embodied.view.chart import write_curves

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
