"""SO-101: its kinematics, servos, grip and control, beside public models, real logs and other people's solvers."""

import json
import os
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import mink
import mujoco
import numpy as np
import pytest

import embodied_assets as assets
from embodied.errors import UnknownNameError
from embodied.randomization.spec import Randomization
from embodied.robot.actuators.friction import pressed_friction
from embodied.robot.kinematics import TURN_WEIGHT, SerialChain, rotation, rotation_between
from embodied.sysid import Fit
from embodied.vector.spec import EnvSpec
from embodied.world.env import BatchEnv
from embodied_envs.arm.so101 import GRASP, HAND, JOINTS, arm_chain, fitted_servo
from embodied_envs.heft import CLOSED, Heft, HeftOptions
from embodied_scripts.baselines import arm_driver, baselines
from embodied_scripts.studies.arm import judge, logs_of, plant_of_arm

SHARED = Path(__file__).parents[2] / "shared"
MENAGERIE = Path(os.environ.get("MENAGERIE_ROOT", SHARED / "menagerie")) / "robotstudio_so101" / "so101.xml"
LOGS = Path(os.environ.get("EMBODIED_REALDATA", SHARED / "realdata")) / "so101_sage" / "so101.npz"
needs_menagerie = pytest.mark.skipif(not MENAGERIE.is_file(), reason="MuJoCo Menagerie is absent")
needs_logs = pytest.mark.skipif(not LOGS.is_file(), reason="the logs of the arm are absent")
JUDGES = {"sinusoidal_sweep": 0.0012, "staircase_motion": 0.0025}  # rad, of the values of a servo bench


def model() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_path(str(assets.robot_path("so101")))


def poses(n: int, seed: int = 0) -> np.ndarray:
    low, high = model().jnt_range.T
    return np.random.default_rng(seed).uniform(low, high, (n, len(JOINTS)))


@needs_menagerie
def test_the_arm_moves_as_menageries_does_to_a_tenth_of_a_millimeter_and_weighs_as_much():
    theirs, ours = mujoco.MjModel.from_xml_path(str(MENAGERIE)), model()
    a, b = mujoco.MjData(theirs), mujoco.MjData(ours)
    assert ours.jnt_range == pytest.approx(theirs.jnt_range, abs=1e-4)
    assert ours.body_mass.sum() == pytest.approx(theirs.body_mass.sum(), abs=1e-4)
    for q in poses(50):
        a.qpos[:6], b.qpos[:6] = q, q
        mujoco.mj_forward(theirs, a)
        mujoco.mj_forward(ours, b)
        assert a.xanchor == pytest.approx(b.xanchor, abs=1e-4)
        assert a.site("gripperframe").xpos == pytest.approx(b.site(HAND).xpos, abs=1e-4)
        assert a.site("gripperframe").xmat == pytest.approx(b.site(HAND).xmat, abs=1e-4)
        assert a.cam("wrist_cam").xpos == pytest.approx(b.cam("wrist").xpos, abs=2e-4)
        assert a.cam("wrist_cam").xmat == pytest.approx(b.cam("wrist").xmat, abs=1e-3)
        assert a.qfrc_bias == pytest.approx(b.qfrc_bias, abs=2e-3)  # N·m, of gravity


@needs_menagerie
def test_dressed_in_menageries_meshes_the_arm_does_the_same_and_looks_otherwise(monkeypatch):
    monkeypatch.setenv("MENAGERIE_ROOT", str(MENAGERIE.parents[1]))
    plain, dressed = (
        gym.make("embodied/Feel-v0", appearance=look, render_mode="rgb_array").unwrapped
        for look in ("primitives", "menagerie")
    )
    pictures = []
    for env in (plain, dressed):
        env.reset(seed=2)
        pictures.append(env.render())
    assert (np.abs(pictures[0].astype(int) - pictures[1]).max(axis=2) > 30).mean() > 0.01
    for action in np.random.default_rng(0).uniform(-1, 1, (40, 6)).astype(np.float32):
        a, b = plain.step(action)[0], dressed.step(action)[0]
        assert a == pytest.approx(b, abs=1e-5)


def posterior() -> Fit:
    return Fit.from_jsonable(json.loads(assets.posterior_path("so101").read_text()))


