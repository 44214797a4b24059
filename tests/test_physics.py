"""The batch is a loop of `mj_step`, only faster; and one world that breaks leaves the others alone."""

import mujoco
import numpy as np
import pytest

from embodied.errors import UnknownNameError
from embodied.physics.batch import Batch
from embodied.world.task import ROBOT_PREFIX
from embodied_envs.signpost import Signpost, SignpostOptions


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    task = Signpost(SignpostOptions())
    spec = task.compose()
    spec.attach(task.robot.build(0.01), prefix=ROBOT_PREFIX, frame=spec.worldbody.add_frame())
    return spec.compile()


def controls(n: int, steps: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (steps, n, 3)) * [12, 12, 1.5]


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_the_batch_equals_a_loop_of_mj_step_bit_for_bit(model, threads):
    n, steps = 5, 20
    batch = Batch(model, n, threads)
    batch.reset()
    batch.forward()
    ctrl, qpos = batch.array("ctrl"), batch.array("qpos")
    worlds = [mujoco.MjData(model) for _ in range(n)]
    for data in worlds:
        mujoco.mj_forward(model, data)
    for command in controls(n, steps):
        ctrl[:] = command
        batch.step(10)
        for data, row in zip(worlds, command, strict=True):
            data.ctrl[:] = row
            mujoco.mj_step(model, data, 10)
    assert np.array_equal(qpos, [data.qpos for data in worlds])


def test_a_snapshot_restores_the_future(model):
    batch = Batch(model, 3)
    batch.reset()
    batch.forward()
    ctrl, qpos = batch.array("ctrl"), batch.array("qpos")
    first, second = controls(3, 2)
    ctrl[:] = first
    batch.step(10)
    saved = batch.snapshot()
    futures = []
    for _ in range(2):
        batch.restore(saved)
        ctrl[:] = second
        batch.step(10)
        futures.append(qpos.copy())
    assert np.array_equal(*futures)


def test_restoring_some_worlds_leaves_the_others(model):
    batch = Batch(model, 3)
    batch.reset()
    saved = batch.snapshot()
    qpos = batch.array("qpos")
    qpos[:, 0] = [1.0, 2.0, 3.0]
    batch.restore(saved, np.array([1]))
    assert qpos[:, 0].tolist() == [1.0, 0.0, 3.0]


def test_each_world_can_have_its_own_mass(model):
    batch = Batch(model, 2)
    mass = batch.field("body_mass")
    chassis = model.body("robot/chassis").id
    mass[1, chassis] *= 10
    batch.derive()
    batch.reset()
    batch.forward()
    batch.array("ctrl")[:, :2] = 12
    batch.step(20)
    light, heavy = batch.array("qpos")[:, 0]
    assert heavy < 0.9 * light


def test_a_world_that_diverges_is_named_and_the_others_go_on(model):
    batch = Batch(model, 3)
    batch.reset()
    batch.forward()
    qvel = batch.array("qvel")
    qvel[1, 0] = np.nan
    assert batch.step(10).tolist() == [1]
    assert np.isfinite(batch.array("qpos")[[0, 2]]).all()


def test_unknown_names_list_what_there_is(model):
    batch = Batch(model, 1)
    with pytest.raises(UnknownNameError, match="did you mean 'qpos'"):
        batch.array("qpso")
    with pytest.raises(UnknownNameError, match="did you mean 'body_mass'"):
        batch.field("body_mas")
    with pytest.raises(UnknownNameError, match="robot/gyro"):
        batch.sensor("gyro")
