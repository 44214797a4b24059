"""What every environment promises: spaces, determinism, autoreset, privacy, and clear errors."""

import os
import subprocess
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
from conftest import SIGNPOST, equal, trace
from gymnasium.utils.env_checker import check_env as gymnasium_check_env
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from embodied.errors import ActionError, NotResetError, OptionError, UnknownNameError, WorldFailureWarning
from embodied.renderer import _loads

HARD = {"places": "random", "decoys": 2, "occluders": 5}
VARIANTS = [{}, {"places": "swapped", "decoys": 1}, HARD]


def batch(n: int, mode: str = "SameStep", **options):
    return gym.make_vec(SIGNPOST, num_envs=n, autoreset_mode=mode, **options)


def actions(n: int, steps: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (steps, n, 3)).astype(np.float32)


@pytest.mark.parametrize("options", VARIANTS)
def test_the_checkers_of_gymnasium_and_sb3_pass_without_a_warning(options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gymnasium_check_env(gym.make(SIGNPOST, **options).unwrapped, skip_render_check=True)
        sb3_check_env(gym.make(SIGNPOST, **options).unwrapped)


def test_the_one_world_environment_equals_its_world_in_a_batch():
    commands = actions(3, 100)
    together = trace(batch(3, "Disabled"), commands[:40])
    single = gym.make(SIGNPOST)
    obs, _ = single.reset(seed=3 + 2)
    assert np.array_equal(obs, together[0][2])
    obs, reward, *_ = single.step(commands[0, 2])
    assert np.array_equal(obs, together[4][2])
    assert reward == together[5][2]


def test_seeds_decide_and_episodes_differ():
    env = batch(2)
    first, _ = env.reset(seed=0)
    again, _ = env.reset(seed=0)
    later, _ = env.reset()
    other, _ = env.reset(seed=1)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, later)
    assert np.array_equal(first[1], other[0])


def test_the_prior_of_the_hidden_variable_is_what_is_declared():
    env = batch(4000)
    _, info = env.reset(seed=0)
    assert info["hidden"].mean() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("options", VARIANTS[1:])
def test_hard_variants_are_as_deterministic(options):
    commands = actions(6, 60)
    together = trace(batch(6, threads=2, **options), commands)
    assert equal(together, trace(batch(6, threads=1, **options), commands))
    assert equal([x[4:5] for x in together], trace(batch(1, **options), commands[:, 4:5], seed=3 + 4))


@pytest.mark.parametrize("options", VARIANTS)
def test_observations_stay_in_bounds_and_no_sensor_is_constant(options):
    env = batch(32, **options)
    obs, _ = env.reset(seed=0)
    seen = [obs]
    for command in actions(32, 120):
        obs, *_ = env.step(command)
        assert env.observation_space.contains(obs)
        seen.append(obs)
    spread = np.concatenate(seen).std(axis=0)
    for channel in env.unwrapped.layout.channels:
        assert spread[env.unwrapped.layout.slice(channel.name)].max() > 0, channel.name


@pytest.mark.parametrize("options", VARIANTS)
def test_before_the_sign_is_read_worlds_that_differ_only_in_what_is_hidden_look_the_same(options):
    n = 64
    twins = [batch(n, "Disabled", reading_range=2.0, **options) for _ in range(2)]
    task = twins[1].unwrapped.task
    show = task._show
    task._show = lambda board, worlds, slot, color: show(board, worlds, slot, 1 - color if board == "sign" else color)
    (obs, _), (other, _) = (env.reset(seed=0) for env in twins)
    unread = ~task._read & ~twins[0].unwrapped.task._read
    for command in actions(n, 30) * [0.5, 0.5, 1.0]:
        assert np.array_equal(obs[unread], other[unread])
        (obs, *_), (other, *_) = (env.step(command) for env in twins)
        unread &= ~task._read & ~twins[0].unwrapped.task._read
    assert unread.sum() > n / 4, "too few worlds stayed unread for the test to mean anything"
    assert not unread.all(), "no sign was read: the test would not notice a leak"
    assert not np.array_equal(obs[~unread], other[~unread])


