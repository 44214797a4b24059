"""Entropy, calibration, the exact filter and the evaluation agree with what can be computed by hand."""

import gymnasium as gym
import numpy as np
import pytest
from conftest import SIGNPOST
from gymnasium.vector import AutoresetMode

from embodied.evaluation.agents import RandomAgent
from embodied.evaluation.report import evaluate
from embodied.hidden import Discrete
from embodied.mind.belief import DiscreteFilter
from embodied.mind.information import calibration_error, entropy_bits, negative_log_likelihood
from embodied.nn.agent import NetworkAgent
from embodied.vector.vec import GymVecEnv, make_vec
from embodied_policies.transformer import TransformerPolicy
from embodied_scripts.baselines import baselines

COIN = Discrete("coin", ("heads", "tails"), (0.5, 0.5))


def test_entropy_is_known_for_coins_dice_and_certainty():
    assert entropy_bits([0.5, 0.5]) == pytest.approx(1.0)
    assert entropy_bits(np.full(8, 1 / 8)) == pytest.approx(3.0)
    assert entropy_bits([[1.0, 0.0], [0.25, 0.75]]) == pytest.approx([0.0, 0.8112781])
    assert Discrete("d", ("a", "b"), (0.25, 0.75)).entropy_bits == pytest.approx(0.8112781)


def test_the_filter_is_bayes_rule():
    belief = DiscreteFilter(COIN, 2)
    votes = [(0, 1), (0, 0), (1, 1)]  # one noisy vote per world, right with probability 0.8
    for vote in votes:
        likelihood = np.where(np.array(vote)[:, None] == np.arange(2), 0.8, 0.2)
        belief.update(np.log(likelihood))
    assert belief.probabilities[:, 0] == pytest.approx([0.8, 0.2])
    belief.begin(np.array([True, False]))
    assert belief.probabilities[:, 0] == pytest.approx([0.5, 0.2])


def test_the_filter_survives_thousands_of_votes():
    belief = DiscreteFilter(COIN, 1)
    for _ in range(5000):
        belief.update(np.log([[0.9, 0.1]]))
    assert belief.probabilities[0].tolist() == pytest.approx([1.0, 0.0])


def test_what_nothing_explains_is_left_out_and_what_is_impossible_is_ruled_out():
    belief = DiscreteFilter(COIN, 3)
    before = belief.probabilities
    belief.update(np.array([[-np.inf, -np.inf], [-np.inf, 0.0], [0.0, 0.0]]))
    assert belief.probabilities[0] == pytest.approx(before[0])
    assert belief.probabilities[1].tolist() == [0.0, 1.0]
    belief.update(np.array([[0.0, -1.0], [0.0, -np.inf], [-np.inf, -np.inf]]))
    assert belief.probabilities[1].tolist() == [0.0, 1.0]  # it contradicts what is certain
    assert np.isfinite(belief.probabilities).all()


def test_calibration_is_zero_for_honest_beliefs_and_the_gap_for_boastful_ones():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.5, 1, 50_000)
    honest = np.stack([p, 1 - p], axis=1)
    truth = (rng.random(50_000) > p).astype(int)
    assert calibration_error(honest, truth) < 0.01
    boastful = np.tile([0.9, 0.1], (50_000, 1))
    fair = rng.integers(0, 2, 50_000)
    assert calibration_error(boastful, fair) == pytest.approx(0.4, abs=0.01)
    assert negative_log_likelihood([[0.25, 0.75]], [1]) == pytest.approx(-np.log(0.75))


@pytest.fixture(scope="module")
def env():
    return GymVecEnv(make_vec(SIGNPOST, 64))


def test_the_filter_of_signpost_is_calibrated_on_what_a_wanderer_sees(env):
    """Noise in, truth out: over many histories, a posterior of p is right in a share p of the worlds."""
    world = GymVecEnv(make_vec(SIGNPOST, 2048, misread=0.4, reading_range=2.5))
    world.seed(0)
    obs = world.reset()
    truth = world.privileged["hidden"][:, 0].astype(int)
    belief, rng = DiscreteFilter(world.gym_env.hidden[0], 2048), np.random.default_rng(0)
    posteriors = []
    for _ in range(12):
        belief.update(world.gym_env.log_likelihood(obs))
        posteriors.append(belief.probabilities)
        obs, _, done, _ = world.step(rng.uniform(-1, 1, (2048, 3)).astype(np.float32))
        assert not done.any()
    uncertain = np.concatenate(posteriors)
    told = np.tile(truth, len(posteriors))
    moved = np.abs(uncertain[:, 0] - 0.5) > 1e-6
    assert moved.mean() > 0.1
    assert calibration_error(uncertain[moved], told[moved]) < 0.05


def test_reference_players_score_what_they_should(env):
    players = baselines(env)
    reports = {name: evaluate(player, env, episodes=128) for name, player in players.items()}
    assert reports["oracle"].success > 0.95
    assert reports["uninformed"].success == pytest.approx(0.5, abs=0.12)
    assert reports["random"].success < 0.2
    assert reports["oracle"].reward - reports["uninformed"].reward > 0.4
    assert reports["random"].belief_bits is None


def test_evaluation_counts_every_world_equally_and_repeats_itself(env):
    agent = RandomAgent(env.action_space)
    first, second = (evaluate(agent, env, episodes=128, seed=1) for _ in range(2))
    assert first == second
    assert first.episodes == 128


def test_bits_are_those_of_the_history_not_of_a_claim(env):
    class Liar(RandomAgent):
        def act(self, carry, obs, first):
            return carry, np.zeros((len(obs), 3), np.float32)

        def belief(self, carry):
            return np.tile([1.0, 0.0], (64, 1))

    report = evaluate(Liar(env.action_space), env, episodes=64)
    assert report.information_bits < 0.2
    assert report.calibration_error > 0.3


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_every_autoreset_mode_is_measured_alike(mode):
    made = gym.make_vec(SIGNPOST, num_envs=8, autoreset_mode=mode, episode_s=1.0, reading_range=3.0)
    report = evaluate(RandomAgent(made.single_action_space), GymVecEnv(made), episodes=8)
    assert report.length_s == pytest.approx(1.0)
    same = gym.make_vec(SIGNPOST, num_envs=8, autoreset_mode="SameStep", episode_s=1.0, reading_range=3.0)
    assert report == evaluate(RandomAgent(made.single_action_space), GymVecEnv(same), episodes=8)


def test_a_carry_is_a_value_that_can_be_gone_on_from_twice(env):
    agent = NetworkAgent(TransformerPolicy(env.observation_space, env.action_space), deterministic=False)
    obs = np.random.default_rng(0).normal(size=(3, 4, env.observation_space.shape[0])).astype(np.float32)
    carry = agent.initial(4, 0)
    carry, _ = agent.act(carry, obs[0], np.ones(4, bool))
    _, once = agent.act(carry, obs[1], np.zeros(4, bool))
    agent.act(carry, obs[2], np.zeros(4, bool))
    _, twice = agent.act(carry, obs[1], np.zeros(4, bool))
    assert np.array_equal(once, twice)
