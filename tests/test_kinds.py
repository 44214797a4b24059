"""Each kind of sensor measures what it says, and rendered cameras see what is there."""

import math
from dataclasses import replace

import mujoco
import numpy as np
import pytest

from embodied.errors import ModelError
from embodied.physics.batch import Batch
from embodied.robot.batched import BatchedRobot
from embodied.robot.cameras.batched import BatchedCamera
from embodied.robot.cameras.spec import ColorCamera, DepthCamera
from embodied.robot.robot import Robot
from embodied.robot.sensors.error_model import ErrorModel
from embodied.robot.sensors.presets import (
    absolute_encoder,
    contact_force,
    force_torque,
    incremental_encoder,
    touch,
    wheel_odometry,
)
from embodied.robot.sensors.spec import Sensor, Telemetry
from embodied.robot.timing import Timing
from embodied.seeding import WorldStreams

TICK, TICKS = 0.002, 10
WHEEL = (
    "<body name='{0}' pos='0 {1} 0'><joint name='{0}' axis='0 1 0'/>"
    "<geom size='.02' mass='.1' contype='0' conaffinity='0'/></body>"
)
CART = f"""<mujoco><compiler angle="radian"/><visual><map znear="0.01"/></visual><worldbody>
<body name="base" pos="0 0 .1"><freejoint/><geom name="hull" type="box" size=".1 .1 .1" mass="2"/>
<site name="belly" type="box" size=".11 .11 .02" pos="0 0 -.1"/><site name="imu"/>
<camera name="eye" pos=".12 0 0" xyaxes="0 -1 0 0 0 1" fovy="60"/>
{WHEEL.format("left", 0.2)}{WHEEL.format("right", -0.2)}
<body name="arm" pos=".2 0 0"><site name="wrist"/><geom size=".02" mass=".5" contype="0" conaffinity="0"/></body>
</body></worldbody><sensor><accelerometer name="acc" site="imu"/></sensor></mujoco>"""
FLOOR = "<mujoco><worldbody><light pos='0 0 3'/><geom type='plane' size='5 5 .1'/></worldbody></mujoco>"
WALL = """<mujoco><worldbody><light pos="0 0 3"/>
<geom type="box" size=".1 5 5" pos="2.22 0 0" rgba="1 0 0 1"/></worldbody></mujoco>"""


def cart(
    folder, *sensors, n: int = 1, scene: str = FLOOR, gravity: float = -10.0, **parts
) -> tuple[Batch, BatchedRobot]:
    """A box on wheels that turn freely, on a floor."""
    file = folder / "cart.xml"
    file.write_text(CART)
    robot = Robot("cart", file, "base", sensors, (), (), **parts)
    streams = WorldStreams(n)
    streams.seed(0)
    streams.begin()
    spec = mujoco.MjSpec.from_string(scene)
    spec.option.timestep, spec.option.gravity = TICK, [0, 0, gravity]
    spec.attach(robot.build(TICK), prefix="robot/", frame=spec.worldbody.add_frame())
    batch = Batch(spec.compile(), n)
    body = BatchedRobot(robot, batch, streams, "robot/", TICKS * TICK)
    start(batch, body)
    return batch, body


def start(batch: Batch, body: BatchedRobot) -> None:
    batch.reset()
    body.begin(np.arange(batch.n))
    batch.forward()
    body.initialize_history(np.arange(batch.n))


def watch(batch: Batch, body: BatchedRobot, decisions: int) -> np.ndarray:
    """Observations at the start and after each decision, `(decisions + 1, n, dim)`."""
    seen = []
    for k in range(decisions + 1):
        step, out = np.full(batch.n, k), np.zeros((batch.n, body.robot.layout.size))
        if k:
            body.advance(step)
        body.sense(out, step)
        seen.append(out)
    return np.array(seen)


def spin(batch: Batch, **speeds: float) -> None:
    for joint, speed in speeds.items():
        batch.array("qvel")[:, batch.model.joint(f"robot/{joint}").dofadr[0]] = speed
    batch.forward()


def test_an_absolute_encoder_wraps_and_counts(tmp_path):
    batch, body = cart(tmp_path, absolute_encoder("angle", "left", counts=100), gravity=0.0)
    spin(batch, left=20.0)
    angles = watch(batch, body, 50)[:, 0, 0]
    assert np.abs(angles).max() <= math.pi + 1e-9
    assert angles.min() < -2.5
    assert angles / (2 * math.pi / 100) == pytest.approx(np.round(angles / (2 * math.pi / 100)), abs=1e-6)


