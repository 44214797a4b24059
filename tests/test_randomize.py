"""What differs from world to world, and that it differs as declared."""

import csv
import tempfile
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from conftest import QUICK, SIGNPOST, equal, trace
from scipy import stats

from embodied.errors import CheckpointError, OptionError, UnknownNameError
from embodied.randomization.curriculum import divergence, entropy, log_density
from embodied.randomization.distributions import (
    Beta,
    Choice,
    Correlated,
    Distribution,
    Empirical,
    LogUniform,
    Normal,
    Uniform,
)
from embodied.randomization.spec import ADR, DORAEMON, Randomization, RandomizationTerm
from embodied.sysid import Fit

COVARIANCE = ((0.01, 0.008), (0.008, 0.01))
MANY = Randomization((
    RandomizationTerm("*_motor/resistance", LogUniform(0.5, 2.0)),
    RandomizationTerm("*_motor/friction", Uniform(0.5, 2.0), each=True),
    RandomizationTerm("*_motor/latency_s", Uniform(0.5, 1.5)),
    RandomizationTerm("gyro/bias", Normal(0.0, 0.01), "add"),
    RandomizationTerm("camera/misread", Beta(2, 8, 0.0, 0.3), "set"),
    RandomizationTerm("geom_friction[robot/*tyre*][0]", Choice((0.5, 0.9, 1.2))),
    RandomizationTerm("density[robot/chassis]", Empirical((0.8, 0.9, 1.5)), when="build"),
    RandomizationTerm("opt.gravity[2]", Normal(0.0, 0.1, -0.3, 0.3), "add", every_s=0.5),
    RandomizationTerm(("left_motor/constant", "right_motor/constant"), Correlated((1.0, 1.0), COVARIANCE)),
    RandomizationTerm("mat_rgba[floor][0]", Uniform(0.2, 1.0), "set"),
))  # fmt: skip


def varied(what, **how) -> gym.vector.VectorEnv:
    return worlds(1, Randomization((RandomizationTerm(what, Uniform(0, 1), **how),)))


def worlds(n: int, randomize: Randomization = MANY, **given):
    return gym.make_vec(SIGNPOST, num_envs=n, randomize=randomize, autoreset_mode="SameStep", **given)


@pytest.mark.parametrize(
    ("distribution", "like"),
    [
        (Uniform(-1, 3), stats.uniform(-1, 4)),
        (LogUniform(0.1, 10), stats.loguniform(0.1, 10)),
        (Normal(1, 2), stats.norm(1, 2)),
        (Normal(1, 2, 0, 4), stats.truncnorm(-0.5, 1.5, 1, 2)),
        (Beta(2, 5, -1, 1), stats.beta(2, 5, -1, 2)),
        (Empirical((0.0, 1.0, 2.0)), stats.uniform(0, 2)),
    ],
)
def test_values_are_distributed_as_declared(distribution, like):
    u = (np.arange(2000) + 0.5) / 2000
    assert stats.kstest(distribution.quantile(u[:, None])[:, 0], like.cdf).statistic < 1e-3


def test_choices_come_as_often_as_they_weigh():
    u = (np.arange(1000) + 0.5)[:, None] / 1000
    values, counts = np.unique(Choice((3.0, 1.0), (1.0, 3.0)).quantile(u), return_counts=True)
    assert values.tolist() == [1.0, 3.0]
    assert counts.tolist() == [750, 250]


def test_correlated_values_have_their_covariance_and_keep_their_bounds():
    u = np.random.default_rng(0).random((20_000, 2))
    values = Correlated((1.0, 2.0), COVARIANCE).quantile(u)
    assert np.allclose(np.cov(values.T), COVARIANCE, atol=5e-4)
    assert np.allclose(values.mean(0), (1, 2), atol=5e-3)
    assert Correlated((1.0, 2.0), COVARIANCE, (1.0, 0.0), (3.0, 2.0)).quantile(u).min(0)[0] == 1.0


def test_world_i_is_the_single_world_of_seed_plus_i_whatever_the_threads():
    commands = np.random.default_rng(0).uniform(-1, 1, (20, 3, 3))
    together = trace(worlds(3, threads=2), commands, seed=5)
    assert equal(together, trace(worlds(3, threads=1), commands, seed=5))
    for i in range(3):
        alone = trace(worlds(1), commands[:, i : i + 1], seed=5 + i)
        assert all(np.array_equal(t[i : i + 1], a) for t, a in zip(together, alone, strict=True))


