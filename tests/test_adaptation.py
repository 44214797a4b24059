"""The study of adaptation: a pole, a motor that may be wired either way, and policies that can and cannot know."""

import gymnasium as gym
import numpy as np
import pytest

from embodied.errors import OptionError, UnknownNameError
from embodied_scripts.cli.study_adaptation import CONDITIONS, Adaptation
from embodied_scripts.studies.adapt import _worlds, motors
from embodied_scripts.studies.balance import FORCE, make_vec
from embodied_scripts.studies.results import read_rows

THEIRS = 100.0  # N for a control of 1


@pytest.mark.filterwarnings("ignore")
def test_the_cart_moves_as_gymnasiums_does():
    theirs, ours = gym.make("InvertedPendulum-v5"), make_vec(1, threads=1, autoreset_mode="Disabled")
    theirs.reset(seed=0)
    rng = np.random.default_rng(0)
    for episode in range(3):
        ours.reset(seed=episode)
        theirs.unwrapped.set_state(ours.batch.array("qpos")[0].copy(), ours.batch.array("qvel")[0].copy())
        for _ in range(200):
            action = rng.uniform(-1, 1, 1).astype(np.float32)
            expected, _, fallen, _, _ = theirs.step(action * FORCE / THEIRS)
            seen, earned, ended, _, _ = ours.step(action[None])
            np.testing.assert_allclose(seen[0], np.clip(expected, ours.layout.low, ours.layout.high), atol=1e-4)
            assert ended[0] == fallen
            assert earned[0] == float(not fallen)
            if fallen:
                break
        assert fallen


def test_each_world_keeps_its_motor_and_about_half_of_them_are_wired_the_other_way():
    env = make_vec(64, threads=1, autoreset_mode="SameStep", randomize=motors())
    sampled = env.reset(seed=0)[1]["sampled_parameters"][:, 0]
    assert 0.3 < np.mean(sampled < 0) < 0.7
    assert np.abs(sampled).min() >= 0.5
    assert np.abs(sampled).max() <= 2.0
    ended = np.zeros(64, bool)
    for _ in range(40):
        _, _, terminated, _, info = env.step(np.ones((64, 1)))
        ended |= terminated
    assert ended.all()
    assert np.array_equal(info["sampled_parameters"][:, 0], sampled)


def test_a_motor_can_be_rewired_within_an_episode_and_pushes_the_other_way_at_once():
    env = make_vec(32, threads=1, autoreset_mode="Disabled", randomize=motors(0.4))
    before = env.reset(seed=1)[1]["sampled_parameters"][:, 0]
    for _ in range(10):
        _, _, _, _, info = env.step(np.zeros((32, 1)))
    assert np.array_equal(info["sampled_parameters"][:, 0], before)
    speed = env.batch.array("qvel")[:, 0].copy()
    _, _, _, _, info = env.step(np.full((32, 1), 0.2))
    now = info["sampled_parameters"][:, 0]
    assert not np.array_equal(now, before)
    assert (np.sign(env.batch.array("qvel")[:, 0] - speed) == np.sign(now)).all()


def test_who_is_told_also_recalls_what_it_did():
    one_step, told, remembers = (
        _worlds(name, 2, None).single_observation_space for name in ("one step", "privileged", "gru")
    )
    assert set(one_step) == {"obs", "action"}
    assert set(told) == {"obs", "action", "sampled_parameters"}
    assert remembers == one_step["obs"]  # the policy remembers what it did


def test_the_study_keeps_its_rows_and_goes_on(tmp_path, capsys):
    study = Adaptation(steps=4096, seeds=1, episodes=64, only=("no memory", "privileged"), jobs=2, out=tmp_path)
    study.run()
    rows = read_rows(tmp_path / "table.jsonl")
    assert {row["condition"] for row in rows} == {"no memory", "privileged"}
    assert all(0 <= row[where] <= 1 for row in rows for where in ("steady", "rewired"))
    study.run()
    assert read_rows(tmp_path / "table.jsonl") == rows
    assert "poles still up" in capsys.readouterr().out


def test_bad_options_of_the_study_are_named(tmp_path):
    with pytest.raises(UnknownNameError, match=CONDITIONS[-1]):
        Adaptation(only=("clairvoyant",), out=tmp_path).run()
    with pytest.raises(OptionError, match="positive"):
        Adaptation(seeds=0, out=tmp_path).run()
