"""The public check of transfer: our Hopper is Gymnasium's, and is as light as the study says."""

import gymnasium as gym
import numpy as np
import pytest

from embodied.errors import OptionError
from embodied.vector.privileged import PrivilegedObs
from embodied.vector.vec import GymVecEnv
from embodied_scripts.studies.hopper import make_vec
from embodied_scripts.studies.hopper_study import LIGHTER, MISSING_KG, TORSO_KG, _worlds, worlds_of


def torso_kg(randomize, n=1):
    env = make_vec(n, threads=1, randomize=randomize)
    env.reset(seed=0)
    torso = env.batch.model.body("robot/torso").id
    return np.array([env.batch.render_pair(i)[0].body_mass[torso] for i in range(n)])


@pytest.mark.filterwarnings("ignore")
def test_it_moves_is_rewarded_and_falls_as_gymnasiums_does():
    theirs, ours = gym.make("Hopper-v5"), make_vec(1, threads=1, autoreset_mode="Disabled")
    theirs.reset(seed=0)
    rng = np.random.default_rng(0)
    for episode in range(5):
        ours.reset(seed=episode)
        theirs.unwrapped.set_state(ours.batch.array("qpos")[0].copy(), ours.batch.array("qvel")[0].copy())
        for _ in range(1000):
            action = rng.uniform(-1, 1, 3).astype(np.float32)
            expected, reward, fallen, _, _ = theirs.step(action)
            seen, earned, ended, _, _ = ours.step(action[None])
            np.testing.assert_allclose(seen[0], np.clip(expected, -10, 10), atol=1e-4)
            assert earned[0] == pytest.approx(reward, abs=1e-4)
            assert ended[0] == fallen
            if fallen:
                break
        assert fallen


def test_the_torso_is_a_kilogram_lighter_and_randomized_about_that():
    assert torso_kg(None)[0] == pytest.approx(TORSO_KG, abs=1e-4)
    assert torso_kg(worlds_of("target"))[0] == pytest.approx(TORSO_KG, abs=1e-4)
    assert torso_kg(worlds_of("naive"))[0] == pytest.approx(TORSO_KG - MISSING_KG, abs=1e-4)
    masses = torso_kg(worlds_of("uniform"), 64) / (TORSO_KG * LIGHTER)
    assert 0.5 <= masses.min() < 0.7
    assert 1.3 < masses.max() <= 1.5


def test_who_is_told_sees_what_its_world_was_given_until_the_episode_has_ended():
    env = GymVecEnv(PrivilegedObs(make_vec(8, threads=1, autoreset_mode="SameStep", randomize=worlds_of("privileged"))))
    before = env.reset()["sampled_parameters"]
    assert before.shape == (8, 4)
    assert len(np.unique(before[:, 0])) == 8
    for _ in range(60):
        obs, _, ended, _ = env.step(np.ones((8, 3), np.float32))
        final = env.experience.final_obs["sampled_parameters"]
        assert np.array_equal(final, before)
        assert np.array_equal(obs["sampled_parameters"][~ended], before[~ended])
        assert (obs["sampled_parameters"][ended] != before[ended]).all()
        before = obs["sampled_parameters"]
        if ended.any():
            break
    assert ended.any()


def test_who_is_told_is_told_the_same_things_wherever_it_is_judged():
    names = {
        _worlds("privileged", 2, worlds_of(where)).gym_env.unwrapped.sampled_parameter_names
        for where in ("privileged", "naive", "target")
    }
    assert len(names) == 1
    torso = [
        _worlds("privileged", 1, worlds_of(where)).reset()["sampled_parameters"][0, 0] for where in ("naive", "target")
    ]
    assert torso == pytest.approx([LIGHTER, 1.0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PrivilegedObs(make_vec(2, autoreset_mode="SameStep")), "no sampled parameters"),
        (lambda: PrivilegedObs(make_vec(2, randomize=worlds_of("privileged"))), "same-step"),
    ],
)
def test_nothing_is_told_where_there_is_nothing_to_tell(make, message):
    with pytest.raises(OptionError, match=message):
        make()