def test_the_file_of_the_arm_has_what_the_posterior_says():
    found, fitted, arm = posterior().values, fitted_servo(), model()
    assert arm.dof_frictionloss == pytest.approx(found["dof_frictionloss[elbow_flex]"], rel=0.01)
    assert arm.dof_damping.reshape(6, -1)[:, 0] == pytest.approx(fitted.viscous, rel=0.02)
    brake = fitted.servo.motor_constant**2 / fitted.servo.resistance
    assert fitted.viscous + brake == pytest.approx(found["dof_damping[elbow_flex]"])
    slope = fitted.servo.stall_torque * fitted.servo.stiffness_V / fitted.servo.voltage
    assert slope == pytest.approx(found["stiffness[elbow_flex]"], rel=1e-6)
    means = dict(zip(fitted.randomization.terms[0].names, fitted.randomization.terms[0].by.mean, strict=True))
    assert means["*_servo/stiffness"] * fitted.servo.stall_torque == pytest.approx(found["stiffness[elbow_flex]"])
    assert means["*_servo/damping"] == pytest.approx(fitted.viscous)


@needs_logs
def test_the_arm_replays_real_motions_that_it_was_not_fitted_to_better_than_bench_values_do():
    errors = judge(plant_of_arm(), posterior(), logs_of(LOGS))
    assert {name: error < JUDGES[name] for name, error in errors.items()} == dict.fromkeys(JUDGES, True)


def test_places_and_speeds_of_the_hand_are_those_of_mujoco():
    arm, chain = model(), arm_chain(GRASP)
    data, q = mujoco.MjData(arm), poses(20)
    p, R = chain.forward(q[:, :5])
    J = chain.jacobian(q[:, :5])
    linear, turn = np.zeros((3, 6)), np.zeros((3, 6))
    for i in range(len(q)):
        data.qpos[:] = q[i]
        mujoco.mj_forward(arm, data)
        assert p[i] == pytest.approx(data.site(GRASP).xpos, abs=1e-9)
        assert R[i].ravel() == pytest.approx(data.site(GRASP).xmat, abs=1e-9)
        mujoco.mj_jacSite(arm, data, linear, turn, arm.site(GRASP).id)
        assert J[i] == pytest.approx(np.vstack([linear, turn])[:, :5], abs=1e-9)


def test_a_hand_goes_where_it_is_wanted_as_far_as_the_joints_reach_whatever_the_other_worlds_do():
    chain = arm_chain(GRASP)
    wanted = poses(64, 1)[:, :5] * 0.7
    p, R = chain.forward(wanted)
    near = wanted + np.random.default_rng(2).uniform(-0.15, 0.15, wanted.shape)
    found = chain.solve(near, p, R, iterations=30)
    there, turned = chain.forward(found)
    assert np.abs(there - p).max() < 1e-4
    assert np.abs(rotation_between(turned, R)).max() < 1e-3
    assert np.array_equal(chain.solve(near[5:6], p[5:6], R[5:6], iterations=30), found[5:6])
    far = chain.solve(near, p + 1.0, iterations=30)
    assert ((far >= chain.low) & (far <= chain.high)).all()


def test_the_arm_gets_to_the_angles_that_mink_finds():
    arm, chain = model(), arm_chain(GRASP)
    wanted = poses(12, 4)[:, :5] * 0.7
    p, R = chain.forward(wanted)
    near = wanted + np.random.default_rng(5).uniform(-0.15, 0.15, wanted.shape)
    ours = chain.solve(near, p, R, iterations=30)
    for i in range(len(wanted)):
        configuration = mink.Configuration(arm, np.append(near[i], 0.3))
        task = mink.FrameTask(GRASP, "site", position_cost=1.0, orientation_cost=TURN_WEIGHT, lm_damping=1e-6)
        task.set_target(mink.SE3.from_rotation_and_translation(mink.SO3.from_matrix(R[i]), p[i]))
        for _ in range(30):
            configuration.integrate_inplace(mink.solve_ik(configuration, [task], 1.0, "daqp"), 1.0)
        assert configuration.q[:5] == pytest.approx(ours[i], abs=1e-3)
        assert configuration.q[5] == pytest.approx(0.3, abs=1e-9)


