"""The loop on a robot: rates, clamps, supervision, and safe states whatever goes wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import cv2
import gymnasium as gym
import numpy as np
import pytest
from arms import IDS, LIMITS, POSTURE, Script, arm_on, run_for, servos
from scipy.stats import ks_2samp

import embodied_envs  # noqa: F401
from embodied.contract import Contract
from embodied.deploy.clock import LogicalClock
from embodied.deploy.driver import JointLimits, Reading
from embodied.deploy.drivers.cameras import SeeingRobot, VideoCamera
from embodied.deploy.drivers.replay import ReplayedRobot
from embodied.deploy.drivers.servos import Calibration, ServoArm
from embodied.deploy.log import LogFile
from embodied.deploy.loop import Loop
from embodied.deploy.motion import gentle_motion, record_motion
from embodied.deploy.observing import RobotView
from embodied.deploy.priority import real_time_priority
from embodied.deploy.probe import probe
from embodied.deploy.registers import MIDDLE, RAD_PER_COUNT
from embodied.deploy.supervision import Supervision, Supervisor, way_to
from embodied.deploy.twin.bus import Bus, Faults
from embodied.deploy.twin.camera import TwinCamera
from embodied.deploy.workspace import Workspace
from embodied.errors import CheckpointError, DriverError, OptionError
from embodied.nn.onnx import export_onnx
from embodied.nn.onnx_agent import OnnxAgent
from embodied.nn.policy import load_policy
from embodied.physics.render import CameraRenderer
from embodied.randomization.spec import Randomization
from embodied.sysid.recording import Recording
from embodied_envs.arm.so101 import GRASP, JOINTS, arm_chain, control_of
from embodied_policies.trained import trained_folder
from embodied_scripts.cli.main import main
from embodied_scripts.deploying.players import player_of
from embodied_scripts.deploying.twins import TwinProcess

FEEL = gym.make_vec("embodied/Feel-v0", num_envs=1).unwrapped
CONTRACT: Contract = FEEL.embodied_extras.contract
PERIOD_S = 1 / CONTRACT.control_hz


def loop_on(bus: Bus, agent, action: str = "velocities", **more) -> Loop:
    arm, clock = arm_on(bus)
    arm.connect()
    return Loop(arm, agent, CONTRACT, control_of(action, PERIOD_S), clock=clock, **more)


def goals_of(bus: Bus) -> np.ndarray:
    """Everything that was written as a goal, `(writes, 6)` [rad]."""
    rows = [w for w in bus.written if "goal_position" in w.numbers]
    counts = np.array([w.numbers["goal_position"] for w in rows]).reshape(-1, len(IDS))
    return (counts - MIDDLE) * RAD_PER_COUNT


def still(bus: Bus) -> bool:
    """Whether the arm comes to rest."""
    run_for(bus, 0.5)
    before = bus.firmware.body.true_angles.copy()
    run_for(bus, 0.2)
    return bool(np.abs(bus.firmware.body.true_angles - before).max() < 0.01)


def wave(k: int) -> np.ndarray:
    return 0.4 * np.sin(0.3 * k + np.arange(6))


def test_actions_become_motion_at_the_rate_that_was_promised() -> None:
    bus = servos()
    report = loop_on(bus, Script(lambda k: np.array([0.5, 0, 0, 0, 0, 0]))).run(2.0)
    assert (report.decisions, report.missed, report.held) == (20, 0, 0)
    assert report.ended == "its time is over"
    assert not report.emergency
    assert goals_of(bus)[-3, 0] - POSTURE[0] == pytest.approx(0.5 * 1.0 * 2.0, abs=0.01)  # 0.5 of 1 rad/s for 2 s
    assert bus.firmware.body.true_angles[0] > POSTURE[0] + 0.8
    assert np.abs(goals_of(bus)[:, 1:] - POSTURE[1:]).max() < 0.03


def test_what_the_policy_sees_is_what_simulation_shows_in_the_same_state() -> None:
    bus = servos()
    agent = Script(wave)
    loop_on(bus, agent).run(1.0)
    assert agent.seen[0].shape == (CONTRACT.size,)
    layout = FEEL.layout
    assert agent.seen[0][layout.slice("angle")] == pytest.approx(POSTURE, abs=0.02)
    told = goals_of(bus)
    assert agent.seen[5][layout.slice("goal")] == pytest.approx(told[5], abs=0.002)  # one engages, then one a decision
    assert agent.seen[0][layout.slice("volts")] == pytest.approx([12.0], abs=0.11)


def test_no_target_outruns_the_limits_whatever_the_policy_wants() -> None:
    bus = servos()
    rng = np.random.default_rng(0)
    loop_on(bus, Script(lambda k: rng.choice([-1.0, 1.0], 6)), "targets").run(3.0)
    goals = goals_of(bus)
    assert (np.abs(goals) <= LIMITS.high + RAD_PER_COUNT).all()
    assert np.abs(np.diff(goals[1:-2], axis=0)).max() <= LIMITS.speed[0] * PERIOD_S + 2 * RAD_PER_COUNT
    assert np.abs(np.diff(goals[1:-2], axis=0)).max() > 0.9 * LIMITS.speed[0] * PERIOD_S  # it wanted more


def test_the_hand_is_not_told_to_leave_its_workspace_and_may_come_back() -> None:
    chain, low = arm_chain(GRASP), 0.12
    box = Workspace(chain, [-1.0, -1.0, low], [1.0, 1.0, 1.0])
    bus = servos()

    def down_and_up(k: int) -> np.ndarray:
        return np.array([0.3, 0.9, 0, 0, 0, 0.5]) if k < 30 else np.array([0, -0.9, 0, 0, 0, 0])

    def heights(workspace: Workspace | None) -> np.ndarray:
        bus = servos()
        loop_on(bus, Script(down_and_up), workspace=workspace).run(4.0)
        return chain.forward(goals_of(bus)[:-2, :5])[0][:, 2]  # without where it is held in the end

    free, kept = heights(None), heights(box)
    assert free.min() < 0.06
    assert kept.min() > low - 0.002  # goals are whole counts of the encoders
    assert kept[-1] > low + 0.02
    loop = loop_on(bus, Script(down_and_up), workspace=box)
    loop.run(2.0)
    assert loop.told[5] > POSTURE[5] + 0.5  # the fingers are not of the hand's way
    outside = np.array([0.0, 1.2, 0.0, 0.0, 0.0, 0.0])
    assert box.beyond(outside) > 0
    back = outside - np.array([0, 0.05, 0, 0, 0, 0])
    assert box.clamp(back, outside) is back
    with pytest.raises(OptionError, match="a workspace is a box"):
        Workspace(chain, [0, 0, 1], [1, 1, 0])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_action_that_is_no_number_is_never_written(bad: float) -> None:
    bus = servos()
    report = loop_on(bus, Script(lambda k: wave(k) if k < 7 else np.full(6, bad))).run(5.0)
    assert report.emergency
    assert "no number" in report.ended
    assert report.decisions == 7
    assert report.safe == "holds where it is"
    assert still(bus)


def test_a_dead_servo_ends_the_run_and_the_others_hold() -> None:
    bus = servos(Faults(dies_s={3: 1.0}))
    report = loop_on(bus, Script(wave)).run(5.0)
    assert report.emergency
    assert "nothing has been read" in report.ended
    assert report.held >= 2
    assert bus.firmware.time_s < 2.0
    assert report.safe == "holds where it is"
    assert still(bus)


def test_the_living_servos_hold_where_they_are_although_one_is_dead() -> None:
    bus = servos(Faults(dies_s={3: 0.2}))
    arm, clock = arm_on(bus)
    arm.connect()
    arm.engage()
    there = np.clip(POSTURE + 0.8, LIMITS.low, LIMITS.high)
    arm.write(there)
    clock.sleep_until(0.22)
    arm.hold()
    halfway = bus.firmware.body.true_angles.copy()
    assert np.abs(halfway - there)[[0, 4]].min() > 0.3
    run_for(bus, 0.6)
    assert np.abs(bus.firmware.body.true_angles - halfway)[[0, 4]].max() < 0.15


def test_settings_that_were_lost_on_the_line_are_written_again() -> None:
    bus = servos(Faults(corrupted=0.1), seed=2)
    arm, _ = arm_on(bus)
    for _ in range(40):
        try:
            arm.connect()
            arm.engage()
        except DriverError:
            continue
        assert [memory["torque_limit"] for memory in bus.firmware.memories] == [1000] * 5 + [500]
        here = bus.firmware.counts()
        assert np.abs([memory["goal_position"] for memory in bus.firmware.memories] - here).max() <= 3
        return
    pytest.fail("it was never engaged")


def test_an_arm_beyond_its_limits_is_not_engaged() -> None:
    bus = servos()
    bus.firmware.body.place(POSTURE + np.array([0, 0, 1.2, 0, 0, 0]))
    bus.firmware.rest()
    report = loop_on(bus, Script(wave)).run(1.0)
    assert "elbow_flex is at 1.70 rad, beyond its limits" in report.ended
    assert not any(memory["torque_enable"] for memory in bus.firmware.memories)


def test_targets_that_are_no_numbers_end_the_run() -> None:
    bus = servos()
    arm, clock = arm_on(bus)
    arm.connect()
    control = control_of("velocities", PERIOD_S)
    control.top_speed[1] = np.nan
    report = Loop(arm, Script(wave), CONTRACT, control, clock=clock).run(2.0)
    assert report.emergency
    assert "no numbers" in report.ended
    assert report.decisions == 0


def test_a_blocked_joint_is_noticed_on_the_way_to_where_the_policy_begins() -> None:
    bus = servos(friction=np.array([0.1, 0.1, 0.1, 0.1, 30.0, 0.1]))
    limits = Supervision(tracking=0.2, patience_s=0.3)
    report = loop_on(bus, Script(wave), start=POSTURE + np.array([0, 0, 0, 0, 1.2, 0]), limits=limits).run(2.0)
    assert "wrist_roll is" in report.ended
    assert report.decisions == 0


def test_a_sagging_supply_ends_the_run_in_time() -> None:
    bus = servos(Faults(sag=(1.0, 9.0, 8.0)))
    report = loop_on(bus, Script(wave)).run(5.0)
    assert report.emergency
    assert "supply is at" in report.ended or "voltage" in report.ended
    assert bus.firmware.time_s < 1.4
    assert still(bus)


def test_an_unplugged_robot_ends_the_run_and_stays_where_it_was_told() -> None:
    bus = servos(Faults(unplugged_s=1.0))
    report = loop_on(bus, Script(wave)).run(5.0)
    assert report.emergency
    assert "nothing has been read" in report.ended
    assert still(bus)


def test_damaged_packets_cost_readings_not_the_run() -> None:
    bus = servos(Faults(corrupted=0.01), seed=3)
    report = loop_on(bus, Script(wave)).run(20.0)
    assert not report.emergency, report.ended
    assert report.decisions == 200
    assert bus.parser.damaged > 0
    assert (np.abs(goals_of(bus)) <= LIMITS.high + RAD_PER_COUNT).all()


def test_a_lost_reading_is_held_as_in_simulation() -> None:
    bus = servos(seed=5)

    def worsening(k: int) -> np.ndarray:
        bus.faults = Faults(lost=0.25)
        return wave(k)

    agent = Script(worsening)
    report = loop_on(bus, agent, limits=Supervision(stale_s=5.0)).run(3.0)
    assert report.held > 0
    repeated = sum(np.array_equal(a[:6], b[:6]) for a, b in zip(agent.seen, agent.seen[1:], strict=False))
    assert repeated >= report.held - 1


def test_a_joint_that_is_blocked_ends_the_run() -> None:
    bus = servos(friction=np.array([30.0, 0.1, 0.1, 0.1, 0.1, 0.1]))
    script = Script(lambda k: np.array([1.0, 0, 0, 0, 0, 0]))
    report = loop_on(bus, script, limits=Supervision(tracking=0.3, patience_s=0.5)).run(5.0)
    assert report.emergency
    assert "shoulder_pan is" in report.ended
    assert "behind" in report.ended


def test_it_goes_gently_to_where_the_policy_begins() -> None:
    bus = servos()
    start = POSTURE + np.array([0.5, 0.2, -0.3, 0.1, 0.4, 0.1])
    loop_on(bus, Script(lambda k: np.zeros(6)), start=start).run(0.5)
    goals = goals_of(bus)
    assert np.abs(np.diff(goals, axis=0)[1:-3]).max() < 0.5 * 0.02 * 1.2 + 2 * RAD_PER_COUNT
    assert bus.firmware.body.true_angles == pytest.approx(start, abs=0.06)


@pytest.mark.parametrize(("safe", "torque"), [("hold", 1), ("relax", 0), ("park", 1)])
def test_it_ends_in_the_state_that_was_declared(safe: str, torque: int) -> None:
    bus = servos()
    park = tuple(POSTURE + 0.2)
    report = loop_on(bus, Script(wave), limits=Supervision(safe, park)).run(1.0)
    assert [memory["torque_enable"] for memory in bus.firmware.memories] == [torque] * 6
    if safe == "park":
        run_for(bus, 0.5)
        assert bus.firmware.body.true_angles == pytest.approx(park, abs=0.06), report.safe
    assert still(bus) or safe == "relax"


def test_a_dry_run_decides_and_touches_nothing() -> None:
    bus = servos()
    arm, clock = arm_on(bus)
    before = len(bus.written)
    arm.connect()
    agent = Script(wave)
    report = Loop(arm, agent, CONTRACT, control_of("velocities", PERIOD_S), clock=clock, dry=True).run(1.0)
    assert report.decisions == 10 == len(agent.seen)
    assert len(bus.written) == before


def test_the_log_is_a_recording_even_of_a_run_that_was_cut_off(tmp_path: Path) -> None:
    bus = servos()
    log = LogFile(tmp_path / "loop.csv", {"angle": "rad", "command": "rad"}, robot="so101")
    loop_on(bus, Script(wave), log=log).run(1.0)
    whole = Recording.load(tmp_path / "loop.csv")
    assert len(whole) == 10
    assert whole.metadata["robot"] == "so101"
    assert whole.units["angle"] == "rad"
    assert np.diff(whole.time_s) == pytest.approx(PERIOD_S, abs=1e-6)
    assert np.abs(whole.command - goals_of(bus)[1:11]).max() < RAD_PER_COUNT
    text = (tmp_path / "loop.csv").read_text()
    (tmp_path / "cut.csv").write_text(text[: text.rindex("\n", 0, -1) + 1])
    assert len(Recording.load(tmp_path / "cut.csv")) == 9


def test_one_policy_decides_bit_for_bit_alike_in_simulation_on_a_robot_and_on_a_recording(tmp_path: Path) -> None:
    policy = load_policy(trained_folder("Feel-v0"))
    agent = OnnxAgent(export_onnx(policy, tmp_path / "feel.onnx"))
    bus = servos()
    log = LogFile(tmp_path / "robot.csv", {c.name: c.unit for c in CONTRACT.observation})
    loop_on(bus, agent, log=log).run(3.0)
    on_robot = Recording.load(tmp_path / "robot.csv")
    assert len(on_robot) == 30
    assert np.abs(on_robot.signal("action")).max() > 0.1

    obs, _ = FEEL.reset(seed=4)
    carry, first, rows, actions = agent.initial(1, 0), np.ones(1, bool), [], []
    for _ in range(20):
        carry, action = agent.act(carry, obs, first)
        rows, actions, first = [*rows, obs[0].astype(float)], [*actions, action[0]], np.zeros(1, bool)
        obs, *_ = FEEL.step(action)
    signals = {c.name: np.stack(rows)[:, FEEL.layout.slice(c.name)] for c in CONTRACT.observation}
    units = {c.name: c.unit for c in CONTRACT.observation}
    simulated = Recording(np.arange(20) / 10, np.zeros((20, 6)), signals, units)

    for recording, decided in ((on_robot, on_robot.signal("action")), (simulated, np.array(actions, float))):
        clock = LogicalClock()
        robot = ReplayedRobot(recording, JOINTS, LIMITS, [c.name for c in CONTRACT.observation], clock.now)
        again = LogFile(tmp_path / "again.csv")
        # the first row is read once before the loop, and is its first observation: a recording is read from there
        robot.read = _first_twice(robot.read)  # type: ignore[method-assign]
        Loop(robot, agent, CONTRACT, control_of("velocities", 0.1), log=again, clock=clock, dry=True).run(
            len(recording) / 10
        )
        assert np.array_equal(Recording.load(tmp_path / "again.csv").signal("action"), decided)


def _first_twice(read):
    seen: list[Reading] = []

    def again() -> Reading:
        seen.append(seen[0] if len(seen) == 1 else read())
        return seen[-1]

    return again


def test_a_robot_without_a_promised_channel_is_refused_by_name() -> None:
    arm, _ = arm_on(servos())
    eye = replace_observation(name="eye/range", size=24, unit="m", low=0.0, high=2.0)
    with pytest.raises(DriverError, match="no 'eye/range'"):
        RobotView(eye, arm.layout)
    with pytest.raises(DriverError, match="in A, not mA"):
        RobotView(replace_observation(name="current", size=6, unit="mA", low=-3.0, high=3.0), arm.layout)
    with pytest.raises(DriverError, match="6 numbers, not 5"):
        RobotView(replace_observation(name="angle", size=5, unit="rad", low=-3.0, high=3.0), arm.layout)


def replace_observation(**channel) -> Contract:
    changed = CONTRACT.jsonable()
    changed["observation"] = [channel]
    return Contract.from_jsonable(changed)


def test_ages_and_validity_are_those_of_readings() -> None:
    contract = CONTRACT.jsonable()
    contract["observation"] = [
        {"name": f"angle{what}", "size": 1, "unit": "s", "low": 0.0, "high": 1.0} for what in ("/age", "/valid")
    ]
    arm, _ = arm_on(servos())
    view = RobotView(Contract.from_jsonable(contract), arm.layout)
    reading = Reading(2.0, {"angle": POSTURE})
    assert view.row(reading, 2.125, fresh=False).tolist() == [0.125, 0.0]
    assert view.row(reading, 9.0).tolist() == [1.0, 1.0]


def test_pictures_are_the_middle_of_what_a_camera_shows_red_first_and_old_ones_end_the_run(tmp_path: Path) -> None:
    film = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (160, 120))
    frame = np.zeros((120, 160, 3), np.uint8)
    frame[:, :20] = frame[:, 140:] = 255  # what a square does not show
    frame[:, 20:80, 2] = 200  # red on the left
    frame[60:, 80:140, 0] = 200  # blue below on the right
    for _ in range(4):
        film.write(frame)
    film.release()
    arm, _ = arm_on(servos())
    robot = SeeingRobot(arm, {"wrist": VideoCamera(str(tmp_path / "film.avi"), 32, 32, latency_s=0.25)})
    began = time.monotonic()
    robot.connect()
    reading = robot.read()
    robot.close()
    picture = reading.values["wrist/rgb"].reshape(32, 32, 3)
    red, blue = picture[4:-4, 4:12].mean(axis=(0, 1)), picture[20:-4, 20:28].mean(axis=(0, 1))
    assert red == pytest.approx([200 / 255, 0, 0], abs=0.03)
    assert blue == pytest.approx([0, 0, 200 / 255], abs=0.03)
    assert picture[2:12, 20:28].max() < 0.1
    assert picture[:, [0, -1]].min(axis=(0, 2)).max() < 0.5  # nothing of the white edges
    assert began - 0.25 <= reading.captured_s["wrist"] <= time.monotonic() - 0.25
    complaint = Supervisor(Supervision(), JOINTS).complaint
    told, now = reading.values["angle"], reading.time_s
    seen = reading.captured_s["wrist"]
    assert complaint(replace(reading, captured_s={"wrist": now - 0.4}), told, now) is None
    assert "camera 'wrist' has shown nothing new" in complaint(replace(reading, time_s=seen + 0.6), told, seen + 0.6)
    with pytest.raises(DriverError, match="no camera"):
        VideoCamera(str(tmp_path / "nothing.avi")).open()


def test_a_camera_that_is_opened_again_shows_nothing_old(tmp_path: Path) -> None:
    film = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (64, 64))
    for _ in range(3):
        film.write(np.full((64, 64, 3), 90, np.uint8))
    film.release()
    camera = VideoCamera(str(tmp_path / "film.avi"))
    camera.open()
    camera.close()
    again = time.monotonic()
    camera.open()
    assert camera.newest()[1] >= again
    camera.close()


def test_one_program_at_a_time_uses_a_port(tmp_path: Path) -> None:
    with TwinProcess(["so101"], tmp_path) as twin:
        first, second = (ServoArm(JOINTS, twin.port, LIMITS) for _ in range(2))
        first.connect()
        with pytest.raises(DriverError, match="another program uses"):
            second.connect()
        first.close()
        second.connect()
        second.close()


def test_ages_of_pictures_and_whether_they_are_new_are_those_of_the_camera() -> None:
    contract = CONTRACT.jsonable()
    contract["observation"] = [
        {"name": "wrist/rgb", "size": 12, "unit": "share of white", "low": 0.0, "high": 1.0},
        {"name": "wrist/age", "size": 1, "unit": "s", "low": 0.0, "high": 1.0},
        {"name": "wrist/new", "size": 1, "unit": "flag", "low": 0.0, "high": 1.0},
    ]
    arm, _ = arm_on(servos())
    view = RobotView(Contract.from_jsonable(contract), SeeingRobot(arm, {"wrist": VideoCamera(0, 2, 2)}).layout)
    picture = np.linspace(0, 1, 12)
    reading = Reading(5.0, {"wrist/rgb": picture}, captured_s={"wrist": 4.75})
    assert view.row(reading, 5.0) == pytest.approx([*picture, 0.25, 1.0])
    assert view.row(reading, 5.125)[-2:].tolist() == [0.375, 0.0]
    assert view.small.tolist() == [True] * 14


def test_what_a_twins_camera_sees_comes_through_a_network_camera() -> None:
    bus = servos()
    batch = bus.firmware.body.batch
    shown = TwinCamera(batch, "robot/wrist", height=64, width=64)
    camera = VideoCamera(shown.url)
    camera.open()
    drawn = CameraRenderer(batch, 64, 64, depth=False).draw(0, batch.model.camera("robot/wrist").id)
    picture, _ = camera.newest()
    assert np.abs(picture.astype(float) - drawn).mean() < 4
    bus.firmware.body.place(POSTURE + np.array([0, 0, 0, -0.6, 0.5, 0.4]))
    time.sleep(0.5)
    moved = camera.newest()[0].astype(float)
    assert np.abs(moved - drawn).mean() > 8
    camera.close()
    shown.close()


def test_the_contract_lives_in_the_card_and_a_damaged_one_is_refused() -> None:
    player = player_of("Feel-v0")
    kept, wanted = player.contract.jsonable(), CONTRACT.jsonable()
    ranges, today = kept.pop("randomized"), wanted.pop("randomized")
    assert kept == wanted
    assert ranges.keys() == today.keys()
    for name, one in today.items():  # worked out from a posterior, which machines round differently
        assert ranges[name].pop("how") == one.pop("how")
        assert ranges[name] == pytest.approx(one)
    assert player.contract.action[4].unit == "rad/s"
    assert player.contract.action[4].high == 2.0
    low, high = player.contract.randomized["*_servo/latency_s"].around(CONTRACT.actuators[0].latency_s)
    assert 0 < low < CONTRACT.actuators[0].latency_s < high < 0.05
    with pytest.raises(CheckpointError, match="control_hz"):
        Contract.from_jsonable(CONTRACT.jsonable() | {"control_hz": "ten"})


@pytest.mark.parametrize("told_ms", [2.0, 16.0, 35.0])
def test_a_probe_measures_the_latency_that_is_there(told_ms: float) -> None:
    arm, clock = arm_on(servos(latency_s=1e-3 * told_ms, jitter_s=0.0))
    arm.connect()
    report = probe(arm, CONTRACT, clock=clock)
    measured = report.finding("latency of commands")
    assert measured.value == pytest.approx(told_ms, abs=1.0)
    assert measured.fits == (told_ms == 16.0)
    assert [f.name for f in report.broken] == ([] if told_ms == 16.0 else ["latency of commands"])


@pytest.mark.parametrize(("how", "low", "high"), [("set", 0.014, 0.018), ("scale", 0.9, 1.1), ("add", -0.002, 0.002)])
def test_a_promise_may_be_values_factors_or_additions(how: str, low: float, high: float) -> None:
    declared = CONTRACT.actuators[0].latency_s
    promised = CONTRACT.jsonable() | {"randomized": {"wrist_r*/latency_s": {"low": low, "high": high, "how": how}}}
    arm, clock = arm_on(servos(latency_s=declared, jitter_s=0.0))
    arm.connect()
    latency = probe(arm, Contract.from_jsonable(promised), clock=clock, steps=4).finding("latency of commands")
    assert latency.promised is not None
    assert latency.promised == pytest.approx((1e3 * declared - 2.7, 1e3 * declared + 2.7), abs=1.0)


def test_a_probe_measures_jitter_and_losses() -> None:
    arm, clock = arm_on(servos(Faults(lost=0.01), seed=1, latency_s=0.015, jitter_s=0.003))
    arm.connect()
    report = probe(arm, CONTRACT, clock=clock, steps=30)
    assert report.finding("latency of commands").spread == pytest.approx(3.0, abs=1.0)
    assert arm.retried > 0
    told = ((0.015, 0.003), (0.018, 0.003), (0.015, 0.008))
    same, later, wider = (ks_2samp(report.latencies_s, simulated_latencies(*one)).pvalue for one in told)
    assert same > 0.05  # simulation draws latencies as those that were measured
    assert later < 0.01
    assert wider < 0.05


def simulated_latencies(latency_s: float, jitter_s: float) -> np.ndarray:
    """What simulation draws for commands of this latency and jitter, in 400 worlds [s]."""
    env = gym.make_vec("embodied/Feel-v0", num_envs=400, randomize=Randomization()).unwrapped
    for name, value in (("latency_s", latency_s), ("jitter_s", jitter_s)):
        env.body.parameter(f"wrist_flex_servo/{name}")[:] = value
    env.reset(seed=3)
    env.step(np.zeros((400, 6)))
    wrist = env.batch.model.actuator("robot/wrist_flex_servo").id
    early = 0.25 * env.batch.model.opt.timestep  # by which delays are shorter, so that none is rounded up
    return env.batch.field("actuator_delay")[:, wrist] + early


@pytest.mark.parametrize("friction", [0.1, 0.3])
def test_a_probe_measures_the_friction_that_is_there(friction: float) -> None:
    bus = servos(friction=friction, load_friction=0.0, back_load_friction=0.0, backlash=0.0)
    arm, clock = arm_on(bus)
    arm.connect()
    report = probe(arm, clock=clock, steps=4, friction=True)
    body = bus.firmware.body
    wrist = JOINTS.index("wrist_roll")
    brakes = 0.07 * (body.viscous[wrist] + body.constant[wrist] ** 2 / body.resistance[wrist])  # at the probe's speed
    stall = body.constant[wrist] / body.resistance[wrist] * 12.0
    assert report.finding("friction").value == pytest.approx((friction + brakes) / stall, rel=0.1)
    assert report.finding("friction").unit == "share"


def test_a_probe_of_an_arm_that_cannot_move_says_so() -> None:
    arm, clock = arm_on(servos(friction=50.0))
    arm.connect()
    with pytest.raises(DriverError, match="wrist_roll did not move"):
        probe(arm, clock=clock)


def test_a_calibration_turns_counts_into_the_angles_of_the_model(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    rows = [f'"{j}": {{"id": {7 - i}, "drive_mode": {i % 2}, "homing_offset": 0, "range_min": 1000, "range_max": 2800}}'
            for i, j in enumerate(JOINTS)]  # fmt: skip
    path.write_text("{" + ",".join(rows) + "}")
    known = Calibration.of_lerobot(path, JOINTS, [0.1] * 6)
    assert known.ids == (7, 6, 5, 4, 3, 2)
    angles = known.angles(np.full(6, 1900))
    assert angles == pytest.approx([0.1] * 6)
    assert known.angles(np.full(6, 2000))[:2] - 0.1 == pytest.approx([100 * RAD_PER_COUNT, -100 * RAD_PER_COUNT])
    assert known.counts(known.angles(np.arange(1500, 2100, 100))).tolist() == list(range(1500, 2100, 100))
    path.write_text("{}")
    with pytest.raises(DriverError, match="no calibration of shoulder_pan"):
        Calibration.of_lerobot(path, JOINTS)


def test_targets_that_cannot_be_meant_are_refused() -> None:
    arm, _ = arm_on(servos())
    arm.connect()
    for wrong, why in ((np.full(6, np.nan), "numbers"), (np.full(6, 3.0), "outside"), (np.zeros(5), "6 targets")):
        with pytest.raises(DriverError, match=why):
            arm.write(wrong)
    with pytest.raises(DriverError, match="below the upper"):
        JointLimits.of([0.0], [0.0], 1.0, 1.0)
    with pytest.raises(OptionError, match="hold, relax, park"):
        Supervision("fall")  # type: ignore[arg-type]


def test_a_way_is_smooth_and_no_faster_than_it_may_be() -> None:
    way = way_to(np.zeros(2), np.array([1.0, -0.5]), 0.5, 0.01)
    steps = np.diff(np.vstack([np.zeros(2), way]), axis=0) / 0.01
    assert np.abs(steps).max() == pytest.approx(0.5, rel=0.01)
    assert way[-1] == pytest.approx([1.0, -0.5])
    assert len(way_to(np.zeros(2), np.zeros(2), 0.5, 0.01)) == 1


# In real time, over a port.


def test_a_policy_that_hangs_is_overruled_by_the_watchdog(tmp_path: Path) -> None:
    def hang(k: int) -> np.ndarray:
        if k == 10:
            time.sleep(0.6)
        return np.array([0.8, 0, 0, 0, 0, 0])

    with TwinProcess(["so101"], tmp_path) as twin:
        arm = ServoArm(JOINTS, twin.port, LIMITS)
        arm.connect()
        limits = Supervision(late_s=0.1)
        report = Loop(arm, Script(hang), CONTRACT, control_of("velocities", 0.1), limits=limits).run(5.0)
        arm.close()
        assert report.emergency
        assert "no decision for" in report.ended
        assert report.safe == "holds where it is"
        assert report.safe_after_s < 0.2
        assert report.decisions <= 11


@pytest.mark.parametrize("safe", ["hold", "relax"])
def test_a_killed_loop_leaves_an_arm_that_is_safe_and_a_log_that_can_be_read(safe: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "embodied_scripts.cli.main", "deploy", "Feel-v0", "--no-probe", "--safe", safe]
    with TwinProcess(["so101", "--task", "Feel-v0"], tmp_path) as twin:
        loop = subprocess.Popen([*command, "--port", twin.port, "--log", str(tmp_path)], stdout=subprocess.DEVNULL)
        log = tmp_path / "loop.csv"
        deadline = time.monotonic() + 60
        while not (log.exists() and log.read_text().count("\n") > 12) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert all(twin.order()["torque"])
        os.kill(loop.pid, signal.SIGKILL)
        loop.wait()
        time.sleep(1.0)
        assert any(twin.order()["torque"]) == (safe == "hold")
        before = np.array(twin.order()["angles"])
        time.sleep(0.3)
        assert safe == "relax" or np.abs(np.array(twin.order()["angles"]) - before).max() < 0.01
    assert len(Recording.load(log)) > 10


def test_pulling_the_cable_ends_the_run(tmp_path: Path) -> None:
    with TwinProcess(["so101", "--unplug", "2"], tmp_path) as twin:
        arm = ServoArm(JOINTS, twin.port, LIMITS)
        arm.connect()
        report = Loop(arm, Script(wave), CONTRACT, control_of("velocities", 0.1)).run(20.0)
        assert report.emergency
        assert "read" in report.ended
        assert "keeps the posture" in report.safe
        arm.close()


def test_a_loop_runs_before_others_if_it_may_and_not_for_longer_than_it_lasts(monkeypatch) -> None:
    before = os.sched_getscheduler(0)
    with real_time_priority() as granted:
        assert os.sched_getscheduler(0) == (os.SCHED_FIFO if granted else before)
    assert os.sched_getscheduler(0) == before

    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refused)
    with real_time_priority() as granted:
        assert not granted


def test_a_stop_from_another_thread_is_heard() -> None:
    bus = servos()
    agent = Script(lambda k: time.sleep(0.005) or wave(k))
    loop = loop_on(bus, agent)
    threading.Timer(0.1, loop.stop, ["somebody said so"]).start()
    assert loop.run(1e6).ended == "somebody said so"


def test_a_gentle_motion_keeps_its_distance_and_is_recorded_as_it_was_written() -> None:
    bus = servos()
    arm, clock = arm_on(bus)
    arm.connect()
    motion = gentle_motion(LIMITS, POSTURE, 4.0, 50.0, seed=2)
    assert motion[[0, -1]] == pytest.approx(np.tile(POSTURE, (2, 1)), abs=0.01)
    assert np.ptp(motion, axis=0).min() > 0.1
    assert np.abs(np.diff(motion, axis=0)).max() * 50 <= 0.5 * LIMITS.speed[0] + 1e-9
    recording, report = record_motion(arm, motion[:, :5], 50.0, clock=clock)
    assert not report.emergency
    assert recording.units["position"] == recording.units["command"] == "rad"
    assert recording.command[:, :5] == pytest.approx(motion[:, :5], abs=1e-9)
    assert np.ptp(recording.command[:, 5]) == 0
    lag = 0.1  # an arm follows, late and a little short
    late = np.interp(recording.time_s - lag, recording.time_s, motion[:, 4])
    assert np.abs(recording.signal("position")[20:, 4] - late[20:]).max() < 0.1
    with pytest.raises(DriverError, match="leaves the limits of shoulder_lift"):
        record_motion(arm, motion + np.array([0, 2, 0, 0, 0, 0]), 50.0, clock=clock)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["probe", "--port", "/nowhere/robot"], "no robot at /nowhere/robot"),
        (["deploy", "Feel-v0", "--port", "/nowhere/robot"], "no robot at /nowhere/robot"),
        (["deploy", "Search-v0", "--port", "x"], "no policy comes with the package for Search-v0"),
        (["deploy", "Signpost-v0", "--port", "x"], "which is no task of an arm"),
        (["deploy", "Feel-v0", "--robot", "panda", "--port", "x"], "no robot with a driver 'panda'"),
        (["twin", "panda"], "no robot with a twin 'panda'"),
        (["twin", "so101", "--task", "Sumo-v0"], "no table that a twin can stand at"),
        (["deploy", "Feel-v0", "--dataset", "d", "--log", "l", "--dry-run", "--port", "x"], "of a run that moves"),
        (["deploy", "Feel-v0", "--camera", "wrist", "--port", "x"], "write NAME=SOURCE"),
        (["transfer", "policy.onnx", "--port", "x"], "cannot go on learning"),
        (["transfer", "Rummage-v0", "--port", "x"], "no 'eye/range'"),
        (["twin", "so101", "--camera-port", "99999", "--port", "robot"], "a camera cannot be shown on port 99999"),
        (["record", "out.csv", "--motion", "nothing.csv", "--port", "x"], "no robot at x"),
    ],
)
def test_what_cannot_be_done_with_a_robot_is_said_in_a_line(arguments, said, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
