"""What differs from world to world, and that it differs as declared."""

import csv
import tempfile
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from conftest import SIGNPOST, equal, trace
from scipy import stats

from embodied.distributions import Beta, Choice, Correlated, Distribution, Empirical, LogUniform, Normal, Uniform
from embodied.errors import CheckpointError, OptionError, UnknownNameError
from embodied.randomisation import MaximumEntropy, Randomisation, Vary, Widening
from embodied.sysid import Fit
from embodied.world.curriculum import divergence, entropy, log_density

COVARIANCE = ((0.01, 0.008), (0.008, 0.01))
MANY = Randomisation((
    Vary("*_motor/resistance", LogUniform(0.5, 2.0)),
    Vary("*_motor/friction", Uniform(0.5, 2.0), each=True),
    Vary("*_motor/latency_s", Uniform(0.5, 1.5)),
    Vary("gyro/bias", Normal(0.0, 0.01), "add"),
    Vary("camera/misread", Beta(2, 8, 0.0, 0.3), "set"),
    Vary("geom_friction[robot/*tyre*][0]", Choice((0.5, 0.9, 1.2))),
    Vary("density[robot/chassis]", Empirical((0.8, 0.9, 1.5)), when="build"),
    Vary("opt.gravity[2]", Normal(0.0, 0.1, -0.3, 0.3), "add", every_s=0.5),
    Vary(("left_motor/constant", "right_motor/constant"), Correlated((1.0, 1.0), COVARIANCE)),
    Vary("mat_rgba[floor][0]", Uniform(0.2, 1.0), "set"),
))  # fmt: skip


def varied(what, **how) -> gym.vector.VectorEnv:
    return worlds(1, Randomisation((Vary(what, Uniform(0, 1), **how),)))


def worlds(n: int, randomise: Randomisation = MANY, **given):
    return gym.make_vec(SIGNPOST, num_envs=n, randomise=randomise, autoreset_mode="SameStep", **given)


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
        column = env.drawn_names.index("*_motor/resistance")
        for motor in ("left", "right"):
            assert np.allclose(
                env.body.parameter(f"{motor}_motor/resistance")[:, 0], nominal * info["drawn"][:, column]
            )
    assert len(np.unique(info["drawn"][:, column])) == 4
    friction = [env.drawn_names.index(f"robot/{side}_motor/friction") for side in ("left", "right")]
    assert not np.any(info["drawn"][:, friction[0]] == info["drawn"][:, friction[1]])


def test_what_is_drawn_at_build_stays_and_what_changes_within_an_episode_changes_in_time():
    env = worlds(2)
    _, first = env.reset(seed=0)
    _, second = env.reset()
    built, gravity = env.drawn_names.index("density[robot/chassis]"), env.drawn_names.index("opt.gravity[2]")
    assert np.array_equal(first["drawn"][:, built], second["drawn"][:, built])
    told = [env.step(np.zeros((2, 3)))[-1]["drawn"] for _ in range(12)]
    changed = [k for k in range(11) if np.any(told[k + 1][:, gravity] != told[k][:, gravity])]
    assert changed == [4, 9]
    assert all(np.array_equal(np.delete(t, gravity, 1), np.delete(told[0], gravity, 1)) for t in told)


def test_of_two_that_vary_the_same_the_later_holds_throughout_the_episode():
    often = Vary("opt.gravity[2]", Uniform(-5.0, -4.0), "set", every_s=0.2)
    env = worlds(2, Randomisation((often, Vary("opt.gravity[2]", Uniform(-2.0, -1.0), "set"))))
    env.reset(seed=0)
    for _ in range(6):
        env.step(np.zeros((2, 3)))
        assert (env.batch.field("opt.gravity")[:, 2] >= -2.0).all()


def test_what_is_drawn_once_per_world_is_not_probed_again():
    once = Vary("density[robot/chassis]", Uniform(0.5, 1.5), when="build")
    env = worlds(64, Randomisation((once,), Widening(probing=1.0, episodes=16)))
    env.reset(seed=0)
    env.reset()
    env.randomiser.learn(np.ones(64, bool), np.ones(64, bool))
    assert np.allclose(env.randomiser.window, [[0.45, 0.55]])


def test_a_world_is_replayed_from_its_draw():
    env, commands = worlds(3), np.random.default_rng(1).uniform(-1, 1, (4, 3, 3))
    first = trace(env, commands)
    drawn = env.randomiser.drawn.copy()
    other = worlds(3, Randomisation(tuple(Vary(v.what, v.by, v.how, v.each, v.when) for v in MANY.vary)))
    obs, _ = other.reset(seed=3, options={"drawn": drawn})
    assert np.array_equal(obs, first[0])
    assert np.array_equal(other.step(commands[0])[0], first[4])
    for bad in (drawn[:, 1:], drawn * np.nan):
        with pytest.raises(OptionError, match="drawn must be finite"):
            other.reset(options={"drawn": bad})