def test_rewards_tell_right_from_wrong_pads_and_count_time():
    env = batch(64, "Disabled")
    _, info = env.reset(seed=0)
    task = env.unwrapped.task
    good = info["hidden"][:, 0].astype(int)
    goal = task._pads[np.arange(64), np.where(np.arange(64) < 32, good, 1 - good)]
    env.unwrapped.body.place(np.arange(64), goal, np.zeros(64), 0.035)
    _, reward, terminated, truncated, info = env.step(np.zeros((64, 3)))
    assert np.allclose(reward, np.where(np.arange(64) < 32, 1.0, -0.5) - 0.001)
    assert terminated.all()
    assert not truncated.any()
    assert np.array_equal(info["success"], np.arange(64) < 32)


def test_time_runs_out_as_truncation_and_not_as_termination():
    env = batch(2, "Disabled", episode_s=1.0)
    env.reset(seed=0)
    for _ in range(9):
        assert not env.step(np.zeros((2, 3)))[3].any()
    _, _, terminated, truncated, _ = env.step(np.zeros((2, 3)))
    assert truncated.all()
    assert not terminated.any()


def test_same_step_mode_returns_the_new_episode_and_keeps_the_end_of_the_old():
    same, disabled = batch(2, episode_s=1.0), batch(2, "Disabled", episode_s=1.0)
    commands = actions(2, 10)
    ends = trace(disabled, commands)[-7]
    same.reset(seed=3)
    for command in commands:
        obs, _, _, truncated, info = same.step(command)
    assert truncated.all()
    assert np.array_equal(info["final_obs"], ends)
    assert np.array_equal(obs, disabled.reset()[0])
    assert set(info["final_info"]) >= {"hidden", "state", "shaping", "success"}


def test_next_step_mode_spends_one_step_on_the_reset():
    env, disabled = batch(2, "NextStep", episode_s=1.0), batch(2, "Disabled", episode_s=1.0)
    commands = actions(2, 10)
    trace(disabled, commands)
    env.reset(seed=3)
    for command in commands:
        _, _, _, truncated, _ = env.step(command)
    assert truncated.all()
    obs, reward, terminated, truncated, _ = env.step(commands[0])
    assert np.array_equal(obs, disabled.reset()[0])
    assert not np.any([reward, terminated, truncated])


def test_disabled_mode_resets_the_worlds_of_a_mask_and_refuses_to_step_ended_ones():
    env = batch(3, "Disabled", episode_s=1.0)
    env.reset(seed=0)
    for _ in range(10):
        before, *_ = env.step(np.zeros((3, 3)))
    with pytest.raises(NotResetError, match=r"worlds \[0, 1, 2\] have ended"):
        env.step(np.zeros((3, 3)))
    after, _ = env.reset(options={"reset_mask": np.array([True, False, True])})
    assert np.array_equal(before[1], after[1])
    assert not np.array_equal(before[0], after[0])


def test_a_world_that_diverges_is_truncated_with_a_warning_and_the_others_do_not_notice():
    env, undisturbed = batch(3), batch(3)
    env.reset(seed=0)
    undisturbed.reset(seed=0)
    env.unwrapped.batch.array("qvel")[1, 2] = np.inf
    command = actions(3, 1)[0]
    with pytest.warns(WorldFailureWarning, match=r"worlds \[1\] diverged"):
        obs, _, terminated, truncated, info = env.step(command)
    expected, *_ = undisturbed.step(command)
    assert truncated.tolist() == [False, True, False]
    assert not terminated.any()
    assert info["final_info"]["failed"].tolist() == [False, True, False]
    assert np.isfinite(obs).all()
    assert np.isfinite(info["final_obs"]).all()
    assert np.array_equal(obs[[0, 2]], expected[[0, 2]])
    for command in actions(3, 20):
        obs, *_ = env.step(command)
    assert np.isfinite(obs).all()


