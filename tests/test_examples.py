"""The examples do what they say."""

import importlib.util
import os
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from conftest import QUICK
from gymnasium.utils.env_checker import check_env

from embodied.errors import ModelError
from embodied.evaluation.report import evaluate
from embodied.learn.ppo import SequencePPO
from embodied.vector.vec import GymVecEnv, make_vec
from embodied_policies import MlpPolicy
from embodied_scripts.baselines import planning_agent

ROOT = Path(__file__).parents[1]
REACHER = Path(gym.__file__).parent / "envs/mujoco/assets/reacher.xml"
SO101 = Path(os.environ.get("SO101_MJCF", ROOT.parent / "shared/menagerie/robotstudio_so101/so101.xml"))
PLANAR = {"base": "body0", "tip": "fingertip", "joints": "joint0,joint1", "reach": 0.16, "mjcf": str(REACHER)}


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def plays(env_id):
    env = gym.make_vec(env_id, num_envs=4, autoreset_mode="SameStep")
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(60):
        obs, *_ = env.step(rng.uniform(-1, 1, env.action_space.shape).astype(np.float32))
        assert env.observation_space.contains(obs)
    check_env(gym.make(env_id).unwrapped, skip_render_check=True)
    return env


@pytest.fixture(autouse=True)
def _leaves_no_ids():
    before = set(gym.registry)
    yield
    for name in set(gym.registry) - before:
        del gym.registry[name]


def test_a_task_of_ones_own_is_one_file_that_trains():
    load("own_task").register()
    plays("mine/Knock-v0")
    model = SequencePPO(MlpPolicy, gym.make_vec("mine/Knock-v0", num_envs=4), QUICK, n_steps=8, minibatches=2, seed=0)
    model.learn(64)
    assert len((ROOT / "examples/own_task.py").read_text().splitlines()) < 130


def test_an_arm_of_gymnasium_gets_datasheet_servos_and_a_task():
    load("own_robot").register(**PLANAR)
    env = plays("mine/Feel-v0")
    names = [channel.name for channel in env.unwrapped.layout.channels]
    assert {"joint0_angle", "joint1_angle", "current"} <= set(names)
    with pytest.raises(ModelError, match="stands fast"):
        env.unwrapped.body.place(np.arange(4), np.zeros((4, 2)), np.zeros(4), 0.0)


@pytest.mark.skipif(not SO101.exists(), reason="the SO-101's MJCF is not here; set SO101_MJCF")
def test_the_so101_plays_the_same_task():
    load("own_robot").register(mjcf=str(SO101))
    env = plays("mine/Feel-v0")
    assert env.single_action_space.shape == (6,)
    env.reset(seed=0)
    action = np.zeros((4, 6))
    action[:, 0] = 0.3 * np.where(env.unwrapped.task.truth()[:, 0] == 0, 1, -1)  # away from the post
    for _ in range(60):
        env.step(action)
    batch = env.unwrapped.batch
    pan = batch.array("qpos")[:, batch.model.joint("robot/shoulder_pan").qposadr[0]]
    np.testing.assert_allclose(pan, action[:, 0] * np.pi, atol=0.02)  # it moves where it is sent


def test_a_task_of_ones_own_gets_a_planner_by_its_landmarks_and_what_can_be_set():
    load("own_task").register()
    env = GymVecEnv(make_vec("mine/Knock-v0", 2))
    report = evaluate(planning_agent(env, seconds=0.6), env, episodes=4)
    env.close()
    assert report.success >= 0.75  # 0.5 for who goes to either door
    assert report.reward > 0.5
