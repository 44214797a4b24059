"""A checkpoint is there whole or not at all: after kills, on full disks, in folders that are gone or in use."""

import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import processes

from embodied.errors import CheckpointError
from embodied.learn import SequencePPO
from embodied.learn.run import RunFolder
from embodied.nn import generation
from embodied.nn.checkpoint import load_json, save_json
from embodied.nn.config import NetworkConfig
from embodied.nn.policy import load_policy
from embodied_policies import MlpPolicy
from embodied_scripts.cli.train import MANY_WORLDS, Train
from embodied_scripts.training import progress
from embodied_scripts.training.run import train_one

SMALL = {"n_envs": 2, "n_steps": 8, "minibatches": 1, "n_epochs": 1, "seed": 0}
SETTINGS = {
    "n_envs": 4,
    "ppo": replace(MANY_WORLDS, n_steps=8, n_epochs=1),
    "network": NetworkConfig("MlpPolicy", 1, 16),
    "threads": 1,
}


class Killed(BaseException):
    """What no handler catches."""


def trainer() -> SequencePPO:
    return SequencePPO(MlpPolicy, "embodied/Signpost-v0", **SMALL)


def whole(folder: Path) -> tuple[int, list[np.ndarray]]:
    """Of how many steps a checkpoint is, and its weights; fails if its files are of several."""
    model = trainer()
    model.resume(folder)
    return model.num_timesteps, [w.detach().numpy().copy() for w in load_policy(folder).parameters()]


def test_killed_anywhere_while_it_is_written_a_checkpoint_is_the_old_one_or_the_new_one(tmp_path, monkeypatch):
    model, old = trainer(), tmp_path / "old"
    model.learn(16)
    model.save(old)
    before = whole(old)
    model.learn(16, reset_num_timesteps=False)
    model.save(tmp_path / "new")
    after = whole(tmp_path / "new")
    assert (before[0], after[0]) == (16, 32)
    seen = []
    for nth in range(40):
        folder = tmp_path / f"{nth}"
        shutil.copytree(old, folder)
        calls = []
        original = Path.replace

        def dying(self, target, calls=calls, nth=nth, original=original):
            calls.append(target)
            if len(calls) - 1 == nth:
                raise Killed
            return original(self, target)

        monkeypatch.setattr(Path, "replace", dying)
        try:
            model.save(folder)
        except Killed:
            monkeypatch.undo()
        else:
            monkeypatch.undo()
            break
        steps, weights = whole(folder)
        wanted = before if steps == 16 else after
        assert all(np.array_equal(a, b) for a, b in zip(weights, wanted[1], strict=True))
        seen.append(steps)
        model.save(folder)  # and it can be gone on from
        assert whole(folder)[0] == 32
        assert not list(folder.glob("*.new"))
    assert seen == sorted(seen)
    assert {*seen} == {16, 32}


def test_files_of_different_checkpoints_do_not_pass_for_one(tmp_path):
    model = trainer()
    for name in ("a", "b"):
        model.learn(16, reset_num_timesteps=False)
        model.save(tmp_path / name)
    for file in ("policy.safetensors", "trainer.safetensors", "trainer.json", "worlds.safetensors"):
        shutil.copytree(tmp_path / "a", tmp_path / file)
        shutil.copy(tmp_path / "b" / file, tmp_path / file / file)
        with pytest.raises(CheckpointError, match=f"{file} is damaged: it is not what was saved"):
            whole(tmp_path / file)


