"""From logs of a whole robot to its declared parameters, and to the worlds that it may live in."""

import gymnasium as gym
import numpy as np
import pytest
from conftest import SIGNPOST

from embodied.errors import OptionError, RecordingError, UnknownNameError
from embodied.sysid import Parameter, Recorder, fit
from embodied.world.replay import ReplayPlant

TRUTH = {"left_motor/friction": 0.22, "right_motor/constant": 0.40}  # a resistance would look like friction
SCALES = {"wheel_speed": 0.05, "gyro": 0.05}


def make(worlds: int):
    return gym.make_vec(SIGNPOST, num_envs=worlds, threads=1)


def logs(truth: dict[str, float], count: int = 3, steps: int = 16):
    """Recordings of a robot whose parameters nobody was told, under commands that hold for a while."""
    env = make(count)
    for name, value in truth.items():
        env.body.parameter(name)[:] = value
    rng = np.random.default_rng(0)
    recorders = [Recorder(env.layout, env.task.control_hz, robot="reality") for _ in range(count)]
    obs, _ = env.reset(seed=100)
    for recorder, row in zip(recorders, obs, strict=True):
        recorder.begin(row)
    for step in range(steps):
        if step % 4 == 0:  # forth and back, away from the walls
            actions = rng.uniform(0.2, 0.9, (count, 3)) * [1, 1, 0] * (-1) ** (step // 4)
        obs = env.step(actions)[0]
        for recorder, action, row in zip(recorders, actions, obs, strict=True):
            recorder.step(action, row)
    return [recorder.recording(["wheel_speed", "gyro"]) for recorder in recorders]


@pytest.mark.slow
def test_the_parameters_of_a_whole_robot_are_found_from_its_own_logs():
    found = fit(ReplayPlant(make, SCALES), logs(TRUTH), [
        Parameter("left_motor/friction", 0.05, 0.4), Parameter("right_motor/constant", 0.3, 0.6)
    ], outlier=1.0, starts=2)  # fmt: skip
    assert found.names == tuple(f"robot/{name}" for name in TRUTH)
    assert np.allclose(found.estimate, list(TRUTH.values()), rtol=0.08)
    env = gym.make_vec(SIGNPOST, num_envs=64, randomize=found.randomization(widen=2.0))
    env.reset(seed=0)
    assert np.isclose(env.body.parameter("right_motor/constant").mean(), 0.40, rtol=0.05)


def test_replaying_the_declared_robot_shows_what_it_sensed_but_for_noise():
    plant, recorded = ReplayPlant(make, SCALES), logs({})
    shown = plant.simulate({}, recorded)
    again = plant.simulate({"left_motor/resistance": np.array([3.0, 9.0])}, recorded)
    for one, log in zip(shown, recorded, strict=True):
        assert np.median(np.abs(one[0] - plant.measured(log))) < 1.5
    assert not np.allclose(again[0][0], again[0][1])
    assert all(np.array_equal(a, b) for a, b in zip(plant.simulate({}, recorded), shown, strict=True))


def test_a_recording_says_what_its_columns_are():
    (log,) = logs({}, count=1, steps=5)
    assert len(log) == 6
    assert log.command.shape == (6, 3)
    assert log.units["gyro"] == "rad/s"
    assert log.metadata["robot"] == "reality"
    assert np.array_equal(log.command[-1], log.command[-2])


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda: ReplayPlant(make, {}), OptionError, "at least one channel"),
        (lambda: ReplayPlant(make, {"gyros": 1.0}), UnknownNameError, "did you mean 'gyro'"),
        (lambda: ReplayPlant(make, SCALES).expand("left_moter/*"), UnknownNameError, "left_motor"),
        (lambda: ReplayPlant(lambda n: gym.make_vec(SIGNPOST, num_envs=n, autoreset_mode="SameStep"), SCALES),
         OptionError, "same step"),
        (lambda: Recorder(make(1).layout, 10.0).step([0.0], [0.0]), RecordingError, "begin"),
        (lambda: Recorder(make(1).layout, 10.0).recording(), RecordingError, "nothing has been recorded"),
    ],
)  # fmt: skip
def test_wrong_use_is_named(wrong, error, message):
    with pytest.raises(error, match=message):
        wrong()
