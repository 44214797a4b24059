"""Watching a policy learn: what is shown, that showing changes nothing, and that training outlives its viewer."""

import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

pytest.importorskip("rerun")

from embodied.errors import OptionError
from embodied.nn.config import NetworkConfig
from embodied.view.frames import Picture, Player, RayFrame, Sensed, Trace
from embodied.view.sink import SCREENS, check_destination, rerun_binary
from embodied.view.stream import Stream, _pixels
from embodied_scripts.bench.view import viewer
from embodied_scripts.cli.train import MANY_WORLDS, Train
from embodied_scripts.training.run import train_one

RERUN = Path(sys.executable).with_name("rerun")
SHORT = {
    "steps": 1_600,
    "n_envs": 8,
    "ppo": replace(MANY_WORLDS, n_steps=16),
    "threads": 1,
    "options": ("episode_s=1.0",),
}


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
        small = {"steps": 2_000, "n_envs": 4, "threads": 1, "network": NetworkConfig("MlpPolicy")}
        assert train_one(Train(env_id, run_dir=tmp_path / env_id, view=str(file), view_every=0.0, **small))
        printed = subprocess.run([RERUN, "rrd", "print", file], capture_output=True, text=True, check=True).stdout
        assert ("/world/torso/thigh/leg/foot" in printed) == scene
        assert "/curves/return/return" in printed
        assert "/actions/action_0" in printed


def close_when_training(viewer: subprocess.Popen, metrics: Path, lines: int) -> None:
    """Kills the viewer once the training has written so many lines."""
    while viewer.poll() is None:
        if metrics.exists() and metrics.read_text().count("\n") >= lines:
            viewer.kill()
        time.sleep(0.005)


def test_closing_the_viewer_does_not_stop_the_training_nor_change_it(unseen, tmp_path):
    metrics = tmp_path / "run" / "metrics.jsonl"
    with viewer() as (address, process):
        closing = threading.Thread(target=close_when_training, args=(process, metrics, 4), daemon=True)
        closing.start()
        with pytest.warns(UserWarning, match="the viewer did not take everything"):
            weights = trained(tmp_path / "run", view=address, view_every=0.0)
        assert process.poll() is not None, "the training was over before the viewer was closed"
    assert same(weights, unseen)
    assert metrics.read_text().count("\n") > 8


def test_a_view_that_leads_nowhere_is_an_error_before_anything_is_trained(tmp_path):
    with pytest.raises(OptionError, match="live, web"):
        train_one(Train("embodied/Signpost-v0", run_dir=tmp_path / "run", view="movie.mp4", **SHORT))
    assert not (tmp_path / "run").exists()


def test_a_window_is_refused_where_there_is_no_screen_and_opened_by_reruns_own_program_where_there_is(monkeypatch):
    for name in SCREENS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(OptionError, match="needs a screen"):
        check_destination("live")
    monkeypatch.setenv(SCREENS[0], ":0")
    check_destination("live")
    assert subprocess.run([rerun_binary(), "--version"], capture_output=True, check=True).stdout.startswith(b"rerun")


def test_what_is_recalled_beside_the_senses_does_not_disturb_the_view(tmp_path):
    file = tmp_path / "live.rrd"
    trained(tmp_path / "run", previous=("action", "reward"), view=str(file), view_every=0.0)
    printed = subprocess.run([RERUN, "rrd", "print", file], capture_output=True, text=True, check=True).stdout
    for part in ("/world/robot/chassis", "/camera/line", "/belief/agent/red", "/belief/observer/red"):
        assert part in printed, part


def test_a_task_of_somebody_elses_shows_what_its_policy_believes(tmp_path):
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
    import own_task

    own_task.register()
    file = tmp_path / "live.rrd"
    small = {"steps": 2_000, "n_envs": 4, "threads": 1, "options": ("episode_s=1.0",)}
    assert train_one(Train("mine/Knock-v0", run_dir=tmp_path / "run", view=str(file), view_every=0.0, **small))
    printed = subprocess.run([RERUN, "rrd", "print", file], capture_output=True, text=True, check=True).stdout
    assert "/belief/agent/left" in printed


def test_every_sensor_is_shown_in_its_own_form(tmp_path):
    obs = np.linspace(0, 1, 4 * 3 * 3 + 4 * 3 + 2).astype(np.float32)
    pictures = (Picture("eye", slice(0, 36), 3, 4), Picture("depth", slice(36, 48), 3, 4, far=2.0))
    player = Player("", ("push",), ("wall",), ("ring",), pictures, (Trace("gyro", "rad/s", slice(48, 50)),))
    beams = RayFrame(np.zeros(3), np.eye(3), np.ones(3), np.zeros(3, int))
    file = tmp_path / "senses.rrd"
    stream = Stream(str(file), None, "senses", [player])
    stream.step(0.0, None, [Sensed(obs, beams, (beams,))], [np.zeros(1)], None, None, 0.0)
    stream.close()
    printed = subprocess.run([RERUN, "rrd", "print", "-vvv", file], capture_output=True, text=True, check=True).stdout
    for part in ("/world/rays", "/world/rays/ring", "/camera/line", "/pictures/eye", "/sensors/gyro", "/actions/push"):
        assert part in printed, part


def test_near_things_are_bright_in_a_picture_of_distances():
    near, far = _pixels(Picture("depth", slice(0, 2), 1, 2, far=2.0), np.array([0.5, 2.0]))[0]
    assert near.tolist() == [191.25] * 3
    assert far.tolist() == [0.0] * 3
