"""Robots that somebody leads, and their runs as LeRobot's datasets."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from arms import POSTURE, arm_on, servos
from safetensors import safe_open

import embodied_envs  # noqa: F401
from embodied.deploy.dataset import LeRobotFolder
from embodied.deploy.leading import Keyboard, Leader, Remembered
from embodied.deploy.loop import Loop
from embodied.errors import OptionError, RecordingError
from embodied.learn.cloning import Demonstrations
from embodied.nn.checkpoint import read_card
from embodied.sysid.recording import Recording
from embodied_envs.arm.so101 import JOINTS, control_of
from embodied_scripts.cli.main import main
from embodied_scripts.deploying.keys import Keys
from embodied_scripts.deploying.twins import TwinProcess

CONTRACT = gym.make_vec("embodied/Feel-v0", num_envs=1).unwrapped.embodied_extras.contract


@pytest.mark.parametrize("action", ["targets", "velocities"])
def test_an_action_for_targets_means_those_targets(action: str) -> None:
    control = control_of(action, 0.1)
    control.bind(1)
    control.begin(np.zeros(1, np.intp), POSTURE[None])
    wanted = POSTURE[None] + np.array([0.05, -0.08, 0.02, -0.1, 0.15, -0.2])
    assert control.targets(control.actions(wanted)) == pytest.approx(wanted)
    assert np.abs(control.actions(wanted + 9)).max() == 1.0


def test_moves_of_a_hand_are_no_actions_of_joints() -> None:
    with pytest.raises(OptionError, match="choose targets or velocities"):
        control_of("hand", 0.1).actions(POSTURE[None])


@pytest.mark.parametrize("action", ["targets", "velocities"])
def test_a_robot_does_what_its_leader_is_made_to_do_no_faster_than_it_may(action: str) -> None:
    hand, bus = servos(), servos()
    second, _ = arm_on(hand)
    robot, clock = arm_on(bus)
    second.connect()
    robot.connect()
    control = control_of(action, 0.1)
    agent = Remembered(Leader(second, control))
    loop = Loop(robot, agent, CONTRACT, control, POSTURE, clock=clock)
    there = POSTURE + np.array([0.3, 0.2, -0.25, -0.2, 0.4, 0.3])
    told = []

    def watch(entry: dict) -> None:
        hand.firmware.body.place(POSTURE + (there - POSTURE) * min(len(told) / 10, 1.0))
        told.append(loop.told.copy())

    loop.watch = watch
    report = loop.run(4.0)
    assert not report.emergency
    assert loop.told == pytest.approx(there, abs=0.01)  # a hand's encoders count in steps of 1.5 mrad
    assert np.abs(np.diff(told, axis=0)).max() <= 0.1 * robot.limits.speed[0] + 1e-9
    assert len(agent.rows) == len(agent.actions) == report.decisions
    assert np.abs(robot.read().values["angle"] - there).max() < 0.12


def test_a_leader_that_is_gone_ends_the_run() -> None:
    hand, bus = servos(), servos()
    second, _ = arm_on(hand)
    robot, clock = arm_on(bus)
    second.connect()
    robot.connect()
    control = control_of("velocities", 0.1)
    loop = Loop(robot, Leader(second, control), CONTRACT, control, POSTURE, clock=clock)
    loop.watch = lambda entry: hand.firmware.kill(3) if loop.decided_s > 0.95 else None
    report = loop.run(10.0)
    assert report.emergency
    assert "the leader is gone" in report.ended
    assert report.decisions < 16
    assert report.safe == "holds where it is"


def test_keys_move_joints_up_and_down() -> None:
    pressed = [["q"], ["a", "h"], ["?"], []]
    keyboard = Keyboard(lambda: pressed.pop(0), 6)
    acts = [keyboard.act(None, None, np.zeros(1, bool))[1][0].tolist() for _ in range(4)]
    assert acts == [[0.5, 0, 0, 0, 0, 0], [-0.5, 0, 0, 0, 0, -0.5], [0] * 6, [0] * 6]


def test_a_leader_of_other_joints_is_refused() -> None:
    arm, _ = arm_on(servos())
    arm.connect()
    arm.joints = ("a", "b")
    with pytest.raises(OptionError, match="has the joints a, b, not shoulder_pan"):
        Leader(arm, control_of("targets", 0.1))


def run_of(frames: int, seed: int) -> Recording:
    rng = np.random.default_rng(seed)
    command = rng.normal(0.3, 0.5, (frames, 6))
    return Recording(np.arange(frames) / 10, command, {"angle": command + rng.normal(0.1, 0.02, (frames, 6))})


def test_runs_come_back_from_a_lerobot_dataset_in_degrees_with_their_tasks(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    runs = [run_of(frames, seed) for seed, frames in enumerate((30, 50, 20))]
    for run, task in zip(runs, ("pick", "press", "pick"), strict=True):
        LeRobotFolder(tmp_path, 10.0, JOINTS, "so101_follower").add(run, task)
    back = Recording.load_all(tmp_path, "lerobot")
    assert [len(one) for one in back] == [30, 50, 20]
    for run, one in zip(runs, back, strict=True):
        assert one.command == pytest.approx(np.degrees(run.command), rel=1e-5)
        assert one.signal("position") == pytest.approx(np.degrees(run.signal("angle")), rel=1e-5)
    info = json.loads((tmp_path / "meta" / "info.json").read_text())
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (3, 100, 2)
    stats = json.loads((tmp_path / "meta" / "stats.json").read_text())["action"]
    whole = np.degrees(np.concatenate([run.command for run in runs]))
    for name in ("mean", "std", "min", "max"):
        assert stats[name] == pytest.approx(getattr(whole, name)(axis=0), rel=1e-4)
    tasks = pq.read_table(tmp_path / "meta" / "tasks.parquet").to_pylist()
    assert tasks == [
        {"task_index": 0, "__index_level_0__": "pick"},
        {"task_index": 1, "__index_level_0__": "press"},
    ]
    episodes = pq.read_table(tmp_path / "meta" / "episodes" / "chunk-000" / "file-001.parquet").to_pylist()[0]
    assert (episodes["dataset_from_index"], episodes["dataset_to_index"], episodes["tasks"]) == (30, 80, ["press"])
    rows = pq.read_table(tmp_path / "data" / "chunk-000" / "file-002.parquet").to_pydict()
    assert rows["index"] == list(range(80, 100))
    assert set(rows["task_index"]) == {0}


def test_what_was_interrupted_is_counted_again(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    runs, path = [run_of(frames, seed) for seed, frames in enumerate((20, 10, 30))], tmp_path / "meta" / "stats.json"
    folder = LeRobotFolder(tmp_path, 10.0, JOINTS, "so101_follower")
    folder.add(runs[0], "pick")
    before = path.read_text()
    folder.add(runs[1], "pick")
    path.write_text(before)  # somebody was killed between the two files
    LeRobotFolder(tmp_path, 10.0, JOINTS, "so101_follower").add(runs[2], "pick")
    stats = json.loads(path.read_text())["action"]
    whole = np.degrees(np.concatenate([run.command for run in runs]))
    assert stats["count"] == [60]
    assert stats["std"] == pytest.approx(whole.std(axis=0), rel=1e-4)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "a keyboard needs a terminal"),
        (["--leader", "x"], "x cannot lead itself"),
        (["--leader", "y", "--episodes", "0"], "an episode at least"),
    ],
)
def test_sessions_that_cannot_be_are_refused(more: list, said: str, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", open("/dev/null"))  # noqa: SIM115
    with pytest.raises(SystemExit):
        main(["teleoperate", "Feel-v0", str(tmp_path / "out"), "--port", "x", *more])
    assert said in capsys.readouterr().err


def test_keys_that_come_together_are_all_heard(monkeypatch) -> None:
    mine, theirs = os.openpty()
    heard: list[str] = []
    with os.fdopen(theirs, "r") as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        with Keys(heard.append) as keys:
            assert keys.listens
            os.write(mine, b"qq ")
            deadline = time.monotonic() + 5
            while len(heard) < 3 and time.monotonic() < deadline:
                time.sleep(0.01)
    assert heard == ["q", "q", " "]


def test_a_dataset_of_another_robot_or_rate_is_not_added_to(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    LeRobotFolder(tmp_path, 10.0, JOINTS, "so101_follower").add(run_of(5, 0), "pick")
    with pytest.raises(RecordingError, match="with fps 10, not 30"):
        LeRobotFolder(tmp_path, 30.0, JOINTS, "so101_follower")
    with pytest.raises(RecordingError, match="robot_type"):
        LeRobotFolder(tmp_path, 10.0, JOINTS, "koch")


@pytest.mark.slow
def test_what_somebody_leads_a_robot_through_is_kept_to_be_imitated(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", open("/dev/null"))  # noqa: SIM115
    out, data = tmp_path / "shown", tmp_path / "dataset"
    (tmp_path / "robot").mkdir()
    (tmp_path / "leader").mkdir()
    with TwinProcess(["so101"], tmp_path / "robot") as robot, TwinProcess(["so101"], tmp_path / "leader") as leader:
        asked = ["--port", robot.port, "--leader", leader.port, "--episodes", "2", "--seconds", "0.8"]
        main(["teleoperate", "Feel-v0", str(out), *asked, "--dataset", str(data)])
    shown = Demonstrations.load(out)
    assert len(shown) == 2
    assert shown.steps["obs"].shape[1] == CONTRACT.size
    assert shown.steps["first"].sum() == 2
    assert np.abs(shown.steps["action"]).max() <= 1
    assert len(LeRobotFolder(data, CONTRACT.control_hz, JOINTS, "so101_follower")) == 2
    assert "embodied train Feel-v0 --demonstrations" in capsys.readouterr().out
    train = ["train", "Feel-v0", "--demonstrations", str(out), "--steps", "128", "--n-envs", "2", "--threads", "1"]
    main([*train, "--run", str(tmp_path / "run"), "--cloning-epochs", "2"])
    card = read_card(tmp_path / "run" / "policy")
    assert card["contract"]["lineage"]["demonstrations"] == out.name
    assert (card["contract"]["lineage"]["seed"], card["contract"]["lineage"]["steps"]) == ("0", "128")
    with safe_open(tmp_path / "run" / "policy" / "policy.safetensors", "np") as weights:
        assert json.loads(weights.metadata()["contract"]) == card["contract"]
