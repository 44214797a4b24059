"""The public check of transfer: our Hopper is Gymnasium's, and is as light as the study says."""

import gymnasium as gym
import numpy as np
import pytest

from embodied_scripts.hopper import make_vec
from embodied_scripts.hopper_transfer import LIGHTER, MISSING_KG, TORSO_KG, worlds_of


def torso_kg(randomise, n=1):
    env = make_vec(n, threads=1, randomise=randomise)
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


def test_the_torso_is_a_kilogram_lighter_and_randomised_about_that():
    assert torso_kg(None)[0] == pytest.approx(TORSO_KG, abs=1e-4)
    assert torso_kg(worlds_of("target"))[0] == pytest.approx(TORSO_KG, abs=1e-4)
    assert torso_kg(worlds_of("naive"))[0] == pytest.approx(TORSO_KG - MISSING_KG, abs=1e-4)
    masses = torso_kg(worlds_of("uniform"), 64) / (TORSO_KG * LIGHTER)
    assert 0.5 <= masses.min() < 0.7
    assert 1.3 < masses.max() <= 1.5
