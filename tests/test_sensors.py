"""Sensors do what they declare: latency and jitter, rates, dropouts, Allan deviation, per-world parameters."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest

import embodied_assets as assets
from embodied.errors import ModelError
from embodied.physics.batch import Batch
from embodied.robot.batched import BatchedRobot
from embodied.robot.datasheet import read_range_finder
from embodied.robot.robot import Robot
from embodied.robot.sensors.error_model import BatchedErrors, ErrorModel, drift_from_bias_instability
from embodied.robot.sensors.spec import Sensor
from embodied.robot.timing import FrameClock, Timing
from embodied.seeding import WorldStreams
from embodied_envs.scout import scout

TICK = 0.002


def clock(timing: Timing, n: int, seed: int = 0) -> FrameClock:
    streams = WorldStreams(n)
    streams.seed(seed)
    streams.begin()
    made = FrameClock([timing], n, [TICK], streams.stream(("clock", 2)))
    made.begin()
    return made


def ages(timing: Timing, n: int = 500, ticks: int = 400) -> np.ndarray:
    """Age of the newest frame at every tick [s], `(ticks, n)`, without the first tenth."""
    c, out = clock(timing, n), []
    for tick in range(ticks):
        c.read(np.full((n, 1), tick))
        out.append((tick - c.captured_tick) * TICK)
    return np.array(out[ticks // 10 :])


@pytest.mark.parametrize("latency", [0.0, 0.003, 0.02, 0.05])
def test_the_latency_is_what_was_declared_within_half_a_physics_step(latency):
    age = ages(Timing(latency_s=latency))
    assert age.mean() == pytest.approx(latency, abs=TICK / 2 + 1e-9)


def arrivals(timing: Timing, n: int = 400, ticks: int = 400) -> np.ndarray:
    """Time from capture to the first tick at which each frame is seen, for frames that are seen at all [s]."""
    c, lags, last = clock(timing, n), [], np.full((n, 1), -1)
    for tick in range(ticks):
        c.read(np.full((n, 1), tick))
        new = c.index != last
        lags.append((tick - c.captured_tick)[new & (c.index > 2)] * TICK)
        last = c.index.copy()
    return np.concatenate(lags)


def test_latency_and_jitter_are_what_was_declared_within_half_a_physics_step():
    lag = arrivals(Timing(rate_hz=10.0, latency_s=0.03, jitter_s=0.006))
    assert lag.mean() - TICK / 2 == pytest.approx(0.03, abs=TICK / 2)  # a frame waits half a tick for its reader
    assert lag.std() == pytest.approx(0.006, abs=TICK / 2)


def test_frames_never_run_backwards_and_come_at_their_rate():
    timing = Timing(rate_hz=100.0, latency_s=0.015, jitter_s=0.01, dropout=0.2)
    c, seen = clock(timing, 200), []
    for tick in range(500):
        c.read(np.full((200, 1), tick))
        seen.append(c.index.copy())
    steps = np.diff(seen, axis=0)
    assert steps.min() >= 0
    assert (steps.sum(axis=0) / (500 * TICK)).mean() == pytest.approx(100.0, rel=0.05)


def test_lost_frames_are_held_and_their_share_is_the_dropout():
    age = ages(Timing(rate_hz=1 / TICK, dropout=0.3))
    assert (age > TICK / 2).mean() == pytest.approx(0.3, abs=0.01)
    assert (age > 1.5 * TICK).mean() == pytest.approx(0.09, abs=0.01)


def test_the_phase_moves_the_captures():
    early, late = (clock(Timing(rate_hz=50.0, phase_s=phase), 1) for phase in (0.0, 0.01))
    for c in (early, late):
        c.read(np.array([[13]]))
    assert early.captured_tick[0, 0] == 10
    assert late.captured_tick[0, 0] == 5


def errors(model: ErrorModel, n: int, size: int = 1, limit: float = 1e9, period: float = 0.01) -> BatchedErrors:
    streams = WorldStreams(n)
    streams.seed(0)
    streams.begin()
    random_values = 3 * size
    start, frame = streams.stream(("a", random_values)), streams.stream(("b", random_values))
    made = BatchedErrors([model] * size, n, [limit] * size, [period] * size, start, frame)
    made.begin()
    return made


def record(model: ErrorModel, n: int, frames: int, period: float = 0.01) -> np.ndarray:
    """What the sensor says of zero, frame after frame, `(frames, n)`."""
    e, zero = errors(model, n, period=period), np.zeros((n, 1))
    return np.array([e.apply(zero, np.full((n, 1), k))[:, 0] for k in range(1, frames + 1)])


def allan_deviation(x: np.ndarray, m: int) -> float:
    """Overlapping-free Allan deviation at m samples, over all worlds."""
    means = x[: len(x) // m * m].reshape(-1, m, x.shape[1]).mean(axis=1)
    return float(np.sqrt(0.5 * (np.diff(means, axis=0) ** 2).mean()))


def test_the_allan_deviation_shows_the_declared_noise_density_at_every_averaging_time():
    density, period = 0.005, 0.01
    x = record(ErrorModel(noise_density=density), 200, 2000, period)
    for m in (1, 4, 16, 64):
        assert allan_deviation(x, m) * np.sqrt(m * period) == pytest.approx(density, rel=0.05)


def test_the_allan_deviation_has_its_floor_at_the_declared_bias_instability():
    instability, period = 0.01, 0.05
    model = ErrorModel(drift=drift_from_bias_instability(instability), drift_time_s=2.0)
    x = record(model, 1000, 2000, period)
    peak = max(allan_deviation(x, m) for m in (40, 60, 76, 90, 120))
    assert peak / 0.664 == pytest.approx(instability, rel=0.1)


def test_a_random_walk_grows_with_the_root_of_time():
    x = record(ErrorModel(random_walk=0.2), 4000, 400, period=0.01)
    assert x[99].std() == pytest.approx(0.2 * np.sqrt(1.0), rel=0.05)
    assert x[399].std() == pytest.approx(0.2 * np.sqrt(4.0), rel=0.05)


def test_bias_and_scale_are_constant_in_an_episode_and_spread_over_worlds():
    e = errors(ErrorModel(bias=0.5, scale=0.1), 5000)
    at_zero = e.apply(np.zeros((5000, 1)), np.ones((5000, 1), int))
    at_ten = e.apply(np.full((5000, 1), 10.0), np.full((5000, 1), 2))
    assert at_zero.std() == pytest.approx(0.5, rel=0.05)
    assert ((at_ten - at_zero) / 10).std() == pytest.approx(0.1, rel=0.05)


def test_readings_are_quantized_and_saturate():
    e = errors(ErrorModel(noise=0.1, resolution=0.5), 2000, limit=2.0)
    apply = lambda truth: e.apply(np.full((2000, 1), truth), np.ones((2000, 1), int))  # noqa: E731
    assert set(np.unique(apply(0.3))) <= {-0.5, 0.0, 0.5, 1.0}
    assert (apply(99.0) == 2.0).all()


def test_a_held_frame_keeps_its_noise_and_a_new_one_does_not():
    e, zero = errors(ErrorModel(noise=1.0, drift=1.0, drift_time_s=1.0), 3), np.zeros((3, 1))
    read = lambda k: e.apply(zero, np.full((3, 1), k))  # noqa: E731
    first, held, later = read(5), read(5), read(6)
    assert np.array_equal(first, held)
    assert not np.array_equal(held, later)


CART = """<mujoco><option gravity="0 0 0" timestep="0.002"/><worldbody><body name="base"><freejoint/>
<geom size=".1" mass="1"/></body></worldbody><sensor><framepos name="place" objtype="body" objname="base"/>
</sensor></mujoco>"""


def placed(
    robot: Robot, scene: mujoco.MjSpec, n: int, speed: float = 0.0, ticks: int = 10
) -> tuple[Batch, BatchedRobot]:
    """A weightless robot in a scene, moving along x, at the start of an episode; a decision every `ticks`."""
    streams = WorldStreams(n)
    streams.seed(0)
    streams.begin()
    scene.option.timestep, scene.option.gravity = TICK, [0, 0, 0]
    scene.attach(robot.build(TICK), prefix="robot/", frame=scene.worldbody.add_frame())
    batch = Batch(scene.compile(), n)
    body = BatchedRobot(robot, batch, streams, "robot/", ticks * TICK)
    batch.reset()
    body.begin(np.arange(n))
    batch.array("qvel")[:, 0] = speed
    batch.forward()
    body.initialize_history(np.arange(n))
    return batch, body


def moving_cart(tmp_path, timing: Timing, n: int) -> tuple[Batch, BatchedRobot]:
    """Bodies that move along x at 1 m/s, so that a late reading is wrong by its age."""
    file = tmp_path / "cart.xml"
    file.write_text(CART)
    robot = Robot("cart", file, "base", (Sensor("place", ("place",), "m", 100.0, timing=timing),), (), ())
    batch, body = placed(robot, mujoco.MjSpec(), n, speed=1.0)
    return batch, body


def drive(batch: Batch, body: BatchedRobot, decisions: int) -> np.ndarray:
    """How late the last reading is [s], `(n,)`."""
    out = np.zeros((batch.n, 1))
    for k in range(1, decisions + 1):
        step = np.full(batch.n, k)
        body.advance(step)
        body.sense(out, step)
    return decisions * 0.02 - out[:, 0]


def test_mujocos_own_history_delivers_the_declared_latency(tmp_path):
    batch, body = moving_cart(tmp_path, Timing(latency_s=0.03), 2)
    assert drive(batch, body, 30) == pytest.approx([0.03, 0.03], abs=1e-6)


def test_every_world_can_have_another_latency_and_noise(tmp_path):
    latencies = np.array([0.0, 0.01, 0.02, 0.04])
    batch, body = moving_cart(tmp_path, Timing(latency_s=0.03), 4)
    body.parameter("place/latency_s")[:, 0] = latencies
    assert drive(batch, body, 30) == pytest.approx(latencies, abs=1e-6)
    body.parameter("place/noise")[:, 0] = [0.0, 0.1, 0.2, 0.4]
    body.begin(np.arange(4))
    readings = []
    for index in range(2000):
        body.clock.index[:] = index
        readings.append(body.sensors.frame(np.zeros(4), np.zeros(4, int), slice(None))[:, 0])
    assert np.std(readings, axis=0) == pytest.approx([0.0, 0.1, 0.2, 0.4], rel=0.06)


def test_before_the_first_frame_arrives_the_start_is_seen(tmp_path):
    batch, body = moving_cart(tmp_path, Timing(latency_s=0.05), 1)
    assert 0.04 - drive(batch, body, 2)[0] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("timing", "message"),
    [
        ({"rate_hz": -1.0}, "negative"),
        ({"rate_hz": 10.0, "phase_s": 0.2}, "beyond one period"),
        ({"dropout": 1.5}, "probability"),
    ],
)
def test_impossible_timings_are_refused_when_they_are_declared(timing, message):
    with pytest.raises(ModelError, match=message):
        Timing(**timing)


def test_a_rate_above_the_physics_is_refused_when_the_robot_is_built():
    robot = scout(10.0)
    fast = replace(robot.sensors[0], timing=Timing(rate_hz=1000.0))
    with pytest.raises(ModelError, match="wheel_speed: a rate of 1000 Hz is above the 100 Hz"):
        replace(robot, sensors=(fast,)).build(0.01)


ROOM = """<mujoco><worldbody><geom name="wall" type="box" size=".1 5 1" pos="2.1 0 0"/></worldbody></mujoco>"""


def ranger(tmp_path, sheet: str, n: int, **changes) -> tuple[Batch, BatchedRobot]:
    """A ranger two meters from a wall, on a body that moves towards it at half a meters per second."""
    file = tmp_path / "rover.xml"
    file.write_text(
        "<mujoco><worldbody><body name='base'><freejoint/><geom size='.05' mass='1'/><site name='eye'/></body>"
        "</worldbody></mujoco>"
    )
    fan = replace(read_range_finder(assets.datasheet_path(sheet), "ranger", "eye", "base"), **changes)
    robot = Robot("rover", file, "base", (), (), (), range_finders=(fan,))
    batch, body = placed(robot, mujoco.MjSpec.from_string(ROOM), n, speed=0.5)
    return batch, body


def watch(batch: Batch, body: BatchedRobot, decisions: int) -> np.ndarray:
    """Observations after some decisions, `(n, dim)`."""
    out = np.zeros((batch.n, body.robot.layout.size))
    for k in range(decisions + 1):
        step = np.full(batch.n, k)
        if k:
            body.advance(step)
        body.sense(out, step)
    return out


def test_a_lidar_sees_all_around_with_the_noise_of_its_datasheet(tmp_path):
    batch, body = ranger(tmp_path, "ld06", 200, dropout=0.0)
    out, layout = watch(batch, body, 0), body.robot.layout
    ranges, valid = out[:, layout.slice("ranger/range")], out[:, layout.slice("ranger/valid")]
    ahead = body.robot.range_finders[0].directions[:, 0].argmax()
    assert ranges[:, ahead].mean() == pytest.approx(2.0, abs=0.005)
    assert ranges[:, ahead].std() == pytest.approx(0.015, rel=0.15)
    assert valid[:, ahead].all()
    assert not valid[:, 0].any()  # nothing is behind
    assert (ranges[:, 0] == 12.0).all()


def test_a_late_ranger_is_wrong_by_how_far_the_robot_has_moved_and_says_how_old_it_is(tmp_path):
    changes = {"range_noise": 0.0, "range_floor": 0.0, "resolution": 0.0, "dropout": 0.0, "max_range": 3.0}
    batch, body = ranger(tmp_path, "vl53l0x", 1, **changes)
    out, layout = watch(batch, body, 20), body.robot.layout
    age = out[0, layout.slice("ranger/age")][0]
    assert 0.02 < age < 0.1
    assert out[0, 0] == pytest.approx(2.0 - 0.5 * (20 * 0.02 - age), abs=1e-9)


def test_a_ranger_beyond_its_range_says_that_it_is_invalid(tmp_path):
    batch, body = ranger(tmp_path, "vl53l0x", 1)
    out = watch(batch, body, 0)
    assert out[0, :2].tolist() == [1.2, 0.0]


def test_an_accelerometer_is_as_late_as_declared_and_not_a_tick_more(tmp_path):
    file = tmp_path / "sled.xml"
    file.write_text(
        "<mujoco><worldbody><body name='base'><freejoint/><geom size='.1' mass='1'/><site name='imu'/></body>"
        "</worldbody><sensor><accelerometer name='acc' site='imu'/></sensor></mujoco>"
    )
    timing = Timing(latency_s=0.006)
    robot = Robot("sled", file, "base", (Sensor("acc", ("acc",), "m/s^2", 1e3, timing=timing),), (), ())
    batch, body = placed(robot, mujoco.MjSpec(), 1, ticks=1)
    force, out = batch.array("xfrc_applied"), np.zeros((1, 1))
    for k in range(1, 61):  # one decision per tick; the force during tick k is k
        force[0, -1, 0] = k
        body.advance(np.full(1, k))
        body.sense(out, np.full(1, k))
    captured = out[0, 0] - 1  # force k acts from tick k - 1 on
    assert (60 - captured) * TICK == pytest.approx(0.006, abs=1e-9)


def test_sensors_that_are_wired_wrongly_are_refused_when_the_robot_is_made():
    robot = scout(10.0)
    gyro = robot.sensors[1]
    for sensors, message in (
        ((gyro, gyro), "gyro is declared twice"),
        ((gyro, replace(gyro, name="rate")), "source gyro is declared twice"),
        ((replace(gyro, axes=(3,)),), "reads axes \\(3,\\) of 'gyro', which has 3"),
    ):
        with pytest.raises(ModelError, match=message):
            replace(robot, sensors=sensors)


def test_sources_in_any_order_are_read_at_their_delay(tmp_path):
    file = tmp_path / "train.xml"
    bodies = "".join(
        f"<body name='b{i}' pos='0 {i} 0'><joint name='j{i}' type='slide' axis='1 0 0'/><geom size='.1'/></body>"
        for i in range(3)
    )
    sensors = "".join(f"<jointpos name='p{i}' joint='j{i}'/>" for i in range(3))
    file.write_text(
        f"<mujoco><worldbody><body name='base' pos='0 0 5'><freejoint/><geom size='.1' mass='1'/></body>{bodies}"
        f"</worldbody><sensor>{sensors}</sensor></mujoco>"
    )
    timing = Timing(latency_s=0.01)
    robot = Robot("train", file, "base", (Sensor("ends", ("p2", "p0"), "m", 99.0, timing=timing),), (), ())
    batch, body = placed(robot, mujoco.MjSpec(), 1)
    batch.array("qvel")[0, :] = 1.0
    out = np.zeros((1, 2))
    for k in range(1, 20):
        body.advance(np.full(1, k))
        body.sense(out, np.full(1, k))
    assert 19 * 0.02 - out[0] == pytest.approx([0.01, 0.01], abs=1e-6)


def test_a_latency_beyond_the_buffer_is_refused_when_the_episode_begins(tmp_path):
    _, body = moving_cart(tmp_path, Timing(latency_s=0.03), 2)
    body.parameter("place/latency_s")[1] = 1.0
    with pytest.raises(ModelError, match="beyond the buffer"):
        body.begin(np.arange(2))