def test_what_was_drawn_is_told_and_what_it_scales_is_the_declared_body():
    env = worlds(4)
    plain = gym.make_vec(SIGNPOST, num_envs=1)
    nominal = plain.unwrapped.body.parameter("left_motor/resistance")[0, 0]
    for _ in range(3):
        _, info = env.reset()
        column = env.sampled_parameter_names.index("*_motor/resistance")
        for motor in ("left", "right"):
            assert np.allclose(
                env.body.parameter(f"{motor}_motor/resistance")[:, 0], nominal * info["sampled_parameters"][:, column]
            )
    assert len(np.unique(info["sampled_parameters"][:, column])) == 4
    friction = [env.sampled_parameter_names.index(f"robot/{side}_motor/friction") for side in ("left", "right")]
    assert not np.any(info["sampled_parameters"][:, friction[0]] == info["sampled_parameters"][:, friction[1]])


def test_what_is_drawn_at_build_stays_and_what_changes_within_an_episode_changes_in_time():
    env = worlds(2)
    _, first = env.reset(seed=0)
    _, second = env.reset()
    built, gravity = (
        env.sampled_parameter_names.index("density[robot/chassis]"),
        env.sampled_parameter_names.index("opt.gravity[2]"),
    )
    assert np.array_equal(first["sampled_parameters"][:, built], second["sampled_parameters"][:, built])
    told = [env.step(np.zeros((2, 3)))[-1]["sampled_parameters"] for _ in range(12)]
    changed = [k for k in range(11) if np.any(told[k + 1][:, gravity] != told[k][:, gravity])]
    assert changed == [4, 9]
    assert all(np.array_equal(np.delete(t, gravity, 1), np.delete(told[0], gravity, 1)) for t in told)


def test_of_two_that_vary_the_same_the_later_holds_throughout_the_episode():
    often = RandomizationTerm("opt.gravity[2]", Uniform(-5.0, -4.0), "set", every_s=0.2)
    env = worlds(2, Randomization((often, RandomizationTerm("opt.gravity[2]", Uniform(-2.0, -1.0), "set"))))
    env.reset(seed=0)
    for _ in range(6):
        env.step(np.zeros((2, 3)))
        assert (env.batch.field("opt.gravity")[:, 2] >= -2.0).all()


def test_what_is_drawn_once_per_world_is_not_probed_again():
    once = RandomizationTerm("density[robot/chassis]", Uniform(0.5, 1.5), when="build")
    env = worlds(64, Randomization((once,), ADR(boundary_share=1.0, episodes=16)))
    env.reset(seed=0)
    env.reset()
    env.randomizer.learn(np.ones(64, bool), np.ones(64, bool))
    assert np.allclose(env.randomizer.window, [[0.45, 0.55]])


def test_a_world_is_replayed_from_its_draw():
    env, commands = worlds(3), np.random.default_rng(1).uniform(-1, 1, (4, 3, 3))
    first = trace(env, commands)
    sampled = env.randomizer.sampled.copy()
    other = worlds(3, Randomization(tuple(RandomizationTerm(v.what, v.by, v.how, v.each, v.when) for v in MANY.terms)))
    obs, _ = other.reset(seed=3, options={"sampled_parameters": sampled})
    assert np.array_equal(obs, first[0])
    assert np.array_equal(other.step(commands[0])[0], first[4])
    for bad in (sampled[:, 1:], sampled * np.nan):
        with pytest.raises(OptionError, match="sampled_parameters must be finite"):
            other.reset(options={"sampled_parameters": bad})


def test_constants_follow_from_what_is_drawn():
    env = worlds(2, Randomization((RandomizationTerm("density[robot/chassis]", Uniform(1.2, 2.0)),)))
    _, info = env.reset(seed=0)
    for world in range(2):
        model, _ = env.batch.render_pair(world)
        wanted = env.batch.model.body("robot/chassis").mass[0] * info["sampled_parameters"][world, 0]
        assert np.isclose(model.body("robot/chassis").mass[0], wanted)
        data = mujoco.MjData(model)
        constants = model.body_invweight0.copy()
        mujoco.mj_setConst(model, data)
        assert np.allclose(model.body_invweight0, constants)


