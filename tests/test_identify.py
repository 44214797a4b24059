"""Identification against models whose parameters are known."""

import json
import os
from pathlib import Path

import mujoco
import numpy as np
import pytest

from embodied.errors import EmbodiedError, ModelError, OptionError, RecordingError, UnknownNameError
from embodied.physics.batch import Batch
from embodied.physics.targets import find_targets
from embodied.sysid import Fit, Limits, Parameter, Recording, Servo, ServoPlant, TorqueDrive, fit, propose
from embodied.sysid.excite import gains, prior_precision, random_command
from embodied.sysid.gap import gap, repeat_floor
from embodied.sysid.search import Progress
from embodied.sysid.settling import outcomes
from embodied.sysid.simulation import held
from embodied_scripts.cli.identify import Bench, Excite, GapOf, Identify
from embodied_scripts.show.identification import _shared_out

DATA = Path(os.environ.get("EMBODIED_REALDATA", Path(__file__).parents[2] / "shared" / "realdata"))
needs_bench = pytest.mark.skipif(
    not (DATA / "bam_xl330").is_dir(), reason="the recordings of the servo bench are absent"
)
PENDULUM = """
<mujoco><option timestep="0.004" integrator="implicitfast"/><worldbody><body name="arm">
<joint name="hinge" type="hinge" axis="0 1 0" damping="0.02" armature="0.002" frictionloss="0.01"/>
<geom name="load" type="sphere" size="0.001" pos="0 0 -0.1" mass="0.49"/></body></worldbody></mujoco>"""
FREE = (
    Parameter("stiffness", 1, 10),
    Parameter("dof_damping", 0.005, 0.3),
    Parameter("dof_frictionloss", 0.0, 0.1),
    Parameter("dof_armature", 0.0005, 0.01),
    Parameter("latency_s", 0.0, 0.03),
)


def pendulum(**drive) -> ServoPlant:
    return ServoPlant(
        mujoco.MjSpec.from_string(PENDULUM), ["hinge"], Servo(stiffness=4.0, limit=2.0, **drive), threads=1
    )


