"""Filters, gains and the planner agree with closed forms and with what is published."""

import gc
import math
import weakref

import numpy as np
import pytest

from embodied.errors import BeliefLostError, BeliefLostWarning, ObservationError, OptionError, ProblemError
from embodied.mind.best_arm import BestArm
from embodied.mind.information import (
    entropy_bits,
    finite_gain,
    linear_gaussian_gain,
    sample_entropy,
    sampled_gain,
    value_of_information,
)
from embodied.mind.particles import ParticleBelief, systematic
from embodied.mind.planner import Planner
from embodied_scripts.studies.classics import Tiger


class Line:
    """A point that is driven along a line and measured with noise: all is Gaussian."""

    discount = 0.9
    actions = (0.5,)
    drift, noise = 0.2, 0.5

    def initial(self, n, rng):
        return rng.normal(1.0, 2.0, (n, 1))

    def step(self, states, action, rng):
        after = states + action + self.drift * rng.standard_normal(states.shape)
        return (
            after,
            after[:, 0] + self.noise * rng.standard_normal(len(after)),
            np.zeros(len(after)),
            np.zeros(len(after), bool),
        )

    def likelihood(self, observation, states, action):
        return np.exp(-0.5 * ((observation - states[:, 0]) / self.noise) ** 2)


def belief_in(**changed):
    return ParticleBelief(type("Changed", (Tiger,), changed)(), 50, np.random.default_rng(0))


def test_the_particle_filter_is_the_kalman_filter_on_a_line():
    problem, rng = Line(), np.random.default_rng(3)
    belief = ParticleBelief(problem, 50_000, np.random.default_rng(0))
    mean, variance, truth = 1.0, 4.0, np.array([[2.5]])
    for _ in range(12):
        truth, observed, _, _ = problem.step(truth, 0.5, rng)
        belief.predict(0.5)
        belief.update(observed[0], 0.5)
        mean, variance = mean + 0.5, variance + problem.drift**2
        gain = variance / (variance + problem.noise**2)
        mean, variance = mean + gain * (observed[0] - mean), (1 - gain) * variance
        believed = belief.weights @ belief.states[:, 0]
        assert believed == pytest.approx(mean, abs=0.02)
        assert belief.weights @ (belief.states[:, 0] - believed) ** 2 == pytest.approx(variance, rel=0.08)


def test_the_particle_filter_is_bayes_rule_for_the_tiger():
    belief = ParticleBelief(Tiger(), 4096, np.random.default_rng(0))
    belief.log_weights[:] = math.log(0.5)  # the two states that were drawn, exactly as likely
    for observed in (0, 0, 1, 0):
        belief.predict("listen")
        belief.update(observed, "listen")
    odds = (0.85 / 0.15) ** 2
    left = belief.weights[belief.states[:, 0] == 0].sum()
    assert left == pytest.approx(odds / (1 + odds), abs=1e-9)


def test_systematic_draws_are_as_many_as_weights_say():
    drawn = np.bincount(systematic(np.array([0.5, 0.25, 0.125, 0.125]), 800, np.random.default_rng(0)))
    assert np.abs(drawn - [400, 200, 100, 100]).max() <= 1


def test_a_listening_is_worth_what_the_channel_carries():
    ear = [[0.85, 0.15], [0.15, 0.85]]
    assert finite_gain([0.5, 0.5], ear) == pytest.approx(1 - entropy_bits([0.85, 0.15]))
    assert finite_gain([1.0, 0.0], ear) == pytest.approx(0.0)
    assert finite_gain([0.5, 0.5], [[0.3, 0.7], [0.3, 0.7]]) == pytest.approx(0.0)


@pytest.mark.parametrize("noise", [0.3, 1.0, 3.0])
def test_the_sampled_gain_is_that_of_the_linear_gaussian_form(noise):
    rng = np.random.default_rng(0)
    exact = linear_gaussian_gain([[4.0]], [[1.0]], [[noise**2]])
    assert exact == pytest.approx(0.5 * math.log2(1 + 4 / noise**2))
    x, others = rng.normal(0, 2, 4000), rng.normal(0, 2, (4000, 400))
    y = x + noise * rng.standard_normal(4000)
    estimate = sampled_gain(-0.5 * ((y - x) / noise) ** 2, -0.5 * ((y[:, None] - others) / noise) ** 2)
    assert abs(estimate.value - exact) < 3 * estimate.error + 0.003
    assert estimate.interval[0] < estimate.value < estimate.interval[1]


def test_the_correction_takes_away_most_of_the_bias_of_few_samples():
    rng = np.random.default_rng(1)
    x, others = rng.normal(0, 1, 60_000), rng.normal(0, 1, (60_000, 16))
    y = x + rng.standard_normal(60_000)
    of_truth, of_others = -0.5 * (y - x) ** 2, -0.5 * (y[:, None] - others) ** 2
    exact = linear_gaussian_gain([[1.0]], [[1.0]], [[1.0]])
    naive = float(np.mean(of_truth - np.log(np.exp(of_others).mean(axis=1))) / math.log(2))
    assert abs(sampled_gain(of_truth, of_others).value - exact) < 0.4 * abs(naive - exact)