def test_a_randomized_run_goes_on_exactly_where_it_stood():
    commands = np.random.default_rng(2).uniform(-1, 1, (14, 2, 3))
    env = worlds(2)
    env.reset(seed=1)
    for command in commands[:7]:
        env.step(command)
    other = worlds(2)
    other.set_state(env.get_state())
    for command in commands[7:]:
        assert all(np.array_equal(a, b) for a, b in zip(env.step(command)[:4], other.step(command)[:4], strict=True))


def test_a_declaration_is_read_as_it_was_written(tmp_path):
    MANY.save(tmp_path / "randomize.json")
    assert Randomization.load(tmp_path / "randomize.json") == MANY
    _, info = gym.make(SIGNPOST, randomize=str(tmp_path / "randomize.json")).reset(seed=0)
    assert info["sampled_parameters"].shape == (12,)


def test_a_fit_becomes_a_randomization_that_is_spread_as_its_posterior():
    names = ("left_motor/resistance", "left_motor/constant")
    found = Fit(
        names, tuple((name,) for name in names), np.array([4.0, 0.5]), np.array([[0.04, 0.002], [0.002, 4e-4]]),
        np.ones(2), np.array([1.0, 0.1]), np.array([8.0, 1.0]), 100, np.zeros((1, 2, 1)), ("wheel",),
    )  # fmt: skip
    env = worlds(512, found.randomization())
    env.reset(seed=0)
    sampled = np.concatenate([env.body.parameter(name) for name in names], 1)
    assert np.allclose(np.cov(sampled.T), found.covariance, rtol=0.2)
    assert env.sampled_parameter_names == names
    assert worlds(1, found.randomization({names[0]: "*_motor/resistance"})).sampled_parameter_names == (
        "*_motor/resistance",
    )
    with pytest.raises(UnknownNameError, match="found parameter"):
        found.randomization({"gain": "gain"})


WIDENING = ADR(episodes=16)
ENTROPY = DORAEMON(episodes=128, step=0.3)


class Reached:
    """An environment whose success is decided by the test."""

    def __init__(self, succeeds, curriculum=WIDENING, rounds=60):
        vary = (
            RandomizationTerm("left_motor/resistance", Uniform(0.5, 1.5)),
            RandomizationTerm("density[robot/chassis]", Uniform(0.5, 1.5)),
        )
        self.env = worlds(64, Randomization(vary, curriculum))
        self.env.reset(seed=0)
        for _ in range(rounds):
            sampled = self.env.randomizer.sampled
            self.env.randomizer.learn(np.ones(64, bool), succeeds(sampled))
            self.env.reset()


def test_what_differs_grows_with_success_and_stops_where_the_robot_fails():
    always = Reached(lambda sampled: np.ones(64, bool)).env.randomizer
    assert np.allclose(always.window, [[0, 1], [0, 1]])
    assert np.ptp(always.sampled, axis=0).min() > 0.9
    never = Reached(lambda sampled: np.zeros(64, bool)).env.randomizer
    assert np.allclose(never.window, [[0.45, 0.55], [0.45, 0.55]])
    weak = Reached(lambda sampled: sampled[:, 0] < 1.2).env.randomizer
    assert np.allclose(weak.window[:, 0], 0)
    assert 0.65 <= weak.window[0, 1] <= 0.8
    assert weak.window[1, 1] == 1


@pytest.mark.parametrize("curriculum", [WIDENING, ENTROPY])
def test_a_curriculum_goes_on_where_it_stood_and_is_read_as_it_was_written(tmp_path, curriculum):
    env = Reached(lambda sampled: sampled[:, 0] < 1.2, curriculum, 30).env
    other = Reached(lambda sampled: np.zeros(64, bool), curriculum, 30).env
    other.set_state(env.get_state())
    assert np.array_equal(other.randomizer.window, env.randomizer.window)
    different = Randomization(MANY.terms, replace(curriculum, begin=0.2))
    different.save(tmp_path / "wide.json")
    assert Randomization.load(tmp_path / "wide.json") == different
    (tmp_path / "odd.json").write_text((tmp_path / "wide.json").read_text().replace(type(curriculum).__name__, "Wide"))
    with pytest.raises(UnknownNameError, match="ADR"):
        Randomization.load(tmp_path / "odd.json")
    with pytest.raises(OptionError, match="between 0 and 1"):
        ADR(begin=2.0)


