"""What randomization is worth on an arm with a body that nobody declared: policies judged on twins, over their bus."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embodied.deploy.clock import SteppedClock
from embodied.deploy.motion import gentle_motion, record_motion
from embodied.deploy.twin.body import BodyTruth, TwinBody
from embodied.deploy.twin.direct import DirectBus
from embodied.deploy.twin.mystery import mystery
from embodied.errors import OptionError
from embodied.physics.threads import default_threads
from embodied.randomization.distributions import Choice, Uniform
from embodied.randomization.spec import Randomization, RandomizationTerm
from embodied.robot.actuators.spec import Servo
from embodied.sysid import Recording
from embodied_envs.arm.so101 import HAND_MASS, SUPPLY, TERMS, so101
from embodied_envs.arm.tabletop import table
from embodied_scripts.cli.study_arm import ArmTransfer
from embodied_scripts.deploying.identifying import CHARGE, HEAVIER, fitted_randomization, identify_servos
from embodied_scripts.deploying.players import player_of
from embodied_scripts.deploying.refining import train_on
from embodied_scripts.deploying.robots import UPRIGHT, so101_arm
from embodied_scripts.deploying.twins import TwinOptions, make_servos
from embodied_scripts.studies.deployment.strange_bodies import on_twin
from embodied_scripts.studies.results import Row, by_condition, gather, mean_and_error, print_table, rows_so_far

SHARED, OWN = ("declared", "guessed"), ("fitted", "truth")  # one policy for all bodies, and one for each
CONDITIONS = (*SHARED, *OWN)
HZ, MOTIONS = 50.0, 2


def guess() -> Randomization:
    """What somebody would try who knows the data sheet and has no recording."""
    double = ("stiffness", "dof_damping", "dof_frictionloss", "dof_armature")
    terms = [RandomizationTerm(TERMS[name], Uniform(0.5, 2.0)) for name in double]
    terms.append(RandomizationTerm(TERMS["latency_s"], Uniform(0.0, 0.04), "set"))
    terms.append(RandomizationTerm(TERMS["load_friction"], Uniform(0.0, 0.5), "set"))
    terms.append(RandomizationTerm(TERMS["back_load_friction"], Uniform(0.0, 0.8), "set"))
    terms.append(RandomizationTerm(HAND_MASS, Uniform(*HEAVIER), "add"))
    terms.append(RandomizationTerm(CHARGE, Uniform(0.0, 1.0), "set"))
    return Randomization(tuple(terms))


def truth(seed: int) -> Randomization:
    """The body of a twin, as far as the simulated arm has it: without play, a soft mount and homing errors."""
    robot = so101(HZ)
    body = mystery(TwinBody(table(), robot, BodyTruth.of(robot)), seed)
    charge = float(np.interp(body.supply, SUPPLY, (0.0, 1.0)))
    terms = [RandomizationTerm(HAND_MASS, Choice((body.payload,)), "add")]
    terms.append(RandomizationTerm(CHARGE, Choice((charge,)), "set"))
    duty = np.asarray(body.duty_per_count)
    for j, actuator in enumerate(robot.actuators):
        assert isinstance(actuator, Servo)
        of_joint = {
            "stiffness": duty[j] * actuator.servo.gain / actuator.servo.count,
            "dof_damping": np.asarray(body.viscous)[j],
            "dof_frictionloss": np.asarray(body.friction)[j],
            "dof_armature": np.asarray(body.armature)[j],
            "latency_s": body.latency_s,
            "load_friction": np.asarray(body.load_friction)[j],
            "back_load_friction": np.asarray(body.back_load_friction)[j],
        }
        for name, value in of_joint.items():
            own = TERMS[name].replace("*_servo", actuator.name)
            terms.append(RandomizationTerm(own, Choice((float(value),)), "set"))
    return Randomization(tuple(terms))


def record_twin(seed: int, seconds: float, motions: int = MOTIONS) -> list[Recording]:
    """Gentle motions of a twin, over its bus."""
    bus, _ = make_servos(TwinOptions(mystery=seed))
    clock = SteppedClock(bus)
    bus.firmware.body.place(UPRIGHT)
    bus.firmware.rest()
    arm = so101_arm("simulated", opened=lambda: DirectBus(bus), now=clock.now)
    arm.connect()
    plans = [gentle_motion(arm.limits, UPRIGHT, seconds, HZ, seed=k) for k in range(motions)]
    return [record_motion(arm, plan, HZ, clock=clock)[0] for plan in plans]


def transfer(asked: ArmTransfer) -> None:
    """Records, fits, trains and judges what is missing, and prints the table."""
    if min(asked.twins, asked.steps, asked.episodes) < 1 or not asked.seconds > 1 or asked.jobs < 0:
        raise OptionError("twins, steps and episodes must be positive, and motions longer than a second")
    asked.out.mkdir(parents=True, exist_ok=True)
    guess().save(asked.out / "guessed.json")
    path = asked.out / "table.jsonl"
    wanted = [(name, seed) for seed in range(asked.twins) for name in CONDITIONS]
    rows, missing = rows_so_far(path, asked.steps, asked.episodes, wanted)
    with ProcessPoolExecutor(asked.jobs or default_threads(), get_context("spawn")) as pool:
        shared = {name for name, _ in missing if name in SHARED}
        own = {seed for name, seed in missing if name in OWN}
        trainings = [pool.submit(_train, asked, name, None) for name in sorted(shared)]
        declarations = [pool.submit(_declare, asked, seed) for seed in sorted(own)]
        for one in (*trainings, *declarations):
            one.result()
        rows += gather(path, [pool.submit(partial(_row, asked), *one) for one in missing])
    show(rows)


def _declare(asked: ArmTransfer, seed: int) -> Path:
    """Writes what policies of one body train under, and returns where its fit's is, which is made once."""
    truth(seed).save(asked.out / f"truth-{seed}.json")
    fitted = asked.out / f"fitted-{seed}.json"
    if not fitted.exists():
        recordings = record_twin(seed, asked.seconds)
        found = identify_servos(recordings)
        (asked.out / f"fit-{seed}.json").write_text(json.dumps(found.jsonable(), indent=1))
        fitted_randomization(found, recordings).save(fitted)
    return fitted