def test_an_incremental_encoder_counts_what_was_turned_and_loses_nothing(tmp_path):
    batch, body = cart(tmp_path, incremental_encoder("ticks", ("left", "right"), 48, limit=3.0), gravity=0.0)
    spin(batch, left=7.3, right=-0.6)
    turned = watch(batch, body, 100)[:, 0].sum(axis=0)
    assert turned == pytest.approx([7.3 * 2.0, -0.6 * 2.0], abs=2 * math.pi / 48)


def test_wheel_odometry_tells_way_and_turn(tmp_path):
    odometry = wheel_odometry("odometry", ("left", "right"), radius=0.05, track=0.4, counts=4096, limit=3.0)
    batch, body = cart(tmp_path, odometry, gravity=0.0)
    spin(batch, left=4.0, right=6.0)
    way, turn = watch(batch, body, 50)[:, 0].sum(axis=0)
    assert way == pytest.approx(0.05 * 5.0 * 1.0, rel=0.01)
    assert turn == pytest.approx(0.05 * 2.0 / 0.4 * 1.0, rel=0.02)


def test_touch_and_contact_force_weigh_the_robot(tmp_path):
    weight = 2.7 * 10.0
    batch, body = cart(tmp_path, touch("belly", ("belly",), 100.0), contact_force("floor", "base", 100.0))
    seen = watch(batch, body, 100)[-1, 0]
    assert seen[0] == pytest.approx(weight, rel=0.02)
    assert seen[1:] == pytest.approx([0.0, 0.0, weight], abs=0.02 * weight)


def test_force_and_torque_carry_the_arm(tmp_path):
    batch, body = cart(tmp_path, *force_torque("wrist", "wrist", 100.0, 10.0))
    seen = watch(batch, body, 100)[-1, 0]
    assert np.abs(seen[:3]) == pytest.approx([0.0, 0.0, 0.5 * 10.0], abs=0.05)
    assert seen[3:] == pytest.approx([0.0, 0.0, 0.0], abs=0.02)


def test_a_misaligned_axis_picks_up_its_share_of_the_others(tmp_path):
    sensor = Sensor("acc", ("acc",), "m/s^2", 50.0, ErrorModel(misalignment=0.02), axes=(0, 1))
    batch, body = cart(tmp_path, sensor, n=2000)
    body.parameter("acc/misalignment")[:1000] = 0.05
    start(batch, body)
    seen = watch(batch, body, 60)[-1]
    assert seen[:1000].std() == pytest.approx(0.05 * 10.0, rel=0.06)
    assert seen[1000:].std() == pytest.approx(0.02 * 10.0, rel=0.06)


def test_a_validity_flag_tells_of_saturation_and_of_frames_that_have_not_come(tmp_path):
    sensor = Sensor("acc", ("acc",), "m/s^2", 5.0, timing=Timing(latency_s=0.03), axes=(2,), valid=True, age=True)
    batch, body = cart(tmp_path, sensor, gravity=-4.0)
    seen = watch(batch, body, 50)[:, 0]
    assert seen[:2, 2].tolist() == [0.0, 0.0]  # nothing has arrived yet
    assert seen[-1].tolist() == pytest.approx([4.0, 0.03, 1.0], abs=0.02)
    heavy, body = cart(tmp_path, sensor, gravity=-10.0)
    assert watch(heavy, body, 50)[-1, 0].tolist() == pytest.approx([5.0, 0.03, 0.0], abs=0.02)


def test_the_flag_of_an_encoder_tells_of_increments_and_not_of_the_way_so_far(tmp_path):
    encoder = incremental_encoder("ticks", ("left",), 4096, limit=0.3)
    batch, body = cart(tmp_path, replace(encoder, valid=True), gravity=0.0)
    spin(batch, left=5.0)
    assert watch(batch, body, 100)[1:, 0, 1].all()
    start(batch, body)
    spin(batch, left=20.0)
    assert not watch(batch, body, 100)[1:, 0, 1].any()


def test_a_camera_shows_what_differs_between_worlds(tmp_path):
    batch, body = cart(tmp_path, n=2, scene=WALL, gravity=0.0, cameras=(ColorCamera("eye", "eye", 16, 12),))
    batch.field("geom_rgba")[1, 0] = [0, 1, 0, 1]
    seen = watch(batch, body, 1)[-1].reshape(2, 12, 16, 3)
    assert (seen[0, ..., 0] > seen[0, ..., 1]).all()
    assert (seen[1, ..., 1] > seen[1, ..., 0]).all()


