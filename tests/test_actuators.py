"""Motors, servos and gears do what their datasheets and declarations say."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest

import embodied_assets as assets
from embodied.errors import ModelError
from embodied.robot.actuators.spec import Servo, add_backlash
from embodied.robot.datasheet import read_bus_servo, read_imu

XL330 = read_bus_servo(assets.datasheet_path("xl330_m288"))
STS3215 = read_bus_servo(assets.datasheet_path("sts3215"))
BENCH = """<mujoco><option gravity="0 0 0" integrator="implicitfast" timestep="0.001"/><worldbody><body name="arm">
<joint name="shaft" axis="0 0 1"/><geom type="capsule" size=".01" fromto="0 0 0 .1 0 0" mass=".05"/></body></worldbody>
<actuator/></mujoco>"""


def bench(servo) -> mujoco.MjSpec:
    spec = mujoco.MjSpec.from_string(BENCH)
    Servo("servo", "shaft", servo, half_range=3.0).compile(spec)
    return spec


@pytest.mark.parametrize("gain", [100.0, 400.0, 800.0])
@pytest.mark.parametrize("load", [0.02, 0.1])
def test_a_servo_droops_under_load_as_its_firmware_gain_says(gain, load):
    servo = replace(XL330, gain=gain)
    model = bench(servo).compile()
    data = mujoco.MjData(model)
    data.ctrl[0], data.qfrc_applied[0] = 0.5, -load
    mujoco.mj_step(model, data, 6000)
    duty = gain * (0.5 - data.qpos[0]) / servo.count * servo.duty_per_gain_count
    torque = servo.motor_constant * duty * servo.voltage / servo.resistance
    assert torque == pytest.approx(load, rel=0.01)


@pytest.mark.parametrize("servo", [XL330, STS3215], ids=["XL330", "STS3215"])
def test_a_servo_runs_at_no_load_speed_towards_a_far_target(servo):
    model = bench(replace(servo, backlash=0.0)).compile()
    model.actuator_ctrlrange[0] = [-1e3, 1e3]
    data = mujoco.MjData(model)
    data.ctrl[0] = 1e3
    mujoco.mj_step(model, data, 4000)
    assert data.qvel[0] == pytest.approx(servo.no_load_speed, rel=0.02)


def with_play(servo) -> tuple[mujoco.MjSpec, str]:
    """A bench whose load has a friction of its own, so that it stays where it is left."""
    spec = bench(servo)
    load = spec.add_tendon(name="load", frictionloss=0.002, damping=[0.002, 0, 0])
    for joint in ("shaft", "shaft_backlash"):
        load.wrap_joint(joint, 1.0)
    return spec, "shaft_backlash"


@pytest.mark.parametrize("width", [0.01, 0.05])
def test_the_hysteresis_of_a_geared_joint_is_as_wide_as_the_declared_backlash(width):
    spec, loose = with_play(replace(XL330, backlash=width))
    model = spec.compile()
    data = mujoco.MjData(model)
    play = model.joint(loose).qposadr[0]
    up, down = np.linspace(-0.5, 0.5, 8000), np.linspace(0.5, -0.5, 8000)
    lag = []
    for target in np.concatenate([up[4000:], down, up]):
        data.ctrl[0] = target
        mujoco.mj_step(model, data)
        lag.append(data.qpos[play])
    falling, rising = np.median(lag[8000:11000]), np.median(lag[16000:19000])
    assert falling - rising == pytest.approx(width, rel=0.1)


def test_backlash_can_be_added_to_any_joint():
    spec = mujoco.MjSpec.from_string(BENCH)
    spec.joint("shaft").armature = 1e-3
    add_backlash(spec, "shaft", 0.1)
    model = spec.compile()
    assert model.joint("shaft_backlash").range == pytest.approx([-0.05, 0.05])


def test_the_imu_has_the_printed_noise_and_tolerances():
    imu = read_imu(assets.datasheet_path("mpu6050"))
    assert np.degrees(imu.gyro.noise_density) == pytest.approx(0.005)
    assert imu.accelerometer.noise_density == pytest.approx(400e-6 * 9.80665)
    assert 3 * imu.gyro.scale == pytest.approx(0.03)


def test_a_servo_sheet_with_a_wrong_value_names_field_unit_and_range(tmp_path):
    text = assets.datasheet_path("xl330_m288").read_text()
    bad = tmp_path / "servo.toml"
    bad.write_text(text.replace("stall_torque_Nm = 0.52", 'stall_torque_Nm = "strong"'))
    with pytest.raises(ModelError, match=r"nominal.stall_torque_Nm is 'strong', expected a number in .* \(Nm\)"):
        read_bus_servo(bad)