def test_bits_that_change_no_decision_are_worth_nothing():
    told = [[1.0, 0.0], [0.0, 1.0]]
    assert finite_gain([0.5, 0.5], told) == pytest.approx(1.0)
    assert value_of_information([0.5, 0.5], told, [[1.0, 0.0], [2.0, 0.0]]) == pytest.approx(0.0)
    assert value_of_information([0.5, 0.5], told, [[1.0, -1.0], [-1.0, 1.0]]) == pytest.approx(1.0)


def test_sampled_entropy_is_within_its_error_bars_of_the_true_one():
    p = np.array([0.6, 0.2, 0.1, 0.05, 0.05])
    rng = np.random.default_rng(0)
    apart = []
    for _ in range(200):
        estimate = sample_entropy(rng.choice(5, 400, p=p))
        apart.append((estimate.value - entropy_bits(p)) / estimate.error)
    assert abs(np.mean(apart)) < 0.25
    assert np.std(apart) == pytest.approx(1.0, abs=0.2)


def play(problem, planner, rng, steps=100):
    planner.reset()
    state, earned = problem.initial(1, rng), 0.0
    for t in range(steps):
        action = planner.act()
        state, observed, reward, done = problem.step(state, action, rng)
        earned += problem.discount**t * reward[0]
        if done[0]:
            break
        planner.update(action, observed[0])
    return earned


def tiger_value(threshold):
    """Expected return of listening until one side leads by `threshold` votes, then opening the other door."""
    values = {}
    lead = np.arange(-threshold, threshold + 1)
    tiger_left = 1 / (1 + (0.15 / 0.85) ** lead)  # probability that the tiger is on the left, given the lead for left
    values = np.maximum(0, np.abs(lead) >= threshold) * (10 - 110 * np.minimum(tiger_left, 1 - tiger_left))
    for _ in range(400):
        hears_left = 0.85 * tiger_left + 0.15 * (1 - tiger_left)
        ahead = hears_left[1:-1] * values[2:] + (1 - hears_left[1:-1]) * values[:-2]
        values[1:-1] = -1 + 0.95 * ahead
    return values[threshold]


def test_the_planner_plays_the_tiger_as_well_as_can_be():
    problem, rng = Tiger(), np.random.default_rng(5)
    planner = Planner(problem, seed=0, simulations=200, particles=500)
    earned = [play(problem, planner, rng) for _ in range(150)]
    best = max(tiger_value(k) for k in (1, 2, 3, 4))
    assert np.mean(earned) > best - 2.5 * np.std(earned) / math.sqrt(len(earned))


def test_planning_repeats_itself_for_a_seed():
    problem = Tiger()
    first, second = ([play(problem, planner, np.random.default_rng(1)) for _ in range(5)] for planner in
                     (Planner(problem, seed=3, simulations=64, particles=300) for _ in range(2)))  # fmt: skip
    assert first == second


def test_an_observation_that_nothing_explains_is_named_and_left_out():
    deaf = {"likelihood": lambda self, o, s, a: np.zeros(len(s))}
    belief = belief_in(**deaf)
    belief.predict("listen")
    with pytest.raises(BeliefLostError, match="explains the observation"):
        belief.update(1, "listen")
    planner = Planner(type("Deaf", (Tiger,), deaf)(), simulations=16, particles=50)
    with pytest.warns(BeliefLostWarning, match="left out"):
        planner.update("listen", 1)
    assert planner.belief.weights.sum() == pytest.approx(1.0)
    assert planner.act() in Tiger.actions


def test_an_observation_that_is_no_number_is_named_and_left_out():
    planner = Planner(Tiger(), simulations=16, particles=50)
    with pytest.raises(ObservationError, match="not a number"):
        planner.belief.update(float("nan"), "listen")
    with pytest.warns(BeliefLostWarning, match="not a number"):
        planner.update("listen", float("nan"))


def test_a_lost_belief_is_found_again_by_drawing_new_particles():
    planner = Planner(Tiger(), simulations=16, particles=200, method="rollouts")
    planner.belief.states = np.array([[0, 1]])  # as if chance had kept the wrong ones only
    planner.belief.log_weights = np.zeros(1)
    planner.belief._problem = type("Strict", (Tiger,), {"likelihood": lambda self, o, s, a: 1.0 * (s[:, 1] == 0)})()
    planner.update("listen", 1)
    assert set(planner.belief.states[:, 0]) == {0, 1}


def test_a_problem_that_cannot_be_thought_about_is_refused():
    with pytest.raises(ProblemError, match="no actions"):
        Planner(type("Idle", (Tiger,), {"actions": ()})())
    with pytest.raises(ProblemError, match="discount"):
        Planner(type("Hasty", (Tiger,), {"discount": 1.5})())
    with pytest.raises(ProblemError, match="at least 1 particle"):
        Planner(Tiger(), particles=0)
    with pytest.raises(OptionError, match="seconds"):
        Planner(Tiger(), seconds=0)
    with pytest.raises(ProblemError, match="likelihood must be a density"):
        belief_in(likelihood=lambda self, o, s, a: np.full(len(s), np.nan)).update(0, "listen")