def test_a_slow_camera_is_rendered_only_when_a_frame_is_due(tmp_path, monkeypatch):
    eye = ColorCamera("eye", "eye", 8, 8, timing=Timing(rate_hz=5.0))
    batch, body = cart(tmp_path, scene=WALL, gravity=0.0, cameras=(eye,))
    drawn, draw = [], BatchedCamera._draw
    monkeypatch.setattr(BatchedCamera, "_draw", lambda self, world: drawn.append(world) or draw(self, world))
    watch(batch, body, 50)  # one second
    assert len(drawn) == 6


def test_what_does_not_fit_together_is_refused_when_it_is_declared(tmp_path):
    with pytest.raises(ModelError, match="no site 'belli'; did you mean 'belly'"):
        cart(tmp_path, touch("belly", ("belli",), 100.0))
    with pytest.raises(ModelError, match="no telemetry 'battery/voltage'"):
        cart(tmp_path, Sensor("volts", (Telemetry("battery/voltage"),), "V", 20.0))
    with pytest.raises(ModelError, match="no camera 'nose'"):
        cart(tmp_path, cameras=(ColorCamera("nose", "nose"),))
    with pytest.raises(ModelError, match="has no axes to be misaligned"):
        cart(tmp_path, absolute_encoder("angle", "left", 100, misalignment=0.1))
    with pytest.raises(ModelError, match="each row of `combine` needs 1 weights"):
        Sensor("odd", ("acc",), "m", 1.0, combine=((1.0, 2.0),))
    with pytest.raises(ModelError, match="several renders_per_frame"):
        ColorCamera("eye", "eye", pipeline=chain(shutter=0.5))


def chain(**options):
    image = pytest.importorskip("embodied.robot.cameras.image")
    return image.ImagePipeline(**options)


def test_a_color_camera_sees_the_red_wall_in_every_world(tmp_path):
    batch, body = cart(tmp_path, n=3, scene=WALL, gravity=0.0, cameras=(ColorCamera("eye", "eye", 16, 12),))
    seen = watch(batch, body, 1)[-1].reshape(3, 12, 16, 3)
    assert (seen[..., 0] > seen[..., 1] + 0.2).all()
    assert np.array_equal(seen[0], seen[2])


def test_a_depth_camera_measures_the_wall_with_the_noise_of_triangulation(tmp_path):
    eye = DepthCamera("eye", "eye", 32, 24, noise_quadratic=0.01, dropout=0.1)
    batch, body = cart(tmp_path, scene=WALL, gravity=0.0, cameras=(eye,))
    seen = watch(batch, body, 0)[0, 0]
    depth, valid = seen[: 32 * 24], seen[32 * 24 :] > 0
    assert valid.mean() == pytest.approx(0.9, abs=0.04)
    assert depth[valid].mean() == pytest.approx(2.0, abs=0.01)
    assert depth[valid].std() == pytest.approx(0.04, rel=0.12)
    assert (depth[~valid] == 3.0).all()


def test_a_late_camera_shows_where_things_were(tmp_path):
    eye = DepthCamera("eye", "eye", 4, 4, timing=Timing(latency_s=0.04))
    batch, body = cart(tmp_path, scene=WALL, gravity=0.0, cameras=(eye,))
    batch.array("qvel")[:, 0] = 1.0
    batch.forward()
    seen, layout = watch(batch, body, 10)[-1, 0], body.robot.layout
    age = seen[layout.slice("eye/age")][0]
    assert age == pytest.approx(0.04, abs=1e-6)
    assert seen[0] == pytest.approx(2.0 - (0.2 - age), abs=1e-3)


def test_a_moving_camera_blurs(tmp_path):
    stripes = "<mujoco><worldbody><light pos='0 0 3'/>" + "".join(
        f"<geom type='box' size='.01 .05 2' pos='1 {y / 5} 0' rgba='1 1 1 1'/>" for y in range(-9, 10)
    )
    sharp = []
    for shutter in (0.0, 0.9):
        eye = ColorCamera("eye", "eye", 64, 16, pipeline=chain(shutter=shutter, read_noise=0.0), renders_per_frame=8)
        batch, body = cart(tmp_path, scene=stripes + "</worldbody></mujoco>", gravity=0.0, cameras=(eye,))
        batch.array("qvel")[:, 1] = 12.0
        batch.forward()
        rows = watch(batch, body, 3)[-1, 0].reshape(16, 64, 3)[..., 1]
        sharp.append(np.abs(np.diff(rows, axis=1)).max())
    assert sharp[1] < 0.6 * sharp[0]