def _train(asked: ArmTransfer, condition: str, seed: int | None) -> Path:
    """Goes on with the policy that comes with the task under what a condition says; returns the folder."""
    folder = asked.out / (condition if seed is None else f"{condition}-{seed}")
    randomize = None if condition == "declared" else folder.with_suffix(".json")
    return train_on(asked.task, folder, asked.steps, randomize, threads=1)


def _row(asked: ArmTransfer, condition: str, seed: int) -> Row:
    """Trains a policy, if it is this body's own, and judges it on the twin; runs in a process of its own."""
    folder = _train(asked, condition, None if condition in SHARED else seed)
    judged = on_twin(player_of(str(folder)), seed, asked.episodes)
    row = {"condition": condition, "seed": seed, "steps": asked.steps, "episodes": asked.episodes}
    return row | {"success": judged["successes"] / asked.episodes, "ended": sorted(set(judged["troubles"]))}


def show(rows: list[Row]) -> None:
    """Prints success by body and condition, and how near to the truth each condition comes."""
    by = {name: mine for name, mine in by_condition(rows, CONDITIONS).items() if mine}
    seeds = sorted({row["seed"] for row in rows})
    lines = []
    for name, mine in by.items():
        each = {row["seed"]: f"{row['success']:.0%}" for row in mine}
        share = _share(mine, by.get("truth", []))
        lines.append(
            [name, *(each.get(seed, "") for seed in seeds), mean_and_error([row["success"] for row in mine]), share]
        )
    columns = ("trained under", *(f"body {seed}" for seed in seeds), "all", "of the truth's (95 %)")
    print_table("success on twins; standard error over bodies", columns, lines)


def _share(mine: list[Row], best: list[Row], draws: int = 10_000) -> str:
    """Success as a share of that of policies trained on the truth, bootstrapped over bodies and episodes."""
    both = sorted({row["seed"] for row in mine} & {row["seed"] for row in best})
    if not both:
        return ""
    rng = np.random.default_rng(0)
    chosen = rng.integers(0, len(both), (draws, len(both)))

    def resampled(rows: list[Row]) -> NDArray[np.float64]:
        success = {row["seed"]: row["success"] for row in rows}
        episodes = rows[0]["episodes"]
        return rng.binomial(episodes, np.array([success[seed] for seed in both])[chosen]).mean(axis=1) / episodes

    a, b = (np.mean([row["success"] for row in rows if row["seed"] in both]) for rows in (mine, best))
    low, high = np.quantile(resampled(mine) / np.maximum(resampled(best), 1e-9), [0.025, 0.975])
    return f"{a / b:.2f} ({low:.2f} to {high:.2f})" if b else ""