def test_constants_follow_from_what_is_drawn():
    env = worlds(2, Randomisation((Vary("density[robot/chassis]", Uniform(1.2, 2.0)),)))
    _, info = env.reset(seed=0)
    for world in range(2):
        model, _ = env.batch.render_pair(world)
        wanted = env.batch.model.body("robot/chassis").mass[0] * info["drawn"][world, 0]
        assert np.isclose(model.body("robot/chassis").mass[0], wanted)
        data = mujoco.MjData(model)
        constants = model.body_invweight0.copy()
        mujoco.mj_setConst(model, data)
        assert np.allclose(model.body_invweight0, constants)


def test_a_randomised_run_goes_on_exactly_where_it_stood():
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
    MANY.save(tmp_path / "randomise.json")
    assert Randomisation.load(tmp_path / "randomise.json") == MANY
    _, info = gym.make(SIGNPOST, randomise=str(tmp_path / "randomise.json")).reset(seed=0)
    assert info["drawn"].shape == (12,)


def test_a_fit_becomes_a_randomisation_that_is_spread_as_its_posterior():
    names = ("left_motor/resistance", "left_motor/constant")
    found = Fit(
        names, tuple((name,) for name in names), np.array([4.0, 0.5]), np.array([[0.04, 0.002], [0.002, 4e-4]]),
        np.ones(2), np.array([1.0, 0.1]), np.array([8.0, 1.0]), 100, np.zeros((1, 2, 1)), ("wheel",),
    )  # fmt: skip
    env = worlds(512, found.randomisation())
    env.reset(seed=0)
    drawn = np.concatenate([env.body.parameter(name) for name in names], 1)
    assert np.allclose(np.cov(drawn.T), found.covariance, rtol=0.2)
    assert env.drawn_names == names
    assert worlds(1, found.randomisation({names[0]: "*_motor/resistance"})).drawn_names == ("*_motor/resistance",)
    with pytest.raises(UnknownNameError, match="found parameter"):
        found.randomisation({"gain": "gain"})


WIDENING = Widening(episodes=16)
ENTROPY = MaximumEntropy(episodes=128, step=0.3)


class Reached:
    """An environment whose success is decided by the test."""

    def __init__(self, succeeds, curriculum=WIDENING, rounds=60):
        vary = (Vary("left_motor/resistance", Uniform(0.5, 1.5)), Vary("density[robot/chassis]", Uniform(0.5, 1.5)))
        self.env = worlds(64, Randomisation(vary, curriculum))
        self.env.reset(seed=0)
        for _ in range(rounds):
            drawn = self.env.randomiser.drawn
            self.env.randomiser.learn(np.ones(64, bool), succeeds(drawn))
            self.env.reset()


def test_what_differs_grows_with_success_and_stops_where_the_robot_fails():
    always = Reached(lambda drawn: np.ones(64, bool)).env.randomiser
    assert np.allclose(always.window, [[0, 1], [0, 1]])
    assert np.ptp(always.drawn, axis=0).min() > 0.9
    never = Reached(lambda drawn: np.zeros(64, bool)).env.randomiser
    assert np.allclose(never.window, [[0.45, 0.55], [0.45, 0.55]])
    weak = Reached(lambda drawn: drawn[:, 0] < 1.2).env.randomiser
    assert np.allclose(weak.window[:, 0], 0)
    assert 0.65 <= weak.window[0, 1] <= 0.8
    assert weak.window[1, 1] == 1


@pytest.mark.parametrize("curriculum", [WIDENING, ENTROPY])
def test_a_curriculum_goes_on_where_it_stood_and_is_read_as_it_was_written(tmp_path, curriculum):
    env = Reached(lambda drawn: drawn[:, 0] < 1.2, curriculum, 30).env
    other = Reached(lambda drawn: np.zeros(64, bool), curriculum, 30).env
    other.set_state(env.get_state())
    assert np.array_equal(other.randomiser.window, env.randomiser.window)
    different = Randomisation(MANY.vary, replace(curriculum, begin=0.2))
    different.save(tmp_path / "wide.json")
    assert Randomisation.load(tmp_path / "wide.json") == different
    (tmp_path / "odd.json").write_text((tmp_path / "wide.json").read_text().replace(type(curriculum).__name__, "Wide"))
    with pytest.raises(UnknownNameError, match="Widening"):
        Randomisation.load(tmp_path / "odd.json")
    with pytest.raises(OptionError, match="between 0 and 1"):
        Widening(begin=2.0)


def test_entropy_grows_to_all_that_was_declared_where_the_robot_always_succeeds_and_not_where_it_never_does():
    always = Reached(lambda drawn: np.ones(64, bool), ENTROPY).env.randomiser
    assert np.allclose(always.window, [[0.05, 0.95]] * 2, atol=0.01)
    never = Reached(lambda drawn: np.zeros(64, bool), ENTROPY, 20).env.randomiser
    assert np.allclose(never.window, [[0.45, 0.55]] * 2, atol=0.01)


def test_entropy_grows_only_as_far_as_the_robot_succeeds_often_enough():
    passed = lambda drawn: drawn[:, 0] < 1.1  # noqa: E731
    reached = Reached(passed, MaximumEntropy(episodes=256, step=0.3, success=0.8), 120)
    drawn = []
    for _ in range(40):
        reached.env.reset()
        drawn.append(reached.env.randomiser.drawn.copy())
    drawn = np.concatenate(drawn)
    assert 0.7 < passed(drawn).mean() < 0.9
    assert np.ptp(drawn[:, 1]) > 0.95
    assert np.std(drawn[:, 0]) > 0.1