def test_rotations_and_their_vectors_are_inverse_to_each_other():
    turn = np.random.default_rng(0).normal(size=(50, 3))
    turn *= np.minimum(1.0, 3.0 / np.linalg.norm(turn, axis=1))[:, None]
    turn[0] = 0.0
    R = rotation(turn)
    assert np.einsum("nij,nkj->nik", R, R) == pytest.approx(np.broadcast_to(np.eye(3), R.shape), abs=1e-12)
    assert rotation_between(np.broadcast_to(np.eye(3), R.shape), R) == pytest.approx(turn, abs=1e-9)


def test_joints_that_the_model_lacks_or_that_do_not_move_the_hand_are_refused():
    with pytest.raises(UnknownNameError, match="shoulder_pan"):
        SerialChain(model(), ["shoulder_pam"], GRASP)
    with pytest.raises(Exception, match="no hinge that moves"):
        SerialChain(model(), JOINTS, GRASP)


@pytest.mark.parametrize("action", ["targets", "velocities", "hand"])
def test_actions_mean_what_their_layout_says(action):
    env = gym.make_vec("embodied/Heft-v0", num_envs=2, action=action, randomize=Randomization()).unwrapped
    env.reset(seed=0)
    task, layout = env.task, env.action_layout
    assert env.single_action_space.shape == (layout.size,)
    before = task.control.target.copy()
    place, _ = task.chain.forward(before[:, :5])
    act = np.zeros((2, 6))
    act[:, 2] = 0.5
    after = task.control.targets(act).copy()
    channel = layout.channels[2]
    if action == "targets":
        assert after[:, 2] == pytest.approx(channel.low + 0.75 * (channel.high - channel.low))
    elif action == "velocities":
        assert after[:, 2] - before[:, 2] == pytest.approx(0.5 * channel.high / task.control_hz)
    else:
        moved, _ = task.chain.forward(after[:, :5])
        assert moved - place == pytest.approx(np.tile([0, 0, 0.5 * channel.high / task.control_hz], (2, 1)), abs=5e-4)
    with pytest.raises(UnknownNameError, match="velocities"):
        gym.make("embodied/Heft-v0", action="torques")


def test_a_pitching_hand_turns_down_about_where_it_is():
    env = gym.make_vec("embodied/Heft-v0", num_envs=1, action="hand", randomize=Randomization()).unwrapped
    env.reset(seed=0)
    control = env.task.control
    control.begin(np.arange(1), np.array([[0.4, 0.0, 0.2, 0.5, 0.0, 0.1]]))
    p, R = env.task.chain.forward(control.target[:, :5])
    act = np.zeros((1, 6))
    act[0, 3] = 1.0
    moved, turned = env.task.chain.forward(control.targets(act)[:, :5])
    assert np.linalg.norm(moved - p) < 2e-3
    assert turned[0, 2, 0] < R[0, 2, 0]  # the hand's x axis points further down


def test_servos_hold_the_pose_in_which_an_episode_begins():
    env = gym.make_vec("embodied/Feel-v0", num_envs=3, randomize=Randomization()).unwrapped
    env.reset(seed=3)
    start = env.task.angles.copy()
    obs, *_ = env.step(np.zeros((3, 6)))
    assert env.task.angles == pytest.approx(start, abs=0.03)  # with command 0, the wrist would have gone by more
    assert obs[:, env.layout.slice("goal")] == pytest.approx(start, abs=2e-3)


def test_dry_friction_of_a_gear_grows_with_what_hangs_on_it():
    env = gym.make_vec("embodied/Feel-v0", num_envs=2, randomize=Randomization()).unwrapped
    env.reset(seed=0)
    for _ in range(5):
        env.step(np.zeros((2, 6)))
    friction = env.batch.field("dof_frictionloss")
    joint = env.batch.model.joint("robot/shoulder_lift").dofadr[0]
    assert (friction[:, joint] > 0.157 + 0.1).all()
    pan = env.batch.model.joint("robot/shoulder_pan").dofadr[0]
    assert (friction[:, pan] < friction[:, joint]).all()
    assert pressed_friction(-2.0, 3.0, 0.1, 0.2) == pytest.approx(0.8)
    env.body.parameter("elbow_flex_servo/friction")[:] = 0.05
    env.reset(seed=0)
    assert friction[:, env.batch.model.joint("robot/elbow_flex").dofadr[0]] == pytest.approx(0.05)