def test_entropy_grows_to_all_that_was_declared_where_the_robot_always_succeeds_and_not_where_it_never_does():
    always = Reached(lambda sampled: np.ones(64, bool), ENTROPY).env.randomizer
    assert np.allclose(always.window, [[0.05, 0.95]] * 2, atol=0.01)
    never = Reached(lambda sampled: np.zeros(64, bool), ENTROPY, 20).env.randomizer
    assert np.allclose(never.window, [[0.45, 0.55]] * 2, atol=0.01)


def test_entropy_grows_only_as_far_as_the_robot_succeeds_often_enough():
    passed = lambda sampled: sampled[:, 0] < 1.1  # noqa: E731
    reached = Reached(passed, DORAEMON(episodes=256, step=0.3, success=0.8), 120)
    sampled = []
    for _ in range(40):
        reached.env.reset()
        sampled.append(reached.env.randomizer.sampled.copy())
    sampled = np.concatenate(sampled)
    assert 0.7 < passed(sampled).mean() < 0.9
    assert np.ptp(sampled[:, 1]) > 0.95
    assert np.std(sampled[:, 0]) > 0.1


def test_where_success_is_too_rare_draws_go_to_where_there_is_more_of_it():
    right = Reached(lambda sampled: sampled[:, 0] > 1.05, DORAEMON(episodes=128, success=0.9), 40).env.randomizer
    assert right.window[0].mean() > 0.6


def test_what_is_not_drawn_by_the_curriculum_teaches_it_nothing():
    failing = lambda sampled: np.abs(sampled[:, 1] - 1) < 0.02  # noqa: E731
    for kept in ({"when": "build"}, {"every_s": 0.1}):
        density = RandomizationTerm("density[robot/chassis]", Uniform(0.5, 1.5), **kept)
        env = worlds(
            64, Randomization((RandomizationTerm("left_motor/resistance", Uniform(0.5, 1.5)), density), ENTROPY)
        )
        env.reset(seed=0)
        for _ in range(30):
            for _ in range(2):
                env.step(np.zeros((64, 3)))
            env.randomizer.learn(np.ones(64, bool), failing(env.randomizer.sampled))
            env.reset()
        assert np.ptp(env.randomizer.window[1]) < 0.2


def test_entropy_and_divergence_of_bells_are_those_of_scipy():
    shapes, others = np.array([[2.0, 5.0], [30.0, 4.0]]), np.array([[3.0, 3.0], [20.0, 6.0]])
    one, other = (stats.beta(*s.T) for s in (shapes, others))
    assert entropy(shapes) == pytest.approx(one.entropy().sum())
    x = (np.arange(200_000)[:, None] + 0.5) / 200_000
    density = one.pdf(x)
    by_hand = np.mean(density * (np.log(density + 1e-300) - other.logpdf(x)), axis=0).sum()
    assert divergence(shapes, others) == pytest.approx(by_hand, rel=1e-3)
    assert divergence(shapes, shapes) == pytest.approx(0, abs=1e-12)
    assert np.allclose(log_density(shapes, x[::1000]), one.logpdf(x[::1000]))


def test_no_step_of_entropy_goes_farther_than_it_may():
    way, reached = [], Reached(lambda sampled: np.ones(64, bool), ENTROPY, 0)
    randomizer = reached.env.randomizer
    for _ in range(12):
        reached.env.reset()
        before = randomizer._curriculum.shapes.copy()
        randomizer.learn(np.ones(64, bool), np.ones(64, bool))
        way.append(divergence(randomizer._curriculum.shapes, before))
    assert max(way) <= 1.05 * ENTROPY.step
    assert sum(step > 0 for step in way) == 6