def test_where_success_is_too_rare_draws_go_to_where_there_is_more_of_it():
    right = Reached(lambda drawn: drawn[:, 0] > 1.05, MaximumEntropy(episodes=128, success=0.9), 40).env.randomiser
    assert right.window[0].mean() > 0.6


def test_what_is_not_drawn_by_the_curriculum_teaches_it_nothing():
    failing = lambda drawn: np.abs(drawn[:, 1] - 1) < 0.02  # noqa: E731
    for kept in ({"when": "build"}, {"every_s": 0.1}):
        density = Vary("density[robot/chassis]", Uniform(0.5, 1.5), **kept)
        env = worlds(64, Randomisation((Vary("left_motor/resistance", Uniform(0.5, 1.5)), density), ENTROPY))
        env.reset(seed=0)
        for _ in range(30):
            for _ in range(2):
                env.step(np.zeros((64, 3)))
            env.randomiser.learn(np.ones(64, bool), failing(env.randomiser.drawn))
            env.reset()
        assert np.ptp(env.randomiser.window[1]) < 0.2


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
    way, reached = [], Reached(lambda drawn: np.ones(64, bool), ENTROPY, 0)
    randomiser = reached.env.randomiser
    for _ in range(12):
        reached.env.reset()
        before = randomiser._curriculum.shapes.copy()
        randomiser.learn(np.ones(64, bool), np.ones(64, bool))
        way.append(divergence(randomiser._curriculum.shapes, before))
    assert max(way) <= 1.05 * ENTROPY.step
    assert sum(step > 0 for step in way) == 6


def former():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "former.json"
        path.write_text('{"vary": [], "widening": {}}')
        return Randomisation.load(path)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: varied("left_moter/resistance"), UnknownNameError, "left_motor"),
        (lambda: varied("geom_frictoin[*]"), UnknownNameError, "geom_friction"),
        (lambda: varied("*/latency_s", every_s=1.0), OptionError, "at a reset"),
        (lambda: Vary("a", Uniform(0, 1), "times"), OptionError, "known: set, scale, add"),
        (lambda: Vary(("a", "b"), Uniform(0, 1)), OptionError, "2 names for 1 numbers"),
        (lambda: Uniform(1, 1), OptionError, "low must be below high"),
        (lambda: Correlated((1.0,), ((-1.0,),)), OptionError, "negative directions"),
        (lambda: Distribution.from_jsonable({"kind": "Unifrom"}), UnknownNameError, "did you mean 'Uniform'"),
        (lambda: Randomisation.load("nowhere.json"), OptionError, "no randomisation"),
        (lambda: former(), OptionError, "widening beside vary and curriculum"),
    ],
)  # fmt: skip
def test_wrong_declarations_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_training_writes_down_what_each_world_was_given_and_a_failing_one_is_met_again(tmp_path):
    from embodied.learn.ppo import SequencePPO
    from embodied.learn.vec import GymVecEnv
    from embodied_policies import MLPPolicy
    from embodied_scripts.draws import OWN, DrawsLog

    path = tmp_path / "draws.csv"
    env = gym.make_vec(SIGNPOST, num_envs=4, randomise=MANY, episode_s=1.0, autoreset_mode="SameStep")
    model = SequencePPO(MLPPolicy, GymVecEnv(env), n_steps=16, minibatches=2, seed=0)
    for _ in range(2):
        model.learn(4 * 16 * 2, callback=DrawsLog(path, env.drawn_names), reset_num_timesteps=False)
    head, *rows = csv.reader(path.open())
    assert head == [*OWN, *env.drawn_names]
    assert len({(row[0], row[1]) for row in rows}) == len(rows) == 4 * (64 // 10)
    given = [np.array(row[len(OWN) :], float) for row in rows]
    assert len({tuple(one) for one in given}) == len(rows)
    failing = next(k for k, row in enumerate(rows) if row[3] == "0")
    again = gym.make_vec(SIGNPOST, num_envs=1, randomise=MANY)
    _, info = again.reset(options={"drawn": given[failing][None]})
    assert np.array_equal(info["drawn"][0], given[failing])
    lost = path.read_text().splitlines()[:-3]
    path.write_text("\n".join([*lost, "999,1,0.5"]))  # what a kill leaves
    model.num_timesteps = int(lost[-2].split(",")[0]) - 1
    model.learn(0, callback=DrawsLog(path, env.drawn_names), reset_num_timesteps=False)
    kept = [line for line in lost[1:] if int(line.split(",")[0]) <= model.num_timesteps]
    assert path.read_text().splitlines()[1:] == kept
    assert 0 < len(kept) < len(rows)
    path.write_text("step,world,return,success,gravity\n")
    with pytest.raises(CheckpointError, match="another randomisation: gravity"):
        model.learn(0, callback=DrawsLog(path, env.drawn_names), reset_num_timesteps=False)