def test_a_servo_that_pushes_in_vain_gives_up_after_two_seconds_until_it_is_told_to_turn():
    env = gym.make_vec("embodied/Feel-v0", num_envs=2, action="targets", randomize=Randomization()).unwrapped
    obs, _ = env.reset(seed=0)
    control, home = env.task.control, env.task.angles.copy()
    pressing, away = home.copy(), home.copy()
    pressing[0, 1] += 1.2  # the hand of the first world goes for what lies below the table
    away[0, 1] -= 0.5
    loads = []
    for k in range(50):
        targets = pressing if k < 40 else away
        obs, *_ = env.step(2 * (targets - control.low) / (control.high - control.low) - 1)
        loads.append(np.abs(obs[:, env.layout.slice("load")]))
    shoulder = np.array(loads)[:, :, 1]
    assert shoulder[15, 0] > 0.95
    assert shoulder[28:40, 0] == pytest.approx(0.2, abs=0.01)
    assert shoulder[40:, 0].max() > 0.95
    assert shoulder[:, 1].max() < 0.5  # in the other world nothing is in its way
    assert np.array(loads)[..., 5].max() <= 0.51  # the gripper never uses more than half


def test_a_gripped_cube_is_still_there_after_half_a_minute_of_motion():
    env = BatchEnv(Heft(HeftOptions(episode_s=60.0)), 2, randomize=Randomization())
    env.reset(seed=1)
    task = env.task
    angle, heights = float(np.arctan2(-task._places[0, 0, 1], task._places[0, 0, 0] - 0.0388)), []
    driver = arm_driver(task)
    for height, fingers in ((0.085, 0.85), (0.0225, 0.85), (0.0225, CLOSED), (0.09, CLOSED)):
        for _ in range(15):
            env.step(driver.drive(env.last_obs, np.tile(task.pose(angle, height, fingers), (2, 1))))
    for t in range(300):
        wave = np.array([0.6, 0.2, 0.0, 0.4, 0.4, 0.0]) * np.cos(
            2 * np.pi * np.array([0.2, 0.3, 0, 0.4, 0.25, 0]) * t / 10
        )
        env.step(np.tile(wave, (2, 1)))
        heights.append(task._places[0, 0, 2])
    hand, _ = task.chain.forward(task.angles[:, :5])
    assert np.linalg.norm(task._places[0, 0] - hand[0]) < 0.03
    assert min(heights) > 0.03


def test_a_contact_rich_episode_has_the_same_bits_with_any_number_of_threads():
    def played(threads):
        env = gym.make_vec("embodied/Heft-v0", num_envs=3, threads=threads).unwrapped
        rng, seen = np.random.default_rng(0), [env.reset(seed=5)[0]]
        for _ in range(250):  # of 20 steps of the physics
            seen.append(env.step(rng.uniform(-1, 1, (3, 6)))[0])
        return np.stack(seen)

    assert np.array_equal(played(1), played(2))


def test_telemetry_is_delivered_in_the_unit_of_its_sensor():
    task = Heft(HeftOptions())
    sensors = tuple(replace(s, gain=2.0) if s.name == "volts" else s for s in task.robot.sensors)
    task.robot = replace(task.robot, sensors=sensors)
    env = BatchEnv(task, 1, randomize=Randomization())
    obs, _ = env.reset(seed=0)
    assert obs[0, env.layout.slice("volts")] == pytest.approx(15.0)  # 24 V saturate at the limit
    labels = next(channel.labels for channel in env.layout.channels if channel.name == "angle")
    assert labels == JOINTS


def test_scripted_players_that_command_velocities_do_not_play_where_actions_mean_something_else():
    assert set(baselines(EnvSpec("embodied/Feel-v0", {"action": "hand"}).make(1))) == {"random"}
    assert "heuristic" in baselines(EnvSpec("embodied/Feel-v0").make(1))
