"""What randomization is worth on a robot that is not as its data sheets say."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodied.errors import OptionError
from embodied.evaluation.report import evaluate
from embodied.nn.agent import NetworkAgent
from embodied.nn.policy import load_policy
from embodied.physics.threads import default_threads
from embodied.randomization.distributions import Choice, Uniform
from embodied.randomization.spec import Randomization, RandomizationTerm
from embodied.vector.vec import GymVecEnv, make_vec
from embodied_scripts.cli.study_transfer import Transfer
from embodied_scripts.cli.train import Train
from embodied_scripts.studies.results import Row, by_condition, gather, mean_and_error, print_table, rows_so_far
from embodied_scripts.studies.simulated_logs import fitted, record
from embodied_scripts.training.run import train_to_end

TASK = "embodied/Signpost-v0"


CONDITIONS = ("nominal", "uniform", "fitted", "oracle")


REALITY = {
    "left_motor/constant": 0.40,
    "right_motor/constant": 0.44,
    "left_motor/resistance": 5.5,
    "right_motor/resistance": 4.5,
    "left_motor/friction": 0.30,
    "right_motor/friction": 0.22,
    "camera/latency_s": 0.10,
    "camera/misread": 0.25,
    "camera/reading_range": 0.65,
    "gyro/noise": 0.10,
    "wheel_speed/noise": 0.30,
}


GUESSED = 0.5  # uniform randomization: everything up to so much more or less than declared


def reality() -> Randomization:
    """The one robot that all are judged on."""
    return Randomization(tuple(RandomizationTerm(name, Choice((value,)), "set") for name, value in REALITY.items()))


def guess() -> Randomization:
    """What somebody would try who knows the data sheets and has no recording."""
    about = Uniform(1 - GUESSED, 1 + GUESSED)
    noisy = {"gyro/noise": (0.0, 0.05), "wheel_speed/noise": (0.0, 0.1)}
    scaled = tuple(RandomizationTerm(name, about) for name in REALITY if name not in noisy)
    return Randomization((*scaled, *(RandomizationTerm(name, Uniform(*ends), "set") for name, ends in noisy.items())))


def transfer(asked: Transfer) -> None:
    """Trains and judges what is missing, and prints the table."""
    if min(asked.base_steps, asked.steps, asked.seeds, asked.episodes) < 1 or not asked.minutes > 0 or asked.jobs < 0:
        raise OptionError("steps, seeds, episodes and minutes must be positive")
    asked.out.mkdir(parents=True, exist_ok=True)
    _declare(asked)
    table = asked.out / "table.jsonl"
    wanted = [(name, seed) for seed in range(asked.seeds) for name in CONDITIONS]
    rows, missing = rows_so_far(table, asked.steps, asked.episodes, wanted)
    with ProcessPoolExecutor(asked.jobs or default_threads(), get_context("spawn")) as pool:
        list(pool.map(partial(_train_base, asked), sorted({seed for _, seed in missing})))
        rows += gather(table, [pool.submit(_row, asked, *one) for one in missing])
    show(rows)


def _declare(asked: Transfer) -> None:
    """Writes what each condition trains under; the fit is made once."""
    reality().save(asked.out / "oracle.json")
    guess().save(asked.out / "uniform.json")
    if not (asked.out / "fitted.json").exists():
        found, randomization = fitted(record(reality(), asked.minutes))
        (asked.out / "fit.json").write_text(json.dumps(found.jsonable(), indent=1))
        randomization.save(asked.out / "fitted.json")


def _train_base(study: Transfer, seed: int) -> None:
    _train(study.out / f"base-{seed}", study.base_steps, seed)


def _row(study: Transfer, condition: str, seed: int) -> Row:
    """Trains one policy, or goes on with it, and judges it; runs in a process of its own."""
    folder = study.out / f"{condition}-{seed}"
    randomize = None if condition == "nominal" else str((study.out / f"{condition}.json").absolute())
    _train(folder, study.steps, seed, randomize=randomize, start_from=str((study.out / f"base-{seed}").absolute()))
    worlds = {"reality": reality(), "declared": None}
    judged = {where: _success(folder, world, study.episodes) for where, world in worlds.items()}
    return {"condition": condition, "seed": seed, "steps": study.steps, "episodes": study.episodes} | judged


def _train(folder: Path, steps: int, seed: int, **given: Any) -> None:
    """Trains a policy on one core, or goes on where it stopped."""
    train_to_end(Train(TASK, steps, seed, folder, threads=1, **given))


def _success(folder: Path, world: Randomization | None, episodes: int) -> float | None:
    env = GymVecEnv(make_vec(TASK, 64, threads=1, randomize=world))
    report = evaluate(NetworkAgent(load_policy(folder / "policy"), deterministic=True), env, episodes)
    env.close()
    return report.success


def show(rows: list[Row]) -> None:
    """Prints success by condition, and how much of the way from nominal to oracle each goes."""
    by = by_condition(rows, CONDITIONS)
    lines = [
        [
            name,
            str(len(mine)),
            *(mean_and_error([row[where] for row in mine]) for where in ("reality", "declared")),
            _share_of_gap(by, name),
        ]
        for name, mine in by.items()
        if mine
    ]
    columns = ("trained under", "seeds", "on the true robot", "on the declared robot", "of the gap closed")
    print_table("success ± standard error over seeds; of the gap, with 95 % interval", columns, lines)


def _share_of_gap(by: dict[str, list[Row]], name: str, draws: int = 10_000) -> str:
    """How far `name` comes from nominal to oracle, bootstrapped over seeds and episodes."""
    if name not in ("uniform", "fitted") or not (by["nominal"] and by["oracle"]):
        return ""
    rng = np.random.default_rng(0)

    def resampled(condition: str) -> NDArray:
        chosen = rng.integers(0, len(by[condition]), (draws, len(by[condition])))
        success = np.array([row["reality"] for row in by[condition]])[chosen]
        return rng.binomial(by[condition][0]["episodes"], success).mean(axis=1) / by[condition][0]["episodes"]

    low, middle, high = (np.mean([row["reality"] for row in by[c]]) for c in ("nominal", name, "oracle"))
    nominal, mine, oracle = (resampled(c) for c in ("nominal", name, "oracle"))
    gap = oracle - nominal
    ends = np.quantile((mine - nominal)[gap != 0] / gap[gap != 0], [0.025, 0.975])
    return f"{(middle - low) / (high - low):.0%} ({ends[0]:.0%}–{ends[1]:.0%})"
