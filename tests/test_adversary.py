"""An adversary sets the world: it finds where players fail, and stays within the prior."""

import gymnasium as gym
import numpy as np
import pytest
from conftest import SIGNPOST

import embodied_envs  # noqa: F401
from embodied.errors import OptionError
from embodied.hidden import Continuous, Discrete
from embodied.randomization.adversary import Adversary
from embodied.seeding import WorldStreams
from embodied.vector.spec import EnvSpec
from embodied.vector.vec import GymVecEnv, make_vec
from embodied_policies.scripted.signpost import PadSeeker
from embodied_scripts.baselines import baselines
from embodied_scripts.studies.robustness import play_out

SEARCH = "embodied/Search-v0"
PLACES = Discrete("place", ("left", "middle", "right", "nowhere"), (0.5, 0.25, 0.25, 0.0))


def hunts(share=1.0, episodes=200, fails=lambda chosen, state: chosen == 1):
    """An adversary that has learned from a player who fails where `fails` says; and what it chose last."""
    streams = WorldStreams(64)
    streams.seed(0)
    adversary, rng, worlds = Adversary(share, (PLACES,), streams, 1), np.random.default_rng(0), np.arange(64)
    for _ in range(episodes):
        streams.begin()
        state = rng.choice([-1.0, 1.0], (64, 1))
        chosen = adversary.choose(worlds, state)[:, 0]
        adversary.learn(np.ones(64, bool), ~fails(chosen, state[:, 0]))
    return adversary, chosen


def test_it_chooses_what_the_player_cannot_do_and_never_what_the_prior_excludes():
    adversary, chosen = hunts()
    likely = adversary.probabilities(np.zeros((1, 1)))[0]
    assert likely[1] > 0.8
    assert likely[3] == 0
    assert np.mean(chosen == 1) > 0.75


def test_where_to_hide_may_depend_on_how_things_look():
    adversary, _ = hunts(fails=lambda chosen, state: chosen == np.where(state > 0, 0, 2))
    assert adversary.probabilities(np.array([[1.0], [-1.0]])).argmax(axis=1).tolist() == [0, 2]


def test_the_rest_of_the_episodes_is_drawn_from_the_prior():
    _, chosen = hunts(share=0.5)
    assert 0.15 < np.mean(chosen == 0) < 0.4  # 0.25 are expected, of which the adversary wants none
    assert np.mean(chosen == 1) > 0.4


@pytest.mark.parametrize("task", [SIGNPOST, SEARCH])
def test_against_a_player_that_fails_everywhere_alike_it_stays_near_the_prior(task):
    env, rng = gym.make_vec(task, 64, adversary=1.0), np.random.default_rng(0)
    env.reset(seed=0)
    states, worlds, chosen = env.task.state(), np.arange(64), []
    for _ in range(64):
        env.streams.begin()
        chosen.append(env.adversary.choose(worlds, rng.permutation(states))[:, 0])
        env.adversary.learn(np.ones(64, bool), rng.random(64) < 0.5)
    often = np.mean(np.concatenate(chosen)[:, None] == np.arange(len(env.adversary.prior)), axis=0)
    assert np.abs(often - env.adversary.prior).sum() / 2 < 0.15  # total variation


def test_values_that_the_prior_excludes_are_out_of_reach_of_the_smallest_random_number():
    streams = WorldStreams(4)
    streams.seed(0)
    place = Discrete("place", ("nowhere", "left", "right", "away"), (0.0, 0.5, 0.5, 0.0))
    adversary = Adversary(1.0, (place,), streams, 1)
    for u in (0.0, 1.0 - 2.0**-32):
        adversary._random = type("Fixed", (), {"uniform": lambda self, step, worlds, u=u: np.full((4, 2), u)})()
        assert set(adversary.choose(np.arange(4), np.zeros((4, 1)))[:, 0]) <= {1.0, 2.0}
    adversary.learn(np.ones(4, bool), np.zeros(4, bool))
    assert np.isfinite(adversary.probabilities(np.zeros((1, 1)))).all()


def test_one_that_does_not_learn_stays_as_it_is():
    adversary, _ = hunts(episodes=5)
    adversary.learns = False
    before = adversary.probabilities(np.zeros((1, 1)))
    adversary.learn(np.ones(64, bool), np.zeros(64, bool))
    assert np.array_equal(before, adversary.probabilities(np.zeros((1, 1))))


def test_it_changes_what_is_hidden_and_nothing_else_about_an_episode():
    plain, set_up = gym.make_vec(SEARCH, 16), gym.make_vec(SEARCH, 16, adversary=1.0)
    (obs, info), (other, other_info) = plain.reset(seed=5), set_up.reset(seed=5)
    assert not np.array_equal(info["hidden"], other_info["hidden"])
    assert np.array_equal(info["state"], other_info["state"])
    assert np.allclose(obs, other, atol=1e-6)  # nothing is seen behind screens yet
    assert EnvSpec.of(GymVecEnv(set_up)) == EnvSpec.of(GymVecEnv(plain))


def test_what_it_has_learned_is_saved_with_the_worlds():
    one, other = (gym.make_vec(SIGNPOST, 8, adversary=1.0, autoreset_mode="SameStep") for _ in range(2))
    one.reset(seed=0)
    other.reset(seed=9)
    for _ in range(20):
        one.adversary.learn(np.ones(8, bool), one.task.truth()[:, 0] == 0)
    other.set_state(one.get_state())
    state = one.task.state()
    assert np.array_equal(one.adversary.probabilities(state), other.adversary.probabilities(state))
    assert not np.allclose(one.adversary.probabilities(state), 0.5, atol=0.01)


def test_a_player_that_always_goes_to_the_same_pad_is_found_out():
    env = GymVecEnv(make_vec(SIGNPOST, 32, threads=2, adversary=1.0))
    layout, classes = env.gym_env.task.robot.layout, env.gym_env.task.robot.line_cameras[0].classes
    player = PadSeeker(layout, classes, ("red", "blue"), truth=lambda: np.zeros(32))
    before, _ = play_out(player, env, 32, 0)
    play_out(player, env, 512, 1000)
    env.gym_env.adversary.learns = False
    after, hidden = play_out(player, env, 64, 2000)
    assert before.mean() > 0.25
    assert after.mean() < 0.15
    assert np.mean(hidden == 0) < 0.15


def test_played_counts_equally_many_episodes_in_each_world():
    env = GymVecEnv(make_vec(SIGNPOST, 8))
    success, hidden = play_out(baselines(env)["oracle"], env, 12, 0)
    assert len(success) == len(hidden) == 16
    assert success.mean() == 1.0
    assert set(hidden.tolist()) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gym.make_vec(SIGNPOST, 2, adversary=0.0), "in \\(0, 1\\]"),
        (lambda: gym.make_vec("embodied/LightDark-v0", 2, adversary=0.5), "one discrete hidden variable"),
        (lambda: Adversary(0.5, (Continuous("x", 0, 1, "m"),), WorldStreams(2), 3), "one discrete hidden variable"),
    ],
)
def test_what_an_adversary_cannot_choose_is_said(make, message):
    with pytest.raises(OptionError, match=message):
        make()
