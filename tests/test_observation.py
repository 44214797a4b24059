"""Observations as a dictionary: the same numbers as the flat ones, for every environment, its checkers and learners."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import TransformObservation
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.env_checker import check_env as check_for_sb3

from embodied.errors import UnknownNameError
from embodied.evaluation import evaluate
from embodied.layout import Channel, Layout
from embodied.learn import SequencePPO
from embodied.nn.agent import NetworkAgent
from embodied.robot.cameras.spec import ColorCamera, DepthCamera
from embodied.vector.spec import EnvSpec
from embodied.world.env import BatchEnv
from embodied.world.observation import DictObservation
from embodied_envs import TASKS
from embodied_envs.heft import Heft, HeftOptions
from embodied_scripts.baselines import baselines

IDS = [f"embodied/{name}" for name in TASKS]


@pytest.mark.parametrize("env_id", IDS)
def test_a_dictionary_holds_the_numbers_of_the_flat_observation_by_name(env_id):
    flat, named = (gym.make_vec(env_id, num_envs=2, observation=form).unwrapped for form in ("flat", "dict"))
    rng = np.random.default_rng(0)
    (a, _), (b, _) = flat.reset(seed=4), named.reset(seed=4)
    for _ in range(5):
        assert list(b) == [channel.name for channel in flat.layout.channels]
        for channel in flat.layout.channels:
            assert np.array_equal(b[channel.name].reshape(2, -1), a[:, flat.layout.slice(channel.name)])
        assert np.array_equal(named.form.rows(b), a)
        action = rng.uniform(-1, 1, flat.action_space.shape)
        (a, *_), (b, *_) = flat.step(action), named.step(action)


@pytest.mark.parametrize("env_id", IDS)
def test_gymnasium_and_stable_baselines3_find_nothing_wrong_with_a_dictionary(env_id):
    env = gym.make(env_id, observation="dict")
    check_env(env.unwrapped, skip_render_check=True)
    check_for_sb3(env)


def test_pictures_are_bytes_of_height_width_and_colors():
    task = Heft(HeftOptions())
    cameras = (ColorCamera("eye", camera="wrist", width=40, height=24), DepthCamera("deep", camera="wrist", width=20))
    task.robot = replace(task.robot, cameras=cameras)
    env = BatchEnv(task, 2, observation="dict")
    obs, _ = env.reset(seed=0)
    assert obs["eye/rgb"].shape == (2, 24, 40, 3)
    assert obs["eye/rgb"].dtype == np.uint8
    assert obs["eye/rgb"].std() > 0
    assert obs["deep/depth"].shape == (2, 64, 20, 1)
    rows = env.form.rows(obs)
    assert rows[:, env.layout.slice("eye/rgb")] == pytest.approx(env.last_obs[:, env.layout.slice("eye/rgb")], abs=1e-6)
    assert env.single_observation_space.contains({key: value[0] for key, value in obs.items()})


def test_pixels_of_a_picture_are_not_transposed():
    layout = Layout((Channel("eye/rgb", 18, 0.0, 1.0, "share of white", (2, 3, 3)), Channel("x", 2, -1.0, 1.0, "m")))
    rows = np.zeros((1, 20), np.float32)
    rows[0, 3 * 1 + 2] = 1.0  # blue of the second pixel in the first row
    rows[0, 18:] = 0.25, -0.5
    seen = DictObservation(layout).of(rows)
    assert np.argwhere(seen["eye/rgb"][0]).tolist() == [[0, 1, 2]]
    assert seen["x"].tolist() == [[0.25, -0.5]]
    seen["x"][:] = 0.0
    assert rows[0, 18] == 0.25  # no memory is shared


def test_the_last_observation_of_an_episode_is_a_dictionary_too():
    env = gym.make_vec("embodied/Feel-v0", num_envs=2, observation="dict", autoreset_mode="SameStep", episode_s=1.0)
    env.reset(seed=0)
    for _ in range(10):
        obs, *_, info = env.step(np.full((2, 6), 0.3))
    last = info["final_obs"]
    assert {key: value.shape for key, value in last.items()} == {key: value.shape for key, value in obs.items()}
    assert not np.array_equal(last["angle"], obs["angle"])


@pytest.mark.parametrize("learner", [PPO, SAC])
def test_others_learners_train_on_a_dictionary_with_a_picture(learner):
    env = gym.make("embodied/Heft-v0", observation="dict", camera="rgb", episode_s=2.0)
    settings = (
        {"n_steps": 16, "batch_size": 16, "n_epochs": 1}
        if learner is PPO
        else {"learning_starts": 8, "buffer_size": 64, "batch_size": 8}
    )
    model = learner("MultiInputPolicy", env, seed=0, **settings)
    model.learn(24)
    assert model.num_timesteps >= 24


def test_others_learners_train_on_the_picture_alone():
    env = gym.make("embodied/Heft-v0", observation="dict", camera="rgb", episode_s=2.0)
    env = TransformObservation(env, lambda obs: obs["wrist/rgb"], env.observation_space["wrist/rgb"])
    PPO("CnnPolicy", env, n_steps=16, batch_size=16, n_epochs=1, seed=0).learn(16)


def test_the_toolkits_own_learner_and_baselines_read_it():
    spec = EnvSpec("embodied/Feel-v0", {"observation": "dict", "episode_s": 2.0})
    env = spec.make(4)
    model = SequencePPO("TransformerPolicy", env, n_steps=8, minibatches=1, n_epochs=1, seed=0)
    model.learn(64)
    assert evaluate(NetworkAgent(model.policy), env, 4).episodes >= 4
    assert evaluate(baselines(env)["heuristic"], env, 4).information_bits is not None
    assert EnvSpec.of(env).options == {"observation": "dict", "episode_s": 2.0}


def test_another_form_is_refused():
    with pytest.raises(UnknownNameError, match="dict"):
        gym.make("embodied/Feel-v0", observation="dictionary")
    with pytest.raises(UnknownNameError, match="rgb"):
        gym.make("embodied/Heft-v0", camera="color")
