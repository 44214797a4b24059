"""Seeds run as Ray tasks, and a worker that is killed costs no more than what came after its last checkpoint."""

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from embodied.nn.checkpoint import load_json

ray = pytest.importorskip("ray")

from embodied.nn.config import NetworkConfig  # noqa: E402
from embodied_scripts.cli.train import MANY_WORLDS, Train  # noqa: E402
from embodied_scripts.resuming import settings_as_json  # noqa: E402
from embodied_scripts.training.cluster import train_everywhere  # noqa: E402

STEPS = 8 * 16 * 45


def kill_the_worker_of(folder: Path, killed: list[int]) -> None:
    """Waits until a training has saved a checkpoint on its way, and kills the process that makes it."""
    card = folder / "policy" / "trainer.json"
    while not killed:
        time.sleep(0.05)
        if card.exists() and load_json(card)["num_timesteps"] > 0:
            for process in Path("/proc").iterdir():
                line = process / "cmdline"
                if process.name.isdigit() and line.exists() and b"ray::train_or_go_on" in line.read_bytes():
                    os.kill(int(process.name), signal.SIGKILL)
                    killed.append(int(process.name))
                    return


@pytest.mark.slow
def test_two_workers_train_two_seeds_and_one_that_is_killed_goes_on(tmp_path):
    small = {
        "steps": STEPS,
        "n_envs": 8,
        "ppo": replace(MANY_WORLDS, n_steps=16),
        "network": NetworkConfig(layers=1, width=32),
        "threads": 1,
    }
    jobs = [
        settings_as_json(Train(id="embodied/Signpost-v0", seed=seed, **small))
        | {"run_dir": str(tmp_path / f"seed-{seed}")}
        for seed in range(2)
    ]
    killed: list[int] = []
    killer = threading.Thread(target=kill_the_worker_of, args=(tmp_path / "seed-0", killed), daemon=True)
    killer.start()
    results = dict(train_everywhere(jobs, "local", threads=1))
    assert killed
    assert results == {tmp_path / "seed-0": None, tmp_path / "seed-1": None}
    for seed in range(2):
        assert load_json(tmp_path / f"seed-{seed}" / "policy" / "trainer.json")["num_timesteps"] >= STEPS
