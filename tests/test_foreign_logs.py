"""Logs of others, from lint to a fit: torque drives, datasets, bags, holes in time, and metadata that matter."""

import json
import subprocess
import sys
from pathlib import Path

import mujoco
import numpy as np
import pytest
from command import embodied

from embodied.errors import OptionError, RecordingError, UnknownNameError
from embodied.sysid import (
    Drive,
    Parameter,
    Recording,
    Servo,
    ServoPlant,
    TorqueDrive,
    VelocityDrive,
    VoltageDrive,
    clean,
    fit,
    lint,
)
from embodied.sysid.drive import drive_for
from embodied.sysid.gap import gap
from embodied.sysid.signals import register_of
from embodied.sysid.simulation import start_of

PENDULA = """<mujoco><option timestep="0.004" integrator="implicitfast"/><worldbody><body name="upper">
<joint name="a" axis="0 1 0" damping="0.01" frictionloss="0.05" armature="0.002" actuatorfrcrange="-.1 .1"/>
<inertial pos="0 0 -0.2" mass="0.5" diaginertia=".01 .01 1e-4"/><body name="lower" pos="0 0 -0.2">
<joint name="b" axis="0 1 0" damping="0.01" frictionloss="0.05" armature="0.002"/>
<inertial pos="0 0 -0.2" mass="0.5" diaginertia=".01 .01 1e-4"/></body></body></worldbody>
<actuator><motor joint="a" gear="7"/></actuator></mujoco>"""
TIME = np.arange(1200) / 200


def waves(seed: int, amplitude: float, columns: int = 2) -> np.ndarray:
    rng = np.random.default_rng(seed)
    parts = [np.sin(2 * np.pi * f * TIME[:, None] + rng.uniform(0, 6, columns)) for f in rng.uniform(0.3, 3.0, 4)]
    return amplitude * np.sum(parts, axis=0) / 2


def simulated(plant: ServoPlant, truth: dict[str, float], command, units: dict[str, str], noise=1e-3) -> Recording:
    """What a robot of these parameters would have been measured to do."""
    still = np.zeros((len(TIME), command.shape[1]))
    told = Recording(TIME, command, {"position": still, "velocity": still}, units | {"velocity": "rad/s"})
    values = {name: np.array([value]) for name, value in truth.items()}
    angles = plant.simulate(values, [told])[0][0]
    noisy = angles + np.random.default_rng(1).normal(0.0, noise, angles.shape)
    gauge = ServoPlant(plant.spec, plant.columns, plant.drives[0], signal="velocity", threads=1)
    speeds = gauge.simulate(values, [told])[0][0]
    return Recording(TIME, command, {"position": noisy, "velocity": speeds}, units | {"velocity": "rad/s"})


TORQUES = {"command": "Nm", "position": "rad"}


def test_friction_and_inertia_are_found_from_a_log_of_torques():
    plant = ServoPlant(mujoco.MjSpec.from_string(PENDULA), ["a", "b"], TorqueDrive(), threads=1)
    truth = {"dof_frictionloss[a]": 0.12, "dof_frictionloss[b]": 0.03, "density[lower]": 1.3, "dof_armature[a]": 0.005}
    logs = [simulated(plant, truth, waves(seed, 1.5), TORQUES) for seed in (0, 1)]
    assert lint(logs[0]) == []
    found = fit(plant, logs, [
        Parameter("dof_frictionloss", 0.0, 0.4), Parameter("density[lower]", 0.5, 2.0),
        Parameter("dof_armature[a]", 0.0005, 0.02),
    ], segment_s=0.5)  # fmt: skip
    np.testing.assert_allclose([found.values[name] for name in truth], list(truth.values()), rtol=0.1)


def test_a_log_of_torques_is_not_taken_for_one_of_positions(tmp_path):
    plant = ServoPlant(mujoco.MjSpec.from_string(PENDULA), ["a", "b"], Servo())
    log = Recording(TIME, waves(0, 1.0), {"position": np.zeros((1200, 2))}, TORQUES)
    with pytest.raises(RecordingError, match=r"in N·m, but joint 'a' is driven by position.*--drive torque"):
        plant.simulate({}, [log])
    assert isinstance(drive_for(log, None), TorqueDrive)
    log.save(tmp_path / "log.csv")
    (tmp_path / "arm.xml").write_text(PENDULA)
    arguments = ("gap", tmp_path / "arm.xml", "--joints", "a", "b", "--recordings", tmp_path / "log.csv")
    refused = embodied(*arguments, "--drive", "position")
    assert refused.returncode == 2
    assert "choose the drive 'torque'" in refused.stderr
    assert embodied(*arguments).returncode == 0