def test_bad_actions_are_refused_with_what_was_expected():
    env = batch(2)
    with pytest.raises(NotResetError, match="reset"):
        env.step(np.zeros((2, 3)))
    env.reset(seed=0)
    with pytest.raises(ActionError, match=r"worlds \[1\] are not finite"):
        env.step(np.array([[0, 0, 0], [0, np.nan, 0]]))
    with pytest.raises(ActionError, match=r"shape \(2, 2\), expected \(2, 3\)"):
        env.step(np.zeros((2, 2)))
    single = gym.make(SIGNPOST)
    single.reset(seed=0)
    with pytest.raises(ActionError, match=r"shape \(4,\), expected \(3,\)"):
        single.step(np.zeros(4))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"place": "fixed"}, UnknownNameError, "did you mean 'places'"),
        ({"places": "nowhere"}, OptionError, "known: fixed, swapped, random"),
        ({"decoys": 7}, OptionError, "decoys must be 0 to 2"),
        ({"decoys": "two"}, OptionError, "expected int"),
        ({"autoreset_mode": "Sometimes"}, OptionError, "'SameStep'"),
        ({"render_mode": "human"}, OptionError, "rgb_array"),
    ],
)
def test_bad_options_are_refused_with_what_is_known(options, error, message):
    with pytest.raises(error, match=message):
        gym.make_vec(SIGNPOST, num_envs=1, **options)


def test_hard_variants_never_put_two_things_in_one_place():
    env = batch(300, **HARD)
    env.reset(seed=0)
    position = env.unwrapped.batch.array("mocap_pos")[:, :, :2]
    height = env.unwrapped.batch.array("mocap_pos")[:, :, 2]
    shown = range(position.shape[1])
    for a in shown:
        for b in shown:
            both = (height[:, a] >= 0) & (height[:, b] >= 0)
            apart = np.linalg.norm(position[:, a] - position[:, b], axis=1)
            assert a == b or (apart[both] > 0.3).all()
    start = env.unwrapped.body.xy[:, None] - position
    assert (np.linalg.norm(start, axis=2)[height >= 0] > 0.3).all()


def test_a_reset_mask_must_be_one_flag_per_world_and_a_seed_reaches_only_its_worlds():
    env = batch(3, "Disabled")
    env.reset(seed=0)
    for mask in (np.array([0, 2, 1]), np.ones(5, bool)):
        with pytest.raises(OptionError, match="3 booleans"):
            env.reset(options={"reset_mask": mask})
    env.reset(seed=50, options={"reset_mask": np.array([True, False, False])})
    seeds = env.unwrapped.streams.seeds
    assert seeds.tolist() == [50, 1, 2]


def test_a_failure_is_told_even_by_a_model_that_would_repair_itself():
    import mujoco

    from embodied.physics.batch import Batch

    model = mujoco.MjModel.from_xml_string(
        "<mujoco><worldbody><body><freejoint/><geom size='.1'/></body></worldbody></mujoco>"
    )
    lone = Batch(model, 2)
    lone.array("qvel")[1, 0] = np.nan
    assert lone.step(3).tolist() == [1]


def test_gymnasiums_own_vectorization_works_beside_the_native_one():
    env = gym.make_vec(SIGNPOST, num_envs=2, vectorization_mode="sync")
    native, _ = batch(2).reset(seed=4)
    obs, _ = env.reset(seed=4)
    assert np.array_equal(obs, native)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("osmesa", "libOSMesa.so.8 cannot be loaded, so there will be no pictures: install it"),
        ("disable", "set the environment variable MUJOCO_GL=egl"),
    ],
)
def test_a_machine_without_a_renderer_works_without_pictures_and_is_told_what_to_install(setting, message):
    if setting == "osmesa" and _loads("osmesa"):
        pytest.skip("OSMesa is installed here")
    make = f"e = gym.make('{SIGNPOST}', render_mode='rgb_array'); e.reset(seed=0); print('reset'); e.render()"
    code = f"import gymnasium as gym, embodied_envs; {make}"
    result = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "MUJOCO_GL": setting}, capture_output=True, text=True
    )
    assert result.stdout.strip() == "reset"
    assert "RenderingError" in result.stderr
    assert message in result.stderr


def test_the_picture_shows_the_scene():
    env = gym.make(SIGNPOST, render_mode="rgb_array")
    env.reset(seed=0)
    picture = env.render().astype(int)
    assert picture.shape == (480, 640, 3)
    red = (picture[..., 0] > 150) & (picture[..., 1] < 110)
    blue = (picture[..., 2] > 150) & (picture[..., 0] < 110)
    assert red.sum() > 500
    assert blue.sum() > 500
    env.close()
