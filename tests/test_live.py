"""Watching a policy learn: what is shown, that showing changes nothing, and that training outlives its viewer."""

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

pytest.importorskip("rerun")

from embodied.errors import OptionError
from embodied_scripts.train import Train, train_one

RERUN = Path(sys.executable).with_name("rerun")
SHORT = {"steps": 1_600, "worlds": 8, "rollout": 16, "threads": 1, "options": ("episode_s=1.0",)}


def trained(folder: Path, **given) -> dict[str, np.ndarray]:
    """The weights of a short training."""
    assert train_one(Train("embodied/Signpost-v0", run_dir=folder, **SHORT | given))
    return load_file(folder / "policy" / "policy.safetensors")


@pytest.fixture(scope="module")
def unseen(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("unseen"))


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def test_a_training_shows_a_world_what_its_policy_believes_and_its_curves_and_learns_the_same(unseen, tmp_path):
    file = tmp_path / "live.rrd"
    assert same(trained(tmp_path / "run", view=str(file), view_every=0.0), unseen)
    printed = subprocess.run([RERUN, "rrd", "print", "-vvv", file], capture_output=True, text=True, check=True).stdout
    streams = ("/world/robot/chassis", "/camera/line", "/belief/agent/red", "/belief/observer/red", "/attention/heads")
    curves = ("/curves/return/return", "/curves/critic/value_loss", "/curves/speed/steps_per_second")
    for part in (*streams, *curves, "good_pad is", "failure, return"):
        assert part in printed, part


def test_environments_of_others_show_their_scene_or_at_least_their_curves(tmp_path):
    for env_id, scene in (("Hopper-v5", True), ("CartPole-v1", False)):
        file = tmp_path / f"{env_id}.rrd"
        small = {"steps": 2_000, "worlds": 4, "rollout": 64, "threads": 1, "core": "mlp"}
        assert train_one(Train(env_id, run_dir=tmp_path / env_id, view=str(file), view_every=0.0, **small))
        printed = subprocess.run([RERUN, "rrd", "print", file], capture_output=True, text=True, check=True).stdout
        assert ("/world/torso/thigh/leg/foot" in printed) == scene
        assert "/curves/return/return" in printed
        assert "/actions/action_0" in printed or "/actions/action\\ 0" in printed


def close_when_training(viewer: subprocess.Popen, metrics: Path, lines: int) -> None:
    """Kills the viewer once the training has written so many lines."""
    while viewer.poll() is None:
        if metrics.exists() and metrics.read_text().count("\n") >= lines:
            viewer.kill()
        time.sleep(0.005)


def test_closing_the_viewer_does_not_stop_the_training_nor_change_it(unseen, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    viewer = subprocess.Popen([RERUN, "--serve-grpc", "--port", str(port)], stderr=subprocess.DEVNULL)
    metrics = tmp_path / "run" / "metrics.jsonl"
    closing = threading.Thread(target=close_when_training, args=(viewer, metrics, 4), daemon=True)
    try:
        time.sleep(2)
        assert viewer.poll() is None, "the viewer did not start"
        closing.start()
        weights = trained(tmp_path / "run", view=f"rerun+http://127.0.0.1:{port}/proxy", view_every=0.0)
        assert viewer.poll() is not None, "the training was over before the viewer was closed"
    finally:
        viewer.kill()
        viewer.wait()
    assert same(weights, unseen)
    assert metrics.read_text().count("\n") > 8


def test_a_view_that_leads_nowhere_is_an_error_before_anything_is_trained(tmp_path):
    with pytest.raises(OptionError, match="live, web"):
        train_one(Train("embodied/Signpost-v0", run_dir=tmp_path / "run", view="movie.mp4", **SHORT))
