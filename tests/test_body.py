"""Scout's parts do what their datasheets say, and wrong declarations are refused where they are made."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest

import embodied_assets as assets
from embodied.errors import ModelError
from embodied.robot.datasheet import read_gear_motor, read_servo
from embodied.robot.rays.spec import LineCamera
from embodied.robot.sensors.spec import Sensor
from embodied_envs.scout import scout

MOTOR = read_gear_motor(assets.datasheet_path("pololu_25d_47_hp12"))


def bench(voltage: float, load: float) -> float:
    """Settled speed of the compiled left motor on a test bench, with a load torque against it [rad/s]."""
    spec = mujoco.MjSpec.from_string(
        "<mujoco><option gravity='0 0 0' integrator='implicitfast' timestep='0.001'/><worldbody><body>"
        "<joint name='left_wheel' axis='0 1 0'/><geom size='.02' mass='.05'/></body></worldbody></mujoco>"
    )
    scout(10.0).actuators[0].compile(spec)
    model = spec.compile()
    data = mujoco.MjData(model)
    data.ctrl[0], data.qfrc_applied[0] = voltage, -load
    mujoco.mj_step(model, data, 3000)
    return float(data.qvel[0])


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75])
def test_the_motor_runs_on_the_line_from_no_load_speed_to_stall_torque(share):
    speed = bench(MOTOR.voltage, share * MOTOR.stall_torque)
    assert speed == pytest.approx((1 - share) * MOTOR.no_load_speed, rel=0.02)


def test_the_motor_stalls_at_its_stall_torque():
    assert bench(MOTOR.voltage, MOTOR.stall_torque) == pytest.approx(0, abs=0.02 * MOTOR.no_load_speed)


def test_a_datasheet_with_a_wrong_value_is_refused_with_field_unit_and_range(tmp_path):
    text = assets.datasheet_path("pololu_25d_47_hp12").read_text()
    bad = tmp_path / "motor.toml"
    bad.write_text(text.replace("voltage_V = 12.0", "voltage_V = -12.0"))
    with pytest.raises(ModelError, match=r"nominal.voltage_V is -12.0, expected a number in \[0.5, 100\] \(V\)"):
        read_gear_motor(bad)
    bad.write_text(text.replace("stall_torque_kgcm = 15.0", ""))
    with pytest.raises(ModelError, match="stall_torque_kgcm is None"):
        read_gear_motor(bad)
    with pytest.raises(ModelError, match="expected 'servo'"):
        read_servo(assets.datasheet_path("pololu_25d_47_hp12"))


def test_a_sensor_on_something_missing_is_refused_when_the_robot_is_made():
    robot = scout(10.0)
    with pytest.raises(ModelError, match="no sensor 'gyra'; did you mean 'gyro'"):
        replace(robot, sensors=(Sensor("gyro", ("gyra",), "rad/s", 1.0),))
    with pytest.raises(ModelError, match="no site 'eye'"):
        replace(robot, line_cameras=(LineCamera("camera", site="eye", body="head"),))


def test_fine_print_is_legible_only_nearby_and_is_misread_at_the_declared_rate():
    camera = LineCamera(
        "camera",
        site="camera",
        body="head",
        pixels=2000,
        dropout=0.0,
        misread=0.1,
        labels={"a": "says red", "b": "says blue"},
        legible={"says red": "sign", "says blue": "sign"},
    )
    label = np.full((1, 2000), camera.classes.index("says red"))
    bits = np.random.default_rng(0).integers(0, 2**64, (1, camera.random_values), np.uint64)
    _, near = camera.see(np.full((1, 2000), 0.5), label, bits)
    _, far = camera.see(np.full((1, 2000), 1.5), label, bits)
    assert (far == camera.classes.index("sign")).all()
    assert (near == camera.classes.index("says blue")).mean() == pytest.approx(0.1, abs=0.02)
    assert set(np.unique(near)) == {camera.classes.index("says red"), camera.classes.index("says blue")}


def test_an_asset_that_does_not_exist_lists_those_that_do():
    with pytest.raises(FileNotFoundError, match="scout"):
        assets.robot_path("rover")