def commands(seed: int, seconds: float = 6.0, hertz: float = 100.0) -> Recording:
    """Steps and waves that a servo can follow."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * hertz)) / hertz
    waves = sum(0.25 * np.sin(2 * np.pi * f * time + rng.uniform(0, 6)) for f in rng.uniform(0.2, 3, 3))
    steps = np.repeat(rng.uniform(-0.5, 0.5, int(seconds * 2)), int(hertz / 2))
    rest = time >= 0.2
    return Recording(time, rest * (waves + steps), {"position": np.zeros(len(time))})


def recorded(plant: ServoPlant, truth: dict[str, float], seed: int, noise: float = 0.002) -> Recording:
    """What a robot of these parameters would have been measured to do."""
    told = commands(seed)
    angle = plant.simulate({name: np.array([value]) for name, value in truth.items()}, [told])[0][0]
    noisy = angle + np.random.default_rng(seed + 1).normal(0, noise, angle.shape)
    return Recording(told.time_s, told.command, {"position": noisy}, {"position": "rad"})


def test_parameters_are_recovered_within_their_stated_intervals():
    plant, rng = pendulum(), np.random.default_rng(0)
    inside = []
    for robot in range(4):
        truth = {
            "stiffness[hinge]": rng.uniform(2, 8),
            "dof_damping[hinge]": rng.uniform(0.02, 0.2),
            "dof_frictionloss[hinge]": rng.uniform(0.01, 0.06),
            "dof_armature[hinge]": rng.uniform(0.001, 0.006),
            "latency_s": rng.uniform(0.002, 0.02),
        }
        found = fit(plant, [recorded(plant, truth, 10 * robot + k) for k in range(2)], FREE)
        inside += [low <= truth[n] <= high for n, (low, high) in zip(found.names, found.interval, strict=True)]
        assert found.errors[:, 1].mean() < 0.003
    assert np.mean(inside) >= 0.84


def test_a_command_that_comes_late_is_held_as_long_and_its_mean_is_kept():
    told = Recording([0.0, 0.1, 0.2], [1.0, 2.0, 3.0], {"position": [0.0, 0.0, 0.0]})
    ticks = held(told, 0.05, 6, np.array([0.0, 0.05, 0.025]))[..., 0]
    assert np.allclose(ticks[0], [1, 1, 2, 2, 3, 3])
    assert np.allclose(ticks[1], [1, 1, 1, 2, 2, 3])
    assert np.allclose(ticks[2], [1, 1, 1.5, 2, 2.5, 3])


def test_candidates_side_by_side_move_as_each_does_alone():
    plant, told = pendulum(), [commands(0), commands(1, 3.0)]
    values = {"stiffness[hinge]": np.array([2.0, 5.0]), "density[arm]": np.array([1.0, 1.5])}
    together = plant.simulate(values, told)
    for k in range(2):
        alone = plant.simulate({name: value[k : k + 1] for name, value in values.items()}, told)
        assert all(np.array_equal(t[k], a[0]) for t, a in zip(together, alone, strict=True))


def test_a_servo_moves_as_the_same_servo_of_mujoco_does():
    spec = mujoco.MjSpec.from_string(PENDULUM)
    plant = pendulum()
    spec.joint("hinge").solimp_friction = plant.model.dof_solimp[0]
    actuator = spec.add_actuator(name="servo", target="hinge", trntype=mujoco.mjtTrn.mjTRN_JOINT)
    actuator.set_to_position(kp=4.0)
    actuator.forcelimited, actuator.forcerange = True, [-2, 2]
    model = spec.compile()
    data, told = mujoco.MjData(model), commands(3, hertz=250.0)
    track = []
    for command in told.command[:, 0]:
        track.append(data.qpos[0])
        data.ctrl[0] = command
        mujoco.mj_step(model, data)
    assert np.allclose(plant.simulate({}, [told])[0][0, :, 0], track, atol=1e-9)


def test_what_cannot_be_told_apart_is_said():
    plant = pendulum(back_emf=0.05)
    log = recorded(plant, {"back_emf[hinge]": 0.08}, 0)
    found = fit(plant, [log], [Parameter("back_emf", 0, 0.3), Parameter("dof_damping", 0, 0.3)])
    assert found.alike or found.vague


def test_a_wrong_friction_model_is_known_by_recordings_that_were_held_out(tmp_path):
    plant = pendulum()
    truth = {"load_friction[hinge]": 0.3, "back_load_friction[hinge]": 0.15}
    for k in range(4):
        recorded(plant, truth, k, noise=1e-4).part(0, 2).save(tmp_path / f"{k}.npz")
    model = tmp_path / "pendulum.xml"
    model.write_text(PENDULUM)
    logs = tuple(tmp_path / f"{k}.npz" for k in range(4))
    Identify(
        Bench(model, ("hinge",), stiffness=4.0, limit=2.0), logs[:2],
        find=("dof_frictionloss=0:0.2", "dof_damping=0:0.3"), held_out=logs[2:], friction=("coulomb", "load"),
        starts=1, iterations=9, out=tmp_path / "fit.json",
    ).run()  # fmt: skip
    told = json.loads((tmp_path / "fit.json").read_text())
    assert told["friction"] == "load"
    page = (tmp_path / "fit.html").read_text()
    assert "load_friction[hinge]" in page
    assert page.count("<figure>") == 4
    assert told["chosen_by"]["load"] < told["chosen_by"]["coulomb"]
    assert len(told["held_out"]["replayed"]) == 1
    GapOf(
        Bench(model, ("hinge",), stiffness=4.0, limit=2.0), logs[2:], tmp_path / "fit.json", tmp_path / "gap.json"
    ).run()
    errors = json.loads((tmp_path / "gap.json").read_text())
    assert told["held_out"]["replayed"][0] == pytest.approx(errors["fitted"]["replayed"][1])
    assert np.mean(errors["fitted"]["replayed"]) < 0.5 * np.mean(errors["model as it is"]["replayed"])


def test_one_recording_chooses_with_its_first_half_and_judges_with_its_second(tmp_path):
    log = recorded(pendulum(), {}, 0)
    chooses, judges = _shared_out([log])
    np.testing.assert_array_equal(np.concatenate([chooses[0].time_s, judges[0].time_s]), log.time_s)
    assert chooses[0].time_s[-1] == pytest.approx(log.time_s[-1] / 2, abs=0.01)


def test_a_fit_tells_how_far_it_has_come_and_keeps_the_best_when_its_time_is_spent():
    plant = pendulum()
    log = recorded(plant, {"stiffness[hinge]": 4.2}, 0)
    told: list[Progress] = []
    whole = fit(plant, [log], FREE[:1], progress=told.append, starts=2)
    assert [one.search for one in told] == sorted(one.search for one in told)
    assert {one.search for one in told} <= {0, 1, 2}
    assert told[-1].error == pytest.approx(0.002, rel=0.2)
    assert all(one.left_s >= 0 and one.elapsed_s > 0 for one in told)
    short: list[Progress] = []
    cut = fit(plant, [log], FREE[:1], progress=short.append, starts=2, budget_s=1e-6)
    assert len(short) == 1
    assert short[0].left_s == 0
    assert cut.estimate[0] == pytest.approx(4.0)
    assert cut.standard_error[0] > 0
    assert not cut.converged
    assert whole.values["stiffness[hinge]"] == pytest.approx(4.2, rel=0.02)


def test_a_fit_is_read_as_it_was_written_and_a_damaged_one_is_refused():
    plant = pendulum()
    found = fit(plant, [recorded(plant, {}, 0)], FREE[:2], iterations=3)
    again = Fit.from_jsonable(json.loads(json.dumps(found.jsonable())))
    assert again.values == found.values
    assert np.array_equal(again.covariance, found.covariance)
    for broken in ({}, found.jsonable() | {"estimate": [1.0]}, found.jsonable() | {"low": "x"}):
        with pytest.raises(RecordingError, match="no saved fit"):
            Fit.from_jsonable(broken)


def test_the_gap_is_never_below_what_the_robot_repeats():
    plant = pendulum()
    one, other = (recorded(plant, {}, 0, noise) for noise in (0.0, 0.004))
    floor = repeat_floor(plant, [one, other])
    assert floor is not None
    assert np.isclose(floor[0], 0.004 * np.sqrt(2 / np.pi), rtol=0.15)
    assert repeat_floor(plant, [one, commands(9)]) is None
    measured = gap(plant, {}, [one])
    assert measured.replayed.max() < 1e-6
    assert measured.by_horizon.shape == (1, 3, 1)
    for seconds in (3.05, 3.7, 5.9):  # as long as the longest horizon, and not twice that
        short = recorded(plant, {}, 1).part(0.0, seconds)
        assert np.isfinite(gap(plant, {}, [short]).by_horizon).all()


def test_what_became_of_held_commands_is_told_of_the_robot_and_of_the_simulation():
    time = np.arange(500) / 100
    told = np.where(time < 2, 1.0, np.where(time < 4, -0.5, 0.25 * np.sin(9 * time)))  # held, held, never held
    way = lambda goal, since, tau: goal * (1 - np.exp(-(time - since) / tau))  # noqa: E731
    real = np.where(time < 2, way(1.0, 0, 0.2), 1.0 + way(-1.5, 2, 0.1))[:, None]
    weak = np.where(time < 2, way(0.8, 0, 0.4), 0.8 + way(-1.3, 2, 0.1))[:, None]
    log = Recording(time, told, {"position": real})
    found = outcomes(log, real, weak, tolerance=0.05)
    assert found.reached.tolist() == [[True, False], [True, True]]
    assert found.settled_s == pytest.approx(np.array([[0.6, 1.2], [0.3, 0.3]]), abs=0.06)
    assert found.predicted == 0.5
    assert found.late_s == pytest.approx(0.3, abs=0.06)
    half = Recording(time, np.floor(time / 0.5), {"position": real})
    assert len(outcomes(half, real, real, 0.05).reached) == 9  # the tenth was cut off
    itself = outcomes(log, real, real, tolerance=0.05)
    assert itself.predicted == 1.0
    assert itself.late_s == 0.0
    restless = outcomes(log, real + 0.3 * np.sin(23 * time)[:, None], real, tolerance=0.05)
    assert np.isnan(restless.settled_s[:, 0]).all()
    assert np.isnan(restless.late_s)
    assert np.isnan(outcomes(Recording(time, time, {"position": real}), real, real, 0.05).predicted)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda p, r: fit(p, [], FREE), RecordingError, "no recordings"),
        (lambda p, r: fit(p, [r], []), OptionError, "nothing to find"),
        (lambda p, r: fit(p, [r], ["dof_dampin"]), UnknownNameError, "did you mean 'dof_damping'"),
        (lambda p, r: fit(p, [r], ["stiffness[elbow]"]), UnknownNameError, r"stiffness\[hinge\]"),
        (lambda p, r: fit(p, [r], ["jnt_stiffness"]), OptionError, "say between which values"),
        (lambda p, r: fit(p, [r], [Parameter("stiffness", 3, 2)]), OptionError, "not below"),
        (lambda p, r: fit(p, [Recording(r.time_s, r.command, {})], FREE), UnknownNameError, "no signal 'position'"),
        (lambda p, r: fit(p, [Recording(r.time_s, np.zeros((600, 2)), r.signals)], FREE), RecordingError, "2 columns"),
        (lambda p, r: ServoPlant(mujoco.MjSpec.from_string(PENDULUM), ["knee"], Servo()), UnknownNameError, "hinge"),
        (lambda p, r: gap(p, {}, [Recording(r.time_s[::-1], r.command, r.signals)]), RecordingError, "backwards"),
        (lambda p, r: Servo(limit=0), ModelError, "positive"),
        (lambda p, r: fit(p, [r], FREE, segment_s=0.0), OptionError, "length above 0"),
        (lambda p, r: fit(p, [r], FREE, budget_s=0.0), OptionError, "a time above 0 s"),
        (lambda p, r: fit(p, [r], FREE, steps=()), OptionError, "shares of a range"),
        (lambda p, r: fit(p, [r], [Parameter("stiffness", 1, float("inf"))]), OptionError, "two ends"),
        (lambda p, r: fit(p, [r], ["geom_friction[load]"]), OptionError, r"3 numbers: say which, .*load\]\[0\]"),
        (lambda p, r: ServoPlant(mujoco.MjSpec.from_string(PENDULUM), ["hinge"] * 2, Servo()), OptionError, "once"),
        (lambda p, r: ServoPlant(mujoco.MjSpec.from_string(PENDULUM), ["hinge"], {}), UnknownNameError, "drive of"),
        (lambda p, r: ServoPlant(__file__, ["hinge"], Servo()), ModelError, "MuJoCo does not load"),
        (lambda p, r: ServoPlant(mujoco.MjSpec.from_string(PENDULUM), ["hinge"], Servo(gain="g")).simulate({}, [r]),
         UnknownNameError, "metadata"),
    ],
)  # fmt: skip
def test_bad_input_is_named(change, error, message):
    with pytest.raises(error, match=message) as raised:
        change(pendulum(), recorded(pendulum(), {}, 0))
    assert isinstance(raised.value, EmbodiedError)


def test_targets_name_one_number_each_and_write_it_in_one_world():
    model = mujoco.MjModel.from_xml_string(PENDULUM)
    batch = Batch(model, 3, 1)
    for pattern, field, value in (
        ("geom_friction[load][0]", "geom_friction", 0.3),
        ("opt.gravity[2]", "opt.gravity", -3.0),
    ):
        (target,) = find_targets(model, pattern)
        before = batch.field(field).copy()
        target.write(batch, np.array([[value]]), np.array([1]))
        changed = batch.field(field) != before
        assert changed.sum() == 1
        assert np.isclose(batch.field(field)[changed], value)
    (density,) = find_targets(model, "density[arm]")
    density.write(batch, np.array([[2.0]]), np.array([2]))
    batch.derive()
    assert np.allclose(batch.field("body_mass")[:, 1], [0.49, 0.49, 0.98])
    for pattern in ("geom_type", "geom_friction[wheel]", "geom_friction[load][5]", "opt.timestep"):
        with pytest.raises(UnknownNameError):
            find_targets(model, pattern)


def servo_bench_logs(gain: int) -> list[Recording]:
    logs = []
    for path in sorted((DATA / "bam_xl330" / "raw").glob("*.json")):
        log = json.loads(path.read_text())
        if log["kp"] == gain:
            column = {k: np.array([e[k] for e in log["entries"]], float) for k in log["entries"][0]}
            signals = {"position": column["position"], "volts": column["input_volts"], "on": column["torque_enable"]}
            about = {"duty_per_rad": gain * 4096 / (2 * np.pi) / (256 * 885), "name": log["trajectory"]}
            logs.append(Recording(column["timestamp"], column["goal_position"], signals, metadata=about))
    return logs


@needs_bench
def test_the_servo_bench_is_replayed_with_published_parameters_as_it_was_published():
    xml = PENDULUM.replace("0.004", "0.002")
    drive = Servo(gain="duty_per_rad", supply="volts", volts=7.4, enabled="on")
    plant = ServoPlant(mujoco.MjSpec.from_string(xml), ["hinge"], drive, threads=1)
    m1 = json.loads((DATA / "bam_xl330" / "params" / "commit_af22604_m1.json").read_text())
    values = {
        "limit": m1["kt"] * 7.4 / m1["R"], "back_emf": m1["kt"] ** 2 / m1["R"], "dof_armature": m1["armature"],
        "dof_frictionloss": m1["friction_base"], "dof_damping": m1["friction_viscous"], "offset": -m1["q_offset"],
    }  # fmt: skip
    values = {f"{name}[hinge]": value for name, value in values.items()}
    for gain, published in ((100, 0.050), (400, 0.067)):
        assert np.isclose(gap(plant, values, servo_bench_logs(gain)).replayed.mean(), published, atol=0.003)


def test_a_simulation_leaves_nothing_behind_for_the_next():
    plant, told = pendulum(back_emf=0.05, load_friction=0.3), commands(0)
    first = plant.simulate({}, [told])[0]
    plant.simulate({"dof_damping[hinge]": np.array([0.2]), "density[arm]": np.array([3.0])}, [told])
    assert np.array_equal(plant.simulate({}, [told])[0], first)


TIME = np.arange(300) / 100
LIMITS = Limits((-0.8,), (0.8,), (8.0,), reach=0.6)


def test_a_proposed_recording_tells_more_than_random_ones_and_keeps_the_limits(tmp_path):
    plant, rng = pendulum(), np.random.default_rng(3)
    found = fit(plant, [recorded(plant, {}, 0)], FREE[:3], iterations=5)
    proposal = propose(plant, found, LIMITS, 2.0, seed=1)
    chance = [random_command(LIMITS, 2.0, 50.0, rng) for _ in range(12)]
    scores = gains(plant, found, [proposal.recording, *chance], LIMITS, 0.002, prior_precision(found))
    assert scores[0] > np.quantile(scores[1:], 0.8)
    assert 0 < proposal.volume < 1
    for command in (proposal.recording, *chance):
        assert np.abs(command.command).max() <= 0.8
        assert np.abs(np.diff(command.command, axis=0)).max() <= 8.0 / 50 + 1e-9
    model, saved = tmp_path / "pendulum.xml", tmp_path / "fit.json"
    model.write_text(PENDULUM)
    saved.write_text(json.dumps(found.jsonable()))
    bench = Bench(model, ("hinge",), stiffness=4.0, limit=2.0)
    Excite(bench, saved, (-0.8,), (0.8,), (8.0,), 0.6, 2.0, seed=1, out=tmp_path / "next.csv").run()
    assert np.allclose(Recording.load(tmp_path / "next.csv").command, proposal.recording.command)


def test_a_joint_that_would_swing_beyond_its_limits_is_not_proposed():
    plant = pendulum()
    found = fit(plant, [recorded(plant, {}, 0)], FREE[:1], iterations=2)
    narrow = Limits((-0.8,), (0.8,), (1000.0,), reach=-0.79)
    with pytest.raises(OptionError, match="swing beyond the limits"):
        propose(plant, found, narrow, 1.0)


def test_torques_are_proposed_within_limits_of_torque_and_of_angle():
    plant = ServoPlant(mujoco.MjSpec.from_string(PENDULUM), ["hinge"], TorqueDrive(), threads=1)
    told = Recording(TIME, 0.2 * np.sin(5 * TIME)[:, None], {"position": np.full((len(TIME), 1), 0.3)})
    log = Recording(TIME, told.command, {"position": plant.simulate({}, [told])[0][0]}, {"command": "N·m"})
    found = fit(plant, [log], [Parameter("dof_damping[*]", 0.01, 1.0)], iterations=2)
    with pytest.raises(OptionError, match="lowest, highest"):
        propose(plant, found, Limits((-0.1,), (0.5,), (3.0,)), 1.0)
    limits = Limits((-0.1,), (0.5,), (3.0,), lowest=(-1.2,), highest=(1.8,))
    proposal = propose(plant, found, limits, 1.0)
    track = proposal.recording.signal("position")
    assert track[0] == pytest.approx(0.3)
    assert ((track >= -1.2) & (track <= 1.8)).all()
    assert ((proposal.recording.command >= -0.1) & (proposal.recording.command <= 0.5)).all()
    assert proposal.recording.units["command"] == "N·m"


@pytest.mark.slow
def test_backlash_is_found_beside_friction_at_rest_and_under_load():
    truth = {"backlash[hinge]": 0.06, "stribeck[hinge]": 0.05, "load_friction[hinge]": 0.15, "dof_damping[hinge]": 0.08}
    plant = ServoPlant(
        mujoco.MjSpec.from_string(PENDULUM), ["hinge"], Servo(stiffness=4.0, limit=2.0), threads=1, backlash=["hinge"]
    )
    log = recorded(plant, truth, 0).part(0.0, 3.6)
    wanted = [Parameter("backlash"), Parameter("stribeck", 0.0, 0.3), Parameter("load_friction", 0.0, 0.6)]
    found = fit(plant, [log], [*wanted, Parameter("dof_damping[*]", 0.01, 0.5)], starts=2, iterations=20)
    assert found.values["backlash[hinge]"] == pytest.approx(0.06, abs=0.01)
    assert found.values["load_friction[hinge]"] == pytest.approx(0.15, abs=0.05)


def test_the_load_behind_backlash_hangs_on_the_side_that_gravity_pulls_to():
    held = Recording(TIME, np.full((len(TIME), 1), 0.5), {"position": np.full((len(TIME), 1), 0.5)})
    tight, loose = (
        ServoPlant(mujoco.MjSpec.from_string(PENDULUM), ["hinge"], Servo(stiffness=40.0, limit=9.0), backlash=joints)
        for joints in ([], ["hinge"])
    )
    there = tight.simulate({}, [held])[0][0, -1, 0]
    fallen = loose.simulate({"backlash[hinge]": np.array([0.0, 0.1])}, [held])[0][:, -1, 0]
    assert fallen[0] == pytest.approx(there, abs=2e-3)
    assert fallen[1] == pytest.approx(there - 0.05, abs=4e-3)
    with pytest.raises(UnknownNameError, match="driven joint"):
        ServoPlant(mujoco.MjSpec.from_string(PENDULUM), ["hinge"], Servo(), backlash=["knee"])


def test_another_reading_than_the_command_can_be_aimed_at():
    plant, told = pendulum(), commands(0)
    moved = Recording(told.time_s, told.command + 0.1, told.signals)
    there = plant.simulate({"command_offset[hinge]": np.array([0.1])}, [told])[0]
    assert np.allclose(there, plant.simulate({}, [moved])[0], atol=1e-9)