@pytest.mark.parametrize(
    ("unit", "kind"),
    [("rad", Servo), ("deg", Servo), ("rpm", VelocityDrive), ("N.m", TorqueDrive), ("mV", VoltageDrive), ("", Servo)],
)
def test_the_unit_of_the_command_decides_what_drives(unit, kind):
    log = Recording(TIME, waves(0, 1.0), {"position": np.zeros((1200, 2))}, {"command": unit} if unit else {})
    assert type(drive_for(log, None)) is kind


def test_drives_refuse_what_they_do_not_have():
    log = Recording(TIME, waves(0, 1.0), {"position": np.zeros((1200, 2))})
    with pytest.raises(OptionError, match="a drive of torque has no stiffness"):
        drive_for(log, "torque", stiffness=3.0)
    with pytest.raises(UnknownNameError, match="position, torque, velocity, voltage"):
        drive_for(log, "pressure")


ONE = """<mujoco><option timestep="0.002" integrator="implicitfast"/><worldbody><body><joint name="j" axis="0 0 1"
armature="0.01"/><inertial pos="0 0 0" mass="1" diaginertia=".01 .01 .01"/></body></worldbody></mujoco>"""


@pytest.mark.parametrize(
    ("drive", "command", "law"),
    [
        (TorqueDrive(torque_scale=0.8), 0.5, lambda q, v: 0.8 * 0.5),
        (TorqueDrive(limit=0.2), 0.5, lambda q, v: 0.2),
        (VelocityDrive(velocity_gain=0.3, limit=9.0), 2.0, lambda q, v: 0.3 * (2.0 - v)),
        (VoltageDrive(torque_per_volt=0.05, back_emf=0.02), 6.0, lambda q, v: 0.05 * 6.0 - 0.02 * v),
        (Servo(stiffness=4.0, limit=9.0), 1.0, lambda q, v: 4.0 * (1.0 - q)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Drive) else None,
)
def test_a_drive_pulls_as_its_law_says(drive, command, law):
    plant = ServoPlant(mujoco.MjSpec.from_string(ONE), ["j"], drive)
    log = Recording(TIME[:200], np.full((200, 1), command), {"position": np.zeros((200, 1))})
    found = plant.simulate({}, [log])[0][0, :, 0]
    q, v, expected, h = 0.0, 0.0, [0.0], 1e-5
    for _ in range(199):
        for _ in range(500):
            v += h * law(q, v) / 0.02
            q += h * v
        expected.append(q)
    np.testing.assert_allclose(found, expected, atol=0.02 * max(expected))


def test_a_current_loop_that_takes_its_time_delays_the_torque_by_its_time_constant():
    quick, slow = (ServoPlant(mujoco.MjSpec.from_string(ONE), ["j"], TorqueDrive(rise_s=rise)) for rise in (0.0, 0.05))
    command = np.where(TIME[:200, None] < 0.1, 0.0, 0.1)
    log = Recording(TIME[:200], command, {"position": np.zeros((200, 1))})
    speeds = [np.diff(plant.simulate({}, [log])[0][0, :, 0])[-1] * 200 for plant in (quick, slow)]
    assert (speeds[0] - speeds[1]) / (0.1 / 0.02) == pytest.approx(0.05, rel=0.05)


@pytest.mark.parametrize(("signal", "unit"), [("velocity", "rad/s"), ("torque", "N·m")])
def test_velocities_and_torques_can_be_what_is_met(signal, unit):
    drive = Servo(stiffness=4.0, limit=2.0, back_emf=0.3)
    plant = ServoPlant(mujoco.MjSpec.from_string(ONE), ["j"], drive, signal=signal)
    command = waves(3, 0.5, 1)
    log = Recording(TIME, command, {signal: np.zeros((1200, 1)), "position": np.zeros((1200, 1))}, {signal: unit})
    made = plant.simulate({"stiffness[j]": np.array([6.0])}, [log])[0][0]
    known = Recording(TIME, command, {signal: made, "position": np.zeros((1200, 1))}, {signal: unit})
    found = fit(plant, [known], [Parameter("stiffness", 2.0, 12.0)])
    assert found.values["stiffness[j]"] == pytest.approx(6.0, rel=0.02)


@pytest.mark.parametrize("hertz", [33.0, 190.0])
def test_a_simulation_begins_as_fast_as_the_robot_was_going(hertz):
    time = np.arange(int(3 * hertz)) / hertz
    angle = 0.8 * np.sin(2 * np.pi * 1.5 * time + 0.3)
    true = 0.8 * 2 * np.pi * 1.5 * np.cos(0.3)
    noisy = angle + np.random.default_rng(0).normal(0, 1e-3, len(time))
    _, speed = start_of(Recording(time, angle, {"position": noisy}), "position", 1)
    assert speed[0] == pytest.approx(true, abs=0.8)
    recorded = {"position": noisy, "velocity": np.full(len(time), 7.0)}
    _, speed = start_of(Recording(time, angle, recorded, {"velocity": "rad/s"}), "position", 1)
    assert speed[0] == pytest.approx(7.0)


def test_metadata_feed_parameters_and_may_not_differ_unused():
    logs = []
    for payload in (0.2, 0.6):
        plant = ServoPlant(
            mujoco.MjSpec.from_string(PENDULA), ["a", "b"], TorqueDrive(), feeds={"payload": "body_mass[lower]"}
        )
        plain = ServoPlant(mujoco.MjSpec.from_string(PENDULA), ["a", "b"], TorqueDrive())
        made = simulated(plain, {"body_mass[lower]": payload}, waves(5, 1.0), TORQUES, noise=0.0).part(0.0, 1.0)
        logs.append(Recording(made.time_s, made.command, made.signals, made.units, {"payload": payload, "who": "x"}))
    assert gap(plant, {}, logs).replayed.max() < 2e-3
    for ignore in ((), ("payload",)):
        plain = ServoPlant(mujoco.MjSpec.from_string(PENDULA), ["a", "b"], TorqueDrive(), ignore=ignore)
        if ignore:
            assert gap(plain, {}, logs).replayed.max() > 0.01
        else:
            with pytest.raises(RecordingError, match=r"differ in payload \(0.2, 0.6\), which nothing uses"):
                plain.simulate({}, logs)


def servo_log(**changed) -> Recording:
    """A position servo that follows two sines, 30 ms behind."""
    command = np.sin(2.3 * TIME) + 0.4 * np.sin(7.1 * TIME)
    position = np.interp(TIME - 0.03, TIME, command)
    parts = {"time_s": TIME, "command": command, "position": position} | changed
    return Recording(parts.pop("time_s"), parts.pop("command"), parts, {}, parts.pop("metadata", {}))


def rules(recording: Recording) -> set[tuple[str, str]]:
    return {(found.rule, found.signal) for found in lint(recording)}


def test_a_missing_value_silences_no_rule():
    position = servo_log().signal("position")[:, 0].copy()
    position[[300, 301]] += 4.0
    position[[310, 700]] = np.nan
    assert {("missing", "position[0]"), ("outlier", "position[0]")} <= rules(servo_log(position=position))
    clean_one = servo_log().signal("position")[:, 0].copy()
    clean_one[100:400:7] = np.nan
    assert rules(servo_log(position=clean_one)) == {("missing", "position[0]")}


@pytest.mark.parametrize(("jump", "rule"), [(3600.0, "gap"), (1.7e9, "clock")])
def test_holes_in_time_are_named_and_nothing_is_simulated_through_them(tmp_path, jump, rule):
    time = TIME.copy()
    time[600:] += jump
    log = servo_log(time_s=time)
    assert (rule, "time_s") in rules(log)
    assert ("uneven", "time_s") not in rules(log)
    plant = ServoPlant(mujoco.MjSpec.from_string(ONE), ["j"], Servo())
    with pytest.raises(RecordingError, match="through which nothing is simulated"):
        plant.simulate({}, [log])
    pieces, dropped = log.pieces()
    assert [len(piece) for piece in pieces] == [600, 600]
    assert dropped == 0
    log.save(tmp_path / "log.csv")
    (tmp_path / "arm.xml").write_text(ONE)
    result = embodied("gap", tmp_path / "arm.xml", "--joints", "j", "--recordings", tmp_path / "log.csv")
    assert result.returncode == 0, result.stderr
    assert "log #2" in result.stdout.replace("\n", " ") or "#2" in result.stdout


@pytest.mark.parametrize(
    ("bits", "sign_bit"), [(8, False), (11, True), (12, False), (16, False), (16, True), (20, False)]
)
def test_registers_of_any_width_are_known_and_decoded(bits, sign_bit):
    true = np.rint(40 * np.sin(3 * TIME) + 5 * np.cos(40 * TIME))
    half = 2 ** (bits - 1)
    written = np.where(true < 0, half - true if sign_bit else true + 2 * half, true)
    register = register_of(written)
    assert register is not None
    np.testing.assert_array_equal(register.decoded(written), true)
    assert ("wrapped", "load[0]") in rules(servo_log(load=written))
    (mended,), _ = clean(servo_log(load=written))
    np.testing.assert_array_equal(mended.signal("load")[:, 0], true)


@pytest.mark.parametrize("lag", [0.0, 0.1, 0.6, 1.4])
def test_degrees_are_found_behind_any_lag(lag):
    angle = np.degrees(np.interp(TIME - lag, TIME, servo_log().command[:, 0]))
    assert ("units", "position[0]") in rules(servo_log(position=angle))
    (mended,), done = clean(servo_log(position=angle))
    assert any("0.0174533" in line for line in done)
    left = np.isfinite(mended.signal("position")[:, 0])
    assert left.mean() > 0.7
    np.testing.assert_allclose(mended.signal("position")[left, 0], np.radians(angle)[left])


def test_what_metadata_say_is_compared_with_what_was_measured():
    volts = 12.0 + 0.02 * np.sin(TIME)
    log = servo_log(volts=volts, metadata={"vin": 15.0})
    assert ("metadata", "volts[0]") in rules(log)
    assert ("metadata", "volts[0]") not in rules(servo_log(volts=volts, metadata={"vin": 12.0}))


@pytest.mark.parametrize(("mass", "found"), [(0.5, False), (1.5, True)])
def test_a_load_that_is_stated_is_compared_with_the_torque_that_it_takes(mass, found):
    angle = 1.5 * np.sin(1.3 * TIME)
    torque = 0.5 * 9.81 * 0.3 * np.sin(angle) + 0.05 * np.sign(np.cos(1.3 * TIME))
    log = Recording(TIME, torque, {"position": angle}, TORQUES, {"mass": mass, "length": 0.3})
    assert (("metadata", "command") in rules(log)) is found


def test_sticking_joints_and_torques_are_not_blamed_for_a_lag():
    command = servo_log().command[:, 0]
    stuck = np.zeros_like(command)
    for k in range(1, len(command)):  # moves only when it is pulled far enough
        stuck[k] = (
            stuck[k - 1]
            if abs(command[k] - stuck[k - 1]) < 0.4
            else command[k] - 0.4 * np.sign(command[k] - stuck[k - 1])
        )
    assert "trailing" not in {rule for rule, _ in rules(servo_log(position=np.rint(stuck * 100) / 100))}
    late = np.interp(TIME - 0.2, TIME, command)
    log = Recording(TIME, command, {"position": late}, TORQUES)
    assert rules(log) == set()
    assert ("trailing", "position[0]") in rules(Recording(TIME, command, {"position": late}))


def test_a_log_is_mended_and_written_from_the_command_line(tmp_path):
    time, load = TIME.copy(), np.rint(50 * np.sin(3 * TIME))
    time[500:] += 7200.0
    time[501] = time[500]
    servo_log(time_s=time, load=np.where(load < 0, load + 65536, load)).save(tmp_path / "log.csv")
    result = embodied("lint", tmp_path / "log.csv", "--fix", tmp_path / "out.csv")
    assert result.returncode == 0, result.stderr
    pieces = [Recording.load(tmp_path / f"out-{k}.csv") for k in (1, 2)]
    assert [len(piece) for piece in pieces] == [500, 699]
    assert pieces[0].signal("load").min() == -50
    assert all(not rules(piece) & {("wrapped", "load[0]"), ("duplicated", "time_s")} for piece in pieces)


def test_a_lerobot_dataset_and_an_mcap_file_are_identified_end_to_end(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pytest.importorskip("mcap_ros2")
    from test_readers import JOINT_STATE, info

    model = ONE.replace('armature="0.01"', 'armature="0.01" damping="0.1" frictionloss="0.02"')
    plant = ServoPlant(mujoco.MjSpec.from_string(model), ["j"], Servo(stiffness=4.0, limit=3.0))
    truth = {"stiffness[j]": 7.0, "dof_damping[j]": 0.3}
    logs = [simulated(plant, truth, waves(seed, 0.6, 1), {}) for seed in (0, 1)]
    chunk = tmp_path / "dataset" / "data" / "chunk-000"
    chunk.mkdir(parents=True)
    (tmp_path / "dataset" / "meta").mkdir()
    (tmp_path / "dataset" / "meta" / "info.json").write_text(info("v2.1"))
    for k, log in enumerate(logs):
        rows = {
            "action": log.command.tolist(), "observation.state": log.signal("position").tolist(),
            "timestamp": log.time_s, "episode_index": np.full(len(log), k),
        }  # fmt: skip
        parquet.write_table(arrow.table(rows), chunk / f"episode_{k:06d}.parquet")
    from mcap_ros2.writer import Writer

    with (tmp_path / "log.mcap").open("wb") as file:
        writer = Writer(file)
        schema = writer.register_msgdef("sensor_msgs/msg/JointState", JOINT_STATE)
        for t, u, q in zip(TIME, logs[0].command[:, 0], logs[0].signal("position")[:, 0], strict=True):
            for topic, value in (("/joint_command", u), ("/joint_states", q)):
                stamp = {"sec": int(t), "nanosec": round(t % 1 * 1e9)}
                message = {"header": {"stamp": stamp, "frame_id": ""}, "name": ["j"], "position": [value]}
                writer.write_message(topic, schema, message | {"velocity": [], "effort": []}, int(1e9 * t) + 1)
        writer.finish()
    (tmp_path / "arm.xml").write_text(model)
    for log in ("dataset", "log.mcap"):
        out = tmp_path / f"{log}.json"
        result = embodied(
            "identify", tmp_path / "arm.xml", "--joints", "j", "--recordings", tmp_path / log, "--limit", "3",
            "--find", "stiffness=1:20", "dof_damping=0.01:1", "--starts", "1", "--out", out,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        found = dict(zip(*(json.loads(out.read_text())[name] for name in ("names", "estimate")), strict=True))
        np.testing.assert_allclose([found[name] for name in truth], list(truth.values()), rtol=0.03)


def test_the_default_list_fits_a_drive_whose_firmware_is_known(tmp_path):
    plant = ServoPlant(mujoco.MjSpec.from_string(ONE), ["j"], Servo(gain="kp*0.5", limit=1.5))
    made = Recording(TIME, waves(0, 0.6, 1), {"position": np.zeros((1200, 1))}, {}, {"kp": 8})
    angles = plant.simulate({"limit[j]": np.array([1.0])}, [made])[0][0]
    Recording(TIME, made.command, {"position": angles}, {}, {"kp": 8}).save(tmp_path / "log.npz")
    (tmp_path / "arm.xml").write_text(
        ONE.replace('armature="0.01"', 'armature="0.01" damping=".05" frictionloss=".01"')
    )
    command = [
        sys.executable, "-m", "embodied_scripts.cli.main", "identify", str(tmp_path / "arm.xml"), "--joints", "j",
        "--gain", "kp*0.5", "--recordings", str(tmp_path / "log.npz"), "--starts", "1", "--iterations", "3",
        "--out", str(tmp_path / "fit.json"),
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert "limit[j]" in json.loads((tmp_path / "fit.json").read_text())["names"]
    assert Path(tmp_path / "fit.html").is_file()


@pytest.mark.parametrize("values", [(0, 100), (0, 1024), (0, 128), (3, 200), (0, 255), (0, 64)])
def test_two_values_are_no_register(values):
    assert register_of(np.where(np.sin(9 * TIME) > 0, *values).astype(float)) is None


def test_units_are_mended_once_and_right_columns_are_left_alone():
    angle = servo_log().signal("position")[:, 0]
    slope = np.gradient(angle, TIME)
    log = servo_log(position=np.degrees(angle), velocity=slope)
    (mended,), _ = clean(log)
    np.testing.assert_allclose(mended.signal("velocity")[:, 0], slope)
    np.testing.assert_allclose(mended.signal("position")[:, 0], angle)
    assert mended.units["position"] == "rad"
    (mended,), _ = clean(servo_log(position=angle, link_pos=angle, velocity=slope * 60 / (2 * np.pi)))
    np.testing.assert_allclose(mended.signal("velocity")[:, 0], slope)
    (mended,), _ = clean(servo_log(position=np.degrees(angle), velocity=np.degrees(slope)))
    np.testing.assert_allclose(mended.signal("velocity")[:, 0], slope)


def test_units_of_other_systems_are_converted_or_refused():
    log = Recording(
        TIME, 10 * waves(0, 1.0, 1), {"position": np.zeros((1200, 1))}, {"command": "deg", "position": "deg"}
    )
    plant = ServoPlant(mujoco.MjSpec.from_string(ONE), ["j"], Servo())
    with pytest.raises(RecordingError, match=r"position is in deg: simulate recording.in_si\(\)"):
        plant.simulate({}, [log])
    np.testing.assert_allclose(log.in_si().command, np.radians(log.command))
    assert log.in_si().units["command"] == "rad"
    plant.simulate({}, [log.in_si()])


def test_a_clock_that_was_set_back_cuts_a_log_and_loses_nothing():
    time = np.concatenate([TIME[:800], TIME[:400]])
    pieces, _ = clean(servo_log(time_s=time))
    assert [len(piece) for piece in pieces] == [800, 400]


def test_a_simulation_does_not_depend_on_the_one_before():
    drive = Servo(stiffness=4.0, limit=2.0, load_friction=0.2)
    plant = ServoPlant(mujoco.MjSpec.from_string(PENDULA), ["a", "b"], drive, signal="torque")
    still = np.zeros((1200, 2))
    log = Recording(TIME, waves(2, 0.5), {"position": still + 0.3, "torque": still}, {"torque": "N·m"})
    first = plant.simulate({}, [log])[0]
    plant.simulate({"stiffness[a]": np.array([40.0]), "density[upper]": np.array([3.0])}, [log])
    np.testing.assert_array_equal(plant.simulate({}, [log])[0], first)
    np.testing.assert_allclose(first[0, 0], np.clip(4.0 * (log.command[0] - 0.3), -2, 2))


def test_parameters_that_share_numbers_of_the_model_do_not_undo_each_other():
    plant = ServoPlant(mujoco.MjSpec.from_string(PENDULA), ["a", "b"], TorqueDrive())
    log = Recording(TIME[:100], waves(2, 0.5)[:100], {"position": np.zeros((100, 2))})
    heavy = {"body_mass[lower]": np.array([3.0])}
    expected = plant.simulate(heavy, [log])[0]
    plant.simulate({"density[lower]": np.array([0.5])}, [log])
    np.testing.assert_array_equal(plant.simulate(heavy, [log])[0], expected)


def test_metadata_feed_one_parameter_that_is_not_found_as_well():
    plant = ServoPlant(mujoco.MjSpec.from_string(PENDULA), ["a", "b"], TorqueDrive(), feeds={"m": "body_mass[*]"})
    log = Recording(TIME[:9], waves(2, 0.5)[:9], {"position": np.zeros((9, 2))}, {}, {"m": 0.3})
    with pytest.raises(OptionError, match="which is 2 parameters"):
        plant.simulate({}, [log])
    one = ServoPlant(mujoco.MjSpec.from_string(PENDULA), ["a", "b"], TorqueDrive(), feeds={"m": "body_mass[lower]"})
    with pytest.raises(OptionError, match="cannot be found as well"):
        one.simulate({"body_mass[lower]": np.array([0.4])}, [log])