def former():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "former.json"
        path.write_text('{"vary": [], "widening": {}}')
        return Randomization.load(path)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: varied("left_moter/resistance"), UnknownNameError, "left_motor"),
        (lambda: varied("geom_frictoin[*]"), UnknownNameError, "geom_friction"),
        (lambda: varied("*/latency_s", every_s=1.0), OptionError, "at a reset"),
        (lambda: RandomizationTerm("a", Uniform(0, 1), "times"), OptionError, "known: set, scale, add"),
        (lambda: RandomizationTerm(("a", "b"), Uniform(0, 1)), OptionError, "2 names for 1 numbers"),
        (lambda: Uniform(1, 1), OptionError, "low must be below high"),
        (lambda: Correlated((1.0,), ((-1.0,),)), OptionError, "negative directions"),
        (lambda: Distribution.from_jsonable({"kind": "Unifrom"}), UnknownNameError, "did you mean 'Uniform'"),
        (lambda: Randomization.load("nowhere.json"), OptionError, "nowhere.json is no randomization: No such file"),
        (lambda: former(), OptionError, "vary, widening beside terms and curriculum"),
    ],
)  # fmt: skip
def test_wrong_declarations_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_training_writes_down_what_each_world_was_given_and_a_failing_one_is_met_again(tmp_path):
    from embodied.learn.ppo import SequencePPO
    from embodied.vector.vec import GymVecEnv
    from embodied_policies import MlpPolicy
    from embodied_scripts.training.randomization_log import OWN, RandomizationLog

    path = tmp_path / "randomization.csv"
    env = gym.make_vec(SIGNPOST, num_envs=4, randomize=MANY, episode_s=1.0, autoreset_mode="SameStep")
    model = SequencePPO(MlpPolicy, GymVecEnv(env), QUICK, n_steps=16, minibatches=2, seed=0)
    for _ in range(2):
        model.learn(4 * 16 * 2, callback=RandomizationLog(path, env.sampled_parameter_names), reset_num_timesteps=False)
    head, *rows = csv.reader(path.open())
    assert head == [*OWN, *env.sampled_parameter_names]
    assert len({(row[0], row[1]) for row in rows}) == len(rows) == 4 * (64 // 10)
    given = [np.array(row[len(OWN) :], float) for row in rows]
    assert len({tuple(one) for one in given}) == len(rows)
    failing = next(k for k, row in enumerate(rows) if row[3] == "0")
    again = gym.make_vec(SIGNPOST, num_envs=1, randomize=MANY)
    _, info = again.reset(options={"sampled_parameters": given[failing][None]})
    assert np.array_equal(info["sampled_parameters"][0], given[failing])
    lost = path.read_text().splitlines()[:-3]
    path.write_text("\n".join([*lost, "999,1,0.5"]))  # what a kill leaves
    model.num_timesteps = int(lost[-2].split(",")[0]) - 1
    model.learn(0, callback=RandomizationLog(path, env.sampled_parameter_names), reset_num_timesteps=False)
    kept = [line for line in lost[1:] if int(line.split(",")[0]) <= model.num_timesteps]
    assert path.read_text().splitlines()[1:] == kept
    assert 0 < len(kept) < len(rows)
    path.write_text("step,world,return,success,gravity\n")
    with pytest.raises(CheckpointError, match="another randomization: gravity"):
        model.learn(0, callback=RandomizationLog(path, env.sampled_parameter_names), reset_num_timesteps=False)


IMPOSSIBLE = [
    ("density[robot/chassis]", Uniform(-0.5, 2.0), "scale", "must be positive"),
    ("geom_friction[robot/*tyre*][0]", Choice((0.5, -0.1)), "set", "must be not negative"),
    ("body_inertia[robot/chassis][0]", LogUniform(0.5, 20.0), "scale", "none above the sum of the other two"),
    ("actuator_ctrlrange[robot/left_motor][0]", Uniform(0.0, 50.0), "set", "a lower limit below an upper one"),
    ("mat_specular[floor]", Uniform(0.5, 1.5), "set", "between 0 and 1"),
    ("left_motor/resistance", Uniform(-5.0, 1.0), "add", "must be positive"),
    ("camera/misread", Empirical((0.1, 1.2)), "set", "between 0 and 1"),
]


@pytest.mark.parametrize(("what", "by", "how", "why"), IMPOSSIBLE)
def test_what_could_make_an_impossible_world_is_refused_when_it_is_declared(what, by, how, why):
    with pytest.raises(OptionError, match=why):
        worlds(1, Randomization((RandomizationTerm(what, by, how),)))


def test_impossible_draws_of_unbounded_distributions_are_drawn_again():
    by = Normal(1.0, 1.0)
    env = worlds(400, Randomization((RandomizationTerm("density[robot/chassis]", by),)))
    _, info = env.reset(seed=0)
    sampled = info["sampled_parameters"][:, 0]
    assert sampled.min() > 0
    truncated = stats.truncnorm(-1.0, np.inf, 1.0, 1.0)
    assert stats.kstest(sampled, truncated.cdf).pvalue > 0.01


def test_limits_of_one_actuator_that_are_sampled_apart_never_stand_upside_down():
    name = "actuator_ctrlrange[robot/left_motor]"
    env = worlds(
        300,
        Randomization((
            RandomizationTerm(f"{name}[0]", Normal(-1.0, 1.0), "set"),
            RandomizationTerm(f"{name}[1]", Normal(0.0, 1.0), "set"),
        )),
    )  # fmt: skip
    _, info = env.reset(seed=0)
    low, high = info["sampled_parameters"].T
    assert (low < high).all()
    assert np.corrcoef(low, high)[0, 1] > 0.1  # what remains of two independent normals is correlated
    row = env.unwrapped.batch.model.actuator("robot/left_motor").id
    np.testing.assert_array_equal(env.unwrapped.batch.field("actuator_ctrlrange")[:, row], np.column_stack([low, high]))


def test_a_draw_that_is_put_back_must_be_possible():
    env = worlds(2, Randomization((RandomizationTerm("density[robot/chassis]", Normal(1.0, 0.1)),)))
    with pytest.raises(OptionError, match="is not positive"):
        env.reset(seed=0, options={"sampled_parameters": np.array([[1.0], [-1.0]])})


def test_several_numbers_within_bounds_are_drawn_again_rather_than_clipped():
    by = Correlated((0.0, 0.0), ((1.0, 0.6), (0.6, 1.0)), (-0.5, -2.0), (3.0, 2.0))
    draws = by.quantile(np.random.default_rng(0).random((20_000, 2)))
    assert not np.isin(draws, (-0.5, 3.0, -2.0, 2.0)).any()
    plain = np.random.default_rng(1).multivariate_normal((0, 0), ((1.0, 0.6), (0.6, 1.0)), 200_000)
    kept = plain[((plain >= (-0.5, -2.0)) & (plain <= (3.0, 2.0))).all(axis=1)]
    np.testing.assert_allclose(draws.mean(axis=0), kept.mean(axis=0), atol=0.03)
    np.testing.assert_allclose(np.cov(draws.T), np.cov(kept.T), atol=0.03)
    assert stats.ks_2samp(draws[:, 0], kept[:, 0]).pvalue > 0.001


def test_the_center_of_mass_of_a_body_that_mujoco_would_simplify_can_differ():
    env = gym.make_vec(
        "embodied/Weigh-v0",
        num_envs=2,
        randomize=Randomization((RandomizationTerm("body_ipos[box0][0]", Uniform(0.01, 0.03), "add"),)),
    )
    _, info = env.reset(seed=0)
    batch = env.unwrapped.batch
    box = batch.model.body("box0").id
    offset = batch.array("xipos")[:, box] - batch.array("xpos")[:, box]
    np.testing.assert_allclose(np.linalg.norm(offset, axis=1), info["sampled_parameters"][:, 0], rtol=1e-9)


def test_density_and_mass_of_one_body_and_scales_of_nothing_are_refused():
    both = (RandomizationTerm("density[robot/chassis]", Uniform(0.9, 1.1)),
            RandomizationTerm("body_mass[robot/chassis]", Uniform(0.9, 1.1)))  # fmt: skip
    with pytest.raises(OptionError, match="density of the same body"):
        worlds(1, Randomization(both))
    with pytest.raises(OptionError, match="scaling it has no effect"):
        worlds(1, Randomization((RandomizationTerm("body_gravcomp[robot/chassis]", Uniform(0.9, 1.1)),)))


def test_axes_that_differ_go_on_after_a_resume_as_if_there_had_been_none():
    terms = (
        RandomizationTerm("geom_quat[robot/hull][1]", Uniform(-0.3, 0.3), "add"),
        RandomizationTerm("geom_quat[robot/hull][2]", Uniform(-0.3, 0.3), "add", every_s=0.2),
    )
    first, second = (worlds(2, Randomization(terms)) for _ in range(2))
    first.reset(seed=0)
    second.reset(seed=9)
    for _ in range(3):
        first.step(np.zeros((2, 3)))
    second.unwrapped.set_state(first.unwrapped.get_state())
    for env in (first, second):
        for _ in range(5):
            env.step(np.zeros((2, 3)))
    hull = first.unwrapped.batch.model.geom("robot/hull").id
    quats = [env.unwrapped.batch.field("geom_quat")[:, hull] for env in (first, second)]
    np.testing.assert_array_equal(*quats)