def test_what_else_is_in_the_folder_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    trainer().save(tmp_path)
    trainer().save(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_full_disk_ends_in_one_line_and_leaves_the_last_checkpoint(tmp_path):
    model = trainer()
    model.save(tmp_path)
    model.learn(16)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(CheckpointError, match="cannot be written"):
            model.save(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert whole(tmp_path)[0] == 0


def test_weights_that_are_no_numbers_replace_nothing(tmp_path):
    model = trainer()
    model.save(tmp_path)
    with torch.no_grad():
        next(model.policy.parameters())[:] = torch.nan
    with pytest.raises(CheckpointError, match="holds numbers that are none"):
        model.save(tmp_path)
    assert whole(tmp_path)[0] == 0


def test_a_folder_is_trained_in_by_one_process_at_a_time(tmp_path):
    code = "import sys, time; from pathlib import Path; from embodied.learn.run import RunFolder\n"
    code += "with RunFolder(Path(sys.argv[1])).held(): print('held', flush=True); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(CheckpointError, match="is in use by another process"):
            train_one(Train("embodied/Signpost-v0", steps=32, run_dir=tmp_path, **SETTINGS))
    finally:
        other.kill()
        other.wait()
    with RunFolder(tmp_path).held():
        pass


def test_a_run_that_is_a_file_or_was_deleted_ends_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="file cannot be a run's folder"):
        train_one(Train("embodied/Signpost-v0", steps=32, run_dir=tmp_path / "file", **SETTINGS))
    folder = tmp_path / "run"

    class Deletes(progress.Checkpoints):
        def _on_rollout_start(self):
            shutil.rmtree(folder, ignore_errors=True)

    monkeypatch.setattr("embodied_scripts.training.run.Checkpoints", Deletes)
    with pytest.raises(CheckpointError, match="was deleted while it was trained in"):
        train_one(Train("embodied/Signpost-v0", steps=32, run_dir=folder, **SETTINGS))


@pytest.mark.parametrize(
    ("name", "change", "word"),
    [
        ("trainer.json", {"num_timesteps": -1}, r"trainer.json .*num_timesteps"),
        ("trainer.json", {"num_timesteps": 10**5000}, "damaged|num_timesteps"),
        ("trainer.json", {"settings": {"n_envs": 10**12, "previous": [], "seed": 0}}, r"settings.n_envs"),
        ("trainer.json", {"config": {"gamma": "x"}}, r"gamma"),
        ("policy.json", {"settings": {"width": 4096, "layers": 12}}, "does not fit its card"),
        ("policy.json", {"observation_space": {"kind": "Box", "shape": [10**9], "low": 0, "high": 1}}, "more than"),
        ("policy.json", {"privilege": {"state": 10**12, "hidden": []}}, r"privilege.state"),
        ("policy.json", {"env": {"id": "embodied/Signpost-v0", "options": {"model": "../evil.xml"}}}, "the path model"),
        ("policy.json", {"env": {"id": "x", "randomization": "/etc/passwd"}}, r"randomization"),
    ],
)
def test_cards_that_claim_what_cannot_be_are_refused_by_field(tmp_path, name, change, word):
    trainer().save(tmp_path)
    card = load_json(tmp_path / name)
    if name == "policy.json":
        change = {key: card[key] | value if key == "settings" else value for key, value in change.items()}
    try:
        save_json(tmp_path / name, card | change)
    except ValueError:
        (tmp_path / name).write_text('{"num_timesteps": ' + "9" * 5001 + "}")
    with pytest.raises(CheckpointError, match=word):
        SequencePPO.load(tmp_path)


def test_a_folder_names_no_module_to_import(tmp_path):
    from embodied_scripts.leagues import saved_league

    (tmp_path / "evil_game.py").write_text("import pathlib\npathlib.Path('ran').write_text('yes')")
    save_json(tmp_path / "run.json", {"settings": {"id": "evil_game.env", "network": {}}})
    with pytest.raises(CheckpointError, match="import it yourself"):
        saved_league(tmp_path)
    assert "evil_game" not in sys.modules


def train_in(folder: Path) -> None:
    """Trains in a process of its own, with a checkpoint after every update."""
    torch.set_num_threads(1)
    progress.UPDATES_BETWEEN_CHECKPOINTS = 1
    begun = (folder / "run.json").exists()
    train_one(Train("embodied/Signpost-v0", steps=320, run_dir=folder, resume=begun, **SETTINGS))


@pytest.mark.slow
def test_killed_again_and_again_a_training_ends_with_the_same_weights(tmp_path):
    def start(folder: Path) -> Any:
        process = processes.Process(target=train_in, args=(folder,))
        process.start()
        return process

    whole = start(tmp_path / "whole")
    whole.join()
    assert whole.exitcode == 0
    random, folder, last = np.random.default_rng(0), tmp_path / "killed", 0
    for _ in range(2):
        process, card, until = start(folder), folder / "policy" / "trainer.json", time.monotonic() + 60
        begun = load_json(card)["num_timesteps"] if card.exists() else 0
        while time.monotonic() < until and process.is_alive():
            if card.exists() and load_json(card)["num_timesteps"] >= min(begun + 96, 256):
                break
            time.sleep(0.01)
        time.sleep(0.05 * random.random())
        process.kill()
        process.join()
        now = whole_steps(folder / "policy")
        assert now >= last
        last = now
    process = start(folder)
    process.join()
    assert process.exitcode == 0
    for name, weight in load_policy(tmp_path / "whole" / "policy").state_dict().items():
        assert torch.equal(weight, load_policy(folder / "policy").state_dict()[name])


def whole_steps(folder: Path) -> int:
    """Of how many steps a checkpoint is, whose files all belong together."""
    load_policy(folder)
    names = ("trainer.json", "trainer.safetensors", "worlds.safetensors", "policy.safetensors")
    generation.verify(folder, names)
    return load_json(generation.current(folder, "trainer.json"))["num_timesteps"]