class Words(Tiger):
    """Hears words, and answers in whole numbers where it can."""

    def step(self, states, action, rng):
        states, observed, reward, done = super().step(states, action, rng)
        told = np.array(["left", "right on the other side"])[observed]
        return states, told, reward.astype(int), done

    def likelihood(self, observation, states, action):
        return super().likelihood(int(observation != "left"), states, action)


def test_observations_may_be_words_of_any_length():
    problem, rng = Words(), np.random.default_rng(5)
    planner = Planner(problem, seed=0, simulations=200, particles=500)
    assert np.mean([play(problem, planner, rng) for _ in range(100)]) > 1.0


class Lottery:
    """One of many tickets wins a little, the others lose in whole numbers."""

    discount = 0.9
    actions = tuple(range(60))

    def initial(self, n, rng):
        return np.zeros(n)

    def step(self, states, action, rng):
        reward = np.where(states == 0, 0.75, 0.0) if action == 41 else np.where(states == 0, -1, 0)
        return np.ones(len(states)), np.zeros(len(states), int), reward, np.ones(len(states), bool)

    def likelihood(self, observation, states, action):
        return np.ones(len(states))


def test_of_many_actions_all_are_tried_and_none_loses_its_fractions():
    assert Planner(Lottery(), simulations=300, particles=20).act() == 41


def test_an_arm_with_one_lucky_trial_does_not_win():
    arms = BestArm(3)
    arms.note(np.array([[0.0], [5.0], [-1.0]]))
    assert arms.best == 0
    arms.note(np.array([[0.0, 0.1, 0.0, 0.1], [5.0, 5.1, 5.0, 5.1], [-1.0] * 4]))
    assert arms.best == 1


class Faint(Tiger):
    """Its densities are too small for floating point; only their logarithms are told."""

    def log_likelihood(self, observation, states, action):
        return np.log(super().likelihood(observation, states, action)) - 5000.0

    def likelihood(self, observation, states, action):
        raise AssertionError("not to be asked")


def test_densities_too_small_for_floating_point_are_told_as_logarithms():
    problem, rng = Faint(), np.random.default_rng(5)
    planner = Planner(problem, seed=0, simulations=200, particles=500)
    assert np.mean([play(problem, planner, rng) for _ in range(100)]) > 1.0


def test_a_problem_that_answers_with_no_numbers_is_named():
    bad = type("Bad", (Tiger,), {"likelihood": lambda self, o, s, a: np.full(len(s), -1.0)})
    with pytest.raises(ProblemError, match="likelihood must be a density"):
        Planner(bad())
    lost = type("Lost", (Tiger,), {"step": lambda self, s, a, rng: (s, s[:, 0], np.full(len(s), np.nan), s[:, 1] == 1)})
    with pytest.raises(ProblemError, match="finite numbers"):
        Planner(lost())


def test_what_is_known_of_a_problem_goes_with_it():
    problem = Tiger()
    Planner(problem, particles=50)
    alive = weakref.ref(problem)
    del problem
    gc.collect()
    assert alive() is None


class Corridor:
    """Seven cells that are seen; a sign at one end says which of two doors at the other end is the good one."""

    discount = 0.95
    actions = ("west", "east", "a", "b")

    def initial(self, n, rng):
        return np.column_stack([np.full(n, 3), rng.integers(0, 2, n), np.zeros(n, int)])

    def step(self, states, action, rng):
        after, over = states.copy(), states[:, 2] == 1
        if action in ("west", "east"):
            after[:, 0] = np.where(over, states[:, 0], np.clip(states[:, 0] + (1 if action == "east" else -1), 0, 6))
            return after, self.seen(after), np.where(over, 0.0, -0.1), over
        opened = states[:, 0] == 0
        reward = np.where(opened, np.where(states[:, 1] == "ab".index(action), 10.0, -10.0), -0.1)
        after[:, 2] |= opened
        return after, self.seen(after), np.where(over, 0.0, reward), after[:, 2] == 1

    def seen(self, states):
        return np.column_stack([states[:, 0], np.where(states[:, 0] == 6, states[:, 1], -1)])

    def likelihood(self, observation, states, action):
        return (self.seen(states) == observation).all(axis=1).astype(float)


def test_what_is_seen_anyway_does_not_hide_what_there_is_to_find_out():
    problem, rng = Corridor(), np.random.default_rng(0)
    planner = Planner(problem, simulations=128, particles=200)
    best = sum(-0.1 * 0.95**t for t in range(9)) + 10 * 0.95**9  # three cells to the sign, six back, and the door
    assert np.mean([play(problem, planner, rng) for _ in range(10)]) == pytest.approx(best, abs=1e-6)
