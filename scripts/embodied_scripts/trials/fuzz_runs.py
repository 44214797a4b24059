"""What a training leaves behind, to be damaged: checkpoints, runs, leagues, demonstrations, fits, datasheets, options.

A damaged file takes the place of the sound one in a folder that is sound otherwise. Hashes are left out of the card, so
that what is read is looked at, and not only refused.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import embodied_assets as assets
from embodied.learn.cloning import Demonstrations
from embodied.learn.ppo import SequencePPO
from embodied.learn.run import RunFolder
from embodied.nn.checkpoint import describe_space, load_json, save_json
from embodied.nn.policy import load_policy
from embodied.randomization import Randomization, RandomizationTerm, Uniform
from embodied.robot.datasheet import read_bus_servo, read_gear_motor
from embodied.selfplay.payoffs import Payoffs
from embodied.selfplay.population import Population
from embodied.sysid import Fit
from embodied.sysid.readers.mapping import read_map
from embodied_scripts.cli.league import TrainLeague
from embodied_scripts.cli.options import options_in
from embodied_scripts.cli.train import Train
from embodied_scripts.leagues import saved_league
from embodied_scripts.resuming import settings_as_json
from embodied_scripts.training.run import from_jsonable

Read = Callable[[Path], Any]
PLACES = {"league-run.json": "league/run.json"}
MAP = b'[time]\ncolumn = "t"\nunit = "ms"\n[command]\ncolumns = ["u"]\nunit = "rad"\n[signals.q]\ncolumns = ["q"]\n'
OPTIONS = b'seed = 3\nn_envs = 8\nprevious = ["action"]\n[ppo]\ngamma = 0.9\nn_steps = 16\n[network]\nwidth = 32\n'


def sound_files() -> dict[str, Callable[[], bytes]]:
    """Sound files by kind."""
    return {f".{name}": partial(_sound, name) for name in _readers()}


def _sound(name: str) -> bytes:
    return _place(name).read_bytes()


def _place(name: str) -> Path:
    """Where a file of that name is: a league's run.json in a folder of its own."""
    return _folder() / PLACES.get(name, name)


def read_damaged(file: Path, kind: str) -> None:
    """Reads a damaged file of a kind, in the place of a sound one."""
    place = _place(kind.removeprefix("."))
    kept = place.read_bytes()
    try:
        shutil.copyfile(file, place)
        _readers()[kind.removeprefix(".")](place)
    finally:
        place.write_bytes(kept)


@cache
def _readers() -> dict[str, Read]:
    resumed = lambda path: _model().resume(path.parent)  # noqa: E731
    return {
        "policy.json": lambda path: load_policy(path.parent),
        "policy.safetensors": lambda path: load_policy(path.parent),
        "trainer.json": resumed,
        "trainer.safetensors": resumed,
        "worlds.safetensors": resumed,
        "run.json": lambda path: from_jsonable(RunFolder(path.parent).settings(), str(path.parent)),
        "league-run.json": lambda path: saved_league(path.parent),
        "league.json": lambda path: Population(path.parent, writable=False),
        "payoffs.json": lambda path: Payoffs(path, writable=False).table([]),
        "demonstrations.json": lambda path: Demonstrations.load(path.parent).check(_model().policy),
        "steps.safetensors": lambda path: Demonstrations.load(path.parent).check(_model().policy),
        "fit.json": lambda path: Fit.from_jsonable(load_json(path)).interval,
        "randomization.json": Randomization.load,
        "motor.toml": read_gear_motor,
        "servo.toml": read_bus_servo,
        "map.toml": read_map,
        "options.toml": lambda path: options_in(Train, path),
    }


@cache
def _model() -> SequencePPO:
    torch.set_num_threads(1)
    return SequencePPO("MlpPolicy", "embodied/Signpost-v0", n_envs=2, n_steps=4, minibatches=1, n_epochs=1, seed=0,
                       policy_kwargs={"layers": 1, "width": 8})  # fmt: skip


@cache
def _folder() -> Path:
    """A folder that holds a sound file of every kind, for as long as the process lives."""
    folder = Path(tempfile.mkdtemp(prefix="embodied-fuzz-"))
    _model().learn(8)
    _model().save(folder)
    save_json(folder / "policy.json", {k: v for k, v in load_json(folder / "policy.json").items() if k != "files"})
    save_json(folder / "run.json", {"settings": settings_as_json(Train("CartPole-v1", options=("a=1",)))})
    (folder / "league").mkdir()
    save_json(folder / "league" / "run.json", {"settings": settings_as_json(TrainLeague("Sumo-v0"))})
    Population(folder).add_anchors(["random", "scripted"])
    save_json(folder / "payoffs.json", {"a": {"b": 0.5}, "b": {}})
    _demonstrations().save(folder)
    (folder / "fit.json").write_text(json.dumps(_fit().jsonable()))
    terms = (RandomizationTerm("body_mass[arm]", Uniform(0.8, 1.2), "scale"),)
    Randomization(terms).save(folder / "randomization.json")
    shutil.copy(assets.datasheet_path("pololu_25d_47_hp12"), folder / "motor.toml")
    shutil.copy(assets.datasheet_path("sts3215"), folder / "servo.toml")
    (folder / "map.toml").write_bytes(MAP)
    (folder / "options.toml").write_bytes(OPTIONS)
    return folder


def _demonstrations() -> Demonstrations:
    policy = _model().policy
    spaces = {f"{name}_space": describe_space(getattr(policy, f"{name}_space")) for name in ("observation", "action")}
    rows, obs = np.zeros(6, np.float32), np.zeros((6, policy.codec.size), np.float32)
    first = np.array([1, 0, 0, 1, 0, 0], bool)
    steps = {"obs": obs, "action": np.zeros((6, 3), np.float32), "first": first, "reward": rows}
    return Demonstrations(
        {"env": {"id": "embodied/Signpost-v0"}, **spaces}, steps | {"shaping": rows.copy()}, np.array([True, False])
    )


def _fit() -> Fit:
    ones = np.ones(2)
    return Fit(("a", "b"), (("a",), ("b",)), ones, np.eye(2), ones, 0 * ones, 2 * ones, 9, np.ones((1, 2, 1)), ("j",))
